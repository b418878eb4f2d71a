"""How many examples a fuzzing test tries.

In `make test` few, and the same ones each time: what fails is what was changed.
`NIXERYD_EXAMPLES=5000 .venv/bin/pytest tests/hostile` tries so many of each, new ones
each time, and prints how to repeat what failed.
"""

import os

from hypothesis import HealthCheck, settings

_WANTED = int(os.environ.get("NIXERYD_EXAMPLES", "0"))


def examples(count: int) -> settings:
    """Decorate a test that tries `count` examples, unless more are asked for."""
    return settings(
        max_examples=_WANTED or count,
        derandomize=not _WANTED,
        print_blob=True,
        database=None,
        deadline=None,  # a busy machine is no failure
        suppress_health_check=list(HealthCheck),
    )
