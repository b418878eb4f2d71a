"""The order in which layers are packed."""

from nixeryd.builder.assembly import _largest_first
from nixeryd.builder.layering import LayerPlan


def test_large_layers_are_begun_first_and_keep_their_positions():
    plans = [LayerPlan((name,), size, 0) for name, size in (("a", 5), ("b", 9))]
    assert _largest_first(plans) == [(1, plans[1]), (0, plans[0])]
