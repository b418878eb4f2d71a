"""What is in a directory, or why that cannot be told.

`Path.glob` swallows errors (permission denied in any Python, all others from 3.13 on):
what cannot be read would look empty.
"""

import os
from pathlib import Path


def list_names(directory: Path) -> list[str]:
    """List the names in a directory, in no order; none if it is not there.

    Raises:
        OSError: it cannot be read, or is none.

    """
    try:
        return os.listdir(directory)  # noqa: PTH208  names, of which paths are made later
    except FileNotFoundError:
        return []
