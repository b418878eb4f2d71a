"""Range requests: a `Range` header and a size in, the bytes to send out.

One range of bytes, which is what clients resume downloads with. "A server MAY
ignore the Range header field" (14.2): several ranges, other units and what is
malformed are answered with the whole.

https://www.rfc-editor.org/rfc/rfc9110#section-14
"""

import re

from nixeryd.images.errors import NixerydError

# RFC 9110, 14.1.2: int-range = first-pos "-" [ last-pos ], suffix-range = "-"
# suffix-length; "range unit names are case-insensitive" (14.1). Twenty digits
# are more than any file's, and few enough for int().
_SINGLE = re.compile(r"bytes=([0-9]{0,20})-([0-9]{0,20})", re.IGNORECASE)


class RangeNotSatisfiable(NixerydError):  # noqa: N818  HTTP's name of status 416
    """No byte of the range exists: 416, with `Content-Range: bytes */SIZE`."""

    def __init__(self, size: int) -> None:
        super().__init__(f"the range is outside the {size} bytes there are")
        self.size = size


def parse_range(header: str | None, size: int) -> range | None:
    """Return the bytes to send of `size`, as a half-open range of at least one.

    None: send the whole, with status 200. Raises RangeNotSatisfiable.
    """
    found = _SINGLE.fullmatch(header.strip(" \t")) if header is not None else None
    if found is None:
        return None
    first, last = found.groups()
    if not first:
        return _suffix(last, size)
    start = int(first)
    if last and int(last) < start:
        return None  # "An int-range is invalid if the last-pos value is [...] less"
    if start >= size:
        raise RangeNotSatisfiable(size)
    return range(start, min(int(last) + 1, size) if last else size)


def _suffix(length: str, size: int) -> range | None:
    if not length:
        return None  # "bytes=-"
    if int(length) == 0:
        raise RangeNotSatisfiable(size)
    # A suffix of nothing is satisfiable, but no Content-Range can say so.
    return range(max(size - int(length), 0), size) if size else None
