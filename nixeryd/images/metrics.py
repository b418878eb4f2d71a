"""Gauges in Prometheus' text format.

https://github.com/prometheus/docs/blob/main/docs/instrumenting/exposition_formats.md
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gauge:
    """One quantity; each sample is a set of labels and a value (None: unknown)."""

    name: str
    help: str
    samples: Sequence[tuple[Mapping[str, str], float | None]]


def gauge(name: str, text: str, value: float) -> Gauge:
    """Make a gauge of one value without labels."""
    return Gauge(name, text, [({}, value)])


def render_metrics(gauges: Iterable[Gauge]) -> str:
    """Render gauges; those without known samples are left out."""
    lines = []
    for each in gauges:
        known = [(on, value) for on, value in each.samples if value is not None]
        if known:
            lines += [f"# HELP {each.name} {each.help}", f"# TYPE {each.name} gauge"]
        lines += [f"{each.name}{_labels(on)} {float(value)}" for on, value in known]
    return "\n".join((*lines, ""))


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(v)}"' for name, v in labels.items()) + "}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
