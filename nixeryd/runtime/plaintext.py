r"""Text that others wrote, made harmless for terminals and logs.

Pure. Names of files, build logs, a registry's errors and the configuration of its
images may hold escape sequences: a terminal takes them for orders, and sets its title
or the clipboard. Characters of direction (U+202E) show text that is not there. What is
not printable is shown as Python writes it: `\x1b`, `\u202e`.

https://invisible-island.net/xterm/ctlseqs/ctlseqs.html and https://www.unicode.org/reports/tr36/
"""

import unicodedata


def plain(text: str) -> str:
    """Return `text` with nothing but printable characters, newlines and tabs."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in "\n\t" else _escape(char) for char in text
    )


def one_line(text: str) -> str:
    """Return `text` with nothing but printable characters: it can forge no line."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def indented(text: str) -> str:
    """Return `text` made plain; lines after the first begin with spaces.

    Where every entry begins in the first column, no text can forge one.
    """
    return plain(text).replace("\n", "\n    ")


def _escape(char: str) -> str:
    if unicodedata.category(char) == "Zs":
        return " "  # a no-break space is only a space
    return char.encode("unicode_escape").decode()
