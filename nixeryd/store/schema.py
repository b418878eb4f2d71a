"""The tables of the index, as a new one has them.

A change here needs a step in `migrations`, unless a table or an index is only added.
"""

from typing import Final

from nixeryd.store import contents, lists, mirrored, names, numbers, origins, readings

_IMAGES: Final = """
CREATE TABLE IF NOT EXISTS layers (
    key TEXT PRIMARY KEY,        -- of what went in (builder.layer_key)
    digest TEXT NOT NULL,        -- of the blob's bytes
    diff_id TEXT NOT NULL,       -- of the uncompressed tar
    size INTEGER NOT NULL,       -- of the blob, bytes
    media_type TEXT NOT NULL,
    paths TEXT NOT NULL          -- the store paths in it, JSON
) STRICT;
CREATE TABLE IF NOT EXISTS manifests (
    digest TEXT PRIMARY KEY,
    media_type TEXT NOT NULL,
    needs TEXT NOT NULL,         -- numbers of all blobs it needs, JSON
    size INTEGER NOT NULL        -- of these blobs together, bytes
) STRICT;
CREATE TABLE IF NOT EXISTS builds (
    key TEXT PRIMARY KEY,        -- of Nix's outputs and our settings
    manifest TEXT NOT NULL REFERENCES manifests (digest)
) STRICT;
CREATE TABLE IF NOT EXISTS tags (
    image TEXT NOT NULL,         -- names.ImageName.key
    tag TEXT NOT NULL,
    repository TEXT NOT NULL,    -- as it was last asked for
    manifest TEXT NOT NULL REFERENCES manifests (digest),
    built REAL NOT NULL,         -- seconds since the epoch
    PRIMARY KEY (image, tag)
) STRICT;
CREATE TABLE IF NOT EXISTS uses (
    manifest TEXT PRIMARY KEY,
    used REAL NOT NULL           -- seconds since the epoch
) STRICT;
-- Whoever writes a manifest uses it.
CREATE TRIGGER IF NOT EXISTS manifest_written AFTER INSERT ON manifests BEGIN
    INSERT OR REPLACE INTO uses
        VALUES (new.digest, (julianday('now') - 2440587.5) * 86400.0);
END;
"""

_PARTS = (mirrored, lists, names, contents, origins, readings)
TABLES: Final = "".join((numbers.SCHEMA, _IMAGES, *(part.SCHEMA for part in _PARTS)))
