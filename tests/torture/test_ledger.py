"""A loss is told with what was last done to the blob."""

from tests.torture.ledger import LAST, Ledger

BLOB = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32


def test_a_loss_is_told_with_what_was_last_done_to_its_blob():
    ledger = Ledger(rounds=7)
    ledger.hear(
        [
            f"2026 [debug    ] blob published        blob={BLOB} kind=layer",
            f"2026 [debug    ] blobs are withdrawn   blobs=['{BLOB}'] why=damaged",
            f"2026 [debug    ] blob published        blob={OTHER} kind=config",
            f"2026 [info     ] downloaded            blob={BLOB}",
        ]
    )
    ledger.lose(f"blob {BLOB} is named and not there")
    what, written, removed = ledger.losses[0].splitlines()
    assert what == f"blob {BLOB} is named and not there"
    assert "round 7" in written
    assert f"blob published blob={BLOB} kind=layer" in written
    assert "blobs are withdrawn" in removed
    assert "why=damaged" in removed


def test_only_the_last_deeds_are_told():
    ledger = Ledger()
    for number in range(50):
        ledger.hear([f"blob published {number} {BLOB}"])
    ledger.lose(BLOB)
    assert len(ledger.losses[0].splitlines()) == 1 + LAST
    assert "published 49" in ledger.losses[0]
