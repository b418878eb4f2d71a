"""Blobs on disk: a file is there under its digest only when it is whole.

Bytes go to a staging file on the same file system, are fsynced, and are then
renamed to their digest; the directory is fsynced too, so that an index row
written afterwards never names a file that a power cut took. All calls here are
synchronous: run the large ones in a thread.

A blob is a file of its bytes, or the recipe by which they are made from the Nix
store (`recipes`): its name has an ending, and its size is that of the bytes.
"""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from nixeryd.images.digests import Digest
from nixeryd.images.errors import NixerydError
from nixeryd.images.served_manifests import BlobFile
from nixeryd.runtime.directories import list_names
from nixeryd.runtime.locks import KeyedLocks
from nixeryd.store.durable import fsync_directory, make_directories
from nixeryd.store.leases import Leases
from nixeryd.store.page_cache import read_once
from nixeryd.store.recipe import CHUNK, Recipe, find_recipe
from nixeryd.store.recipes import ENDING, Recipes, look
from nixeryd.store.retention import Blob
from nixeryd.store.staged import Staged

log = structlog.get_logger()


class StoreFullError(NixerydError):
    """No space left for blobs."""

    is_transient = True


class StoreUnusableError(NixerydError):
    """The disk does not take what is written."""

    is_transient = True


_HEX = re.compile("[0-9a-f]{64}")
_PART = re.compile(r"[0-9a-f]{2}")  # the directories that blobs lie in
_UNUSABLE = (errno.EROFS, errno.EACCES, errno.EPERM)


class Blobs:
    """The blobs of a data directory.

    `expected_size` tells a blob's size in bytes, if it is known (`Index.blob_size`): a
    file of another size is damaged, and as good as gone.
    """

    def __init__(
        self,
        directory: Path,
        staging: Path,
        expected_size: Callable[[Digest], int | None] = lambda _: None,
    ) -> None:
        self._directory = directory / "sha256"
        self._prefix = f"{self._directory}/"
        self._staging = staging
        self._expected_size = expected_size
        # All at once: each would have to be made safe before the first blob in it.
        with self.explain_errors():
            make_directories(self._directory / f"{byte:02x}" for byte in range(256))
        self.recipes = Recipes(self._directory)
        self.leases = Leases()
        self.publishing = KeyedLocks()  # digests that are (`store.publishing`)
        # Hears how many bytes were added, in whatever thread added them.
        self.on_growth: Callable[[int], None] = lambda _: None

    def path(self, digest: Digest) -> Path:
        """Return the place of a blob that is a file, there or not."""
        return self._directory / digest.hex[:2] / digest.hex

    def places(self, digest: Digest) -> tuple[Path, Path]:
        """Return both places of a blob."""
        return self.path(digest), self.recipes.path(digest)

    def __contains__(self, digest: Digest) -> bool:
        """Return whether a blob is here."""
        return self.has_file(digest) or digest in self.recipes

    def has_file(self, digest: Digest) -> bool:
        """Return whether a blob is here as a file, damaged or not."""
        return os.access(self._name(digest), os.F_OK)

    def has_whole_file(self, digest: Digest) -> bool:
        """Return whether a blob is here as a file, and of its size if that is known."""
        # Asked of every blob of an image, whenever its manifest is.
        try:
            size = os.stat(self._name(digest)).st_size  # noqa: PTH116  hot
        except OSError:
            return False
        return self._is_right(digest, size)

    def holds(self, digest: Digest) -> bool:
        """Return whether a blob is here, and whole as far as its size tells."""
        return self.has_whole_file(digest) or digest in self.recipes

    def _is_right(self, digest: Digest, size: int) -> bool:
        expected = self._expected_size(digest)
        if expected in {None, size}:
            return True
        log.warning(
            "a blob is damaged; the next pull by a tag brings it back",
            blob=str(digest),
            size=size,
            expected=expected,
        )
        return False

    def is_streamed(self, digest: Digest) -> bool:
        """Return whether a blob is here as a recipe only."""
        return not self.has_file(digest) and digest in self.recipes

    def _name(self, digest: Digest) -> str:
        """Return `path` as text, which takes a tenth of the time."""
        return f"{self._prefix}{digest.hex[:2]}/{digest.hex}"

    def size(self, digest: Digest) -> int | None:
        """Return a blob's size in bytes, None if it is not here."""
        found = self.find(digest)
        return None if found is None else found.size

    def find(self, digest: Digest) -> BlobFile | Recipe | None:
        """Find a blob; one of another size than its own is not here."""
        return self.file(digest) or self.recipes.find(digest)

    def file(self, digest: Digest) -> BlobFile | None:
        """Find a blob that is a file; one of another size than its own is not here."""
        path = self.path(digest)
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            return None
        return BlobFile(path, size, digest) if self._is_right(digest, size) else None

    def read_part(self, digest: Digest, part: range) -> bytes:
        """Read a part of a blob, cut where it ends.

        Raises `NixerydError`, or `FileNotFoundError` if it is not here.
        """
        match self.find(digest):
            case BlobFile(path=path):
                with open(path, "rb", buffering=0) as file:  # noqa: PTH123  any path
                    return os.pread(file.fileno(), len(part), part.start)
            case Recipe() as recipe:
                return recipe.read(part)
            case None:
                raise FileNotFoundError(errno.ENOENT, f"no blob {digest}")

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        """Read all of a blob, also if its recipe is lost; raises as `read_part`."""
        recipe = find_recipe(self.recipes.path(digest), digest)
        if recipe is not None and not self.has_file(digest):
            yield from recipe.chunks()
            return
        with self.path(digest).open("rb", buffering=0) as file:
            read_once(file.fileno())
            while chunk := file.read(CHUNK):
                yield chunk

    def read(self, digest: Digest) -> bytes | None:
        """Read a small blob (a manifest, a config) whole; None if not here, or damaged.

        It is hashed, which takes some 20 µs.
        """
        body = self._read(digest)
        return body if body is not None and Digest.of(body) == digest else None

    def _read(self, digest: Digest) -> bytes | None:
        try:
            with open(self._name(digest), "rb", buffering=0) as file:  # noqa: PTH123  hot
                return file.readall()
        except FileNotFoundError:
            return None

    def put(self, data: bytes) -> Digest:
        """Store a small blob."""
        digest = Digest.of(data)
        if not self._renew(digest, data):
            with self.stage() as staged:
                staged.write(data)
                staged.commit(digest)
        return digest

    def _renew(self, digest: Digest, data: bytes) -> bool:
        """Return whether a blob is here and whole; it is as good as written now."""
        with self.explain_errors():
            try:
                os.utime(self.path(digest))
            except FileNotFoundError:
                return False
        return self._read(digest) == data

    def listing(self, part: str | None = None) -> dict[str, Blob]:
        """List all blobs by their digests' text; a large cache takes a second.

        Or a `part` of them: those whose digests begin with these two digits.
        """
        files = ((digest, look(entry)) for digest, entry in self.scan(part))
        return {digest: blob for digest, blob in files if blob is not None}

    def total(self) -> int:
        """Count the bytes of all blobs."""
        files = (look(entry) for _, entry in self.scan())
        return sum(blob.size for blob in files if blob is not None)

    def scan(self, part: str | None = None) -> Iterator[tuple[str, "os.DirEntry[str]"]]:
        """Find all blobs, or a part of them: their digests' text, and their files."""
        parts = [part] if part else list_names(self._directory)
        for name in filter(_PART.fullmatch, parts):
            directory = self._directory / name
            with suppress(FileNotFoundError), os.scandir(directory) as entries:
                for entry in entries:
                    digits = entry.name.removesuffix(ENDING)
                    if _HEX.fullmatch(digits):  # not foreign
                        yield f"sha256:{digits}", entry

    def require_space(self, size: int) -> None:
        """Raise `StoreFullError` if so many bytes do not fit on the disk."""
        free = shutil.disk_usage(self._staging).free
        if size > free:
            raise StoreFullError(
                f"a blob of {size} bytes does not fit where {free} are left: make room"
                " (nixeryd gc), or move the data with --data-dir"
            )

    @contextmanager
    def stage(self) -> Iterator[Staged]:
        """Open a staging file; what is not committed is removed at the end."""
        with self.explain_errors():
            fd, name = tempfile.mkstemp(dir=self._staging)
        path = Path(name)
        try:
            yield Staged(self, fd, path)
        finally:
            os.close(fd)
            path.unlink(missing_ok=True)

    def require_discardable(self, digests: Iterable[Digest]) -> None:
        """Raise `PermissionError` if these could not be taken away."""
        shards = sorted({self.path(digest).parent for digest in digests})
        for place in (self._staging, *shards):
            if not os.access(place, os.W_OK | os.X_OK):
                raise PermissionError(
                    errno.EACCES, os.strerror(errno.EACCES), str(place)
                )

    def discard(self, digests: Iterable[Digest]) -> list[Path]:
        """Take blobs away; readers that have them open keep them.

        They are moved, which takes no time, into staging, which a start sweeps.
        Whoever calls unlinks what is given: that may take long for large files.
        """
        moved = []
        for digest in digests:
            for path in self.places(digest):
                place = self._staging / f"discarded-{path.name}"
                with suppress(FileNotFoundError):
                    path.rename(place)
                    moved.append(place)
            self.recipes.forget(digest)
        return moved

    def sync_places(self, digests: Iterable[Digest]) -> None:
        """Make sure that a power cut brings none of these back that were discarded."""
        for directory in sorted({self.path(digest).parent for digest in digests}):
            fsync_directory(directory)

    @contextmanager
    def explain_errors(self) -> Iterator[None]:
        """Turn a full or read-only disk into an error that says what to do."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFullError(
                    f"no space left for blobs in {self._directory.parent.parent}: "
                    "make room (nixeryd gc --max-size 5GB), or move it with --data-dir"
                ) from error
            if error.errno in _UNUSABLE:
                raise StoreUnusableError(
                    f"{self._directory.parent.parent} cannot be written"
                    f" ({error.strerror}): mend its disk or permissions, or give"
                    " another place with --data-dir"
                ) from error
            raise
