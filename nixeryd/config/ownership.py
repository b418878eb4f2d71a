"""Whose a place is: what others can write is not ours, whoever made it.

Another user of this machine may have made a directory or a link where we look for
ours, in /tmp above all, and would choose what we serve or overwrite.
"""

import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path

_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def whose(path: Path) -> str | None:
    """Say why a directory is not ours alone, in words behind its name; None: it is.

    Its owner and who may write in it count, and who made it a link. OSError if there
    is none.
    """
    link, found = path.lstat(), path.stat()
    if stat.S_ISLNK(link.st_mode) and link.st_uid not in {0, os.geteuid()}:
        return f"is a link that the user {user_name(link.st_uid)} made"
    if found.st_uid != os.geteuid():
        return f"belongs to the user {user_name(found.st_uid)}"
    if found.st_mode & _OTHERS:
        return f"can be written by others (mend it with chmod go-w {path})"
    return None


def anyone_can_write(path: Path) -> bool:
    """Return whether every user of this machine may change a file."""
    return bool(path.stat().st_mode & stat.S_IWOTH)


def is_strangers(path: Path) -> bool:
    """Return whether a file is of another user than root; a missing one is nobody's.

    To root, all are ours.
    """
    try:
        owner = path.lstat().st_uid
    except OSError:
        return False
    return os.geteuid() not in {0, owner} and owner != 0


def user_name(uid: int) -> str:
    """Return a user's name, or the number of one without a name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def user_ids(users: Iterable[str | int]) -> frozenset[int]:
    """Return the uids of users, who are given by name or by uid.

    LookupError says which name is unknown.
    """
    return frozenset(map(_user_id, users))


def _user_id(user: str | int) -> int:
    if isinstance(user, int) or user.isdecimal():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError as error:
        raise LookupError(user) from error
