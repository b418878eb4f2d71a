-- The index of a small data directory that 7ec3a5e made, as `sqlite3 .dump` has it.
PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE builds (
    key TEXT PRIMARY KEY,        -- of Nix's outputs and our settings
    manifest TEXT NOT NULL REFERENCES manifests (digest)
) STRICT;
INSERT INTO "builds" VALUES('key of hello','sha256:e0ea492e83eb896846bf63df7b4fe01890285820e61b131ce14b094fe145b083');
INSERT INTO "builds" VALUES('state of hello','sha256:e0ea492e83eb896846bf63df7b4fe01890285820e61b131ce14b094fe145b083');
INSERT INTO "builds" VALUES('key of git','sha256:465628d4bf76d35d1eaaec2d8759feb5550596650659442ad6c011a6636e243c');
INSERT INTO "builds" VALUES('state of git','sha256:465628d4bf76d35d1eaaec2d8759feb5550596650659442ad6c011a6636e243c');
CREATE TABLE closures (
    manifest TEXT PRIMARY KEY,
    graph BLOB NOT NULL          -- JSON, deflated
) STRICT;
INSERT INTO "closures" VALUES('sha256:e0ea492e83eb896846bf63df7b4fe01890285820e61b131ce14b094fe145b083',X'789CAB562A484CCE4E4C4F2D56B252A856CA48CDC9C907B2A295F4F3322BF48B4BF28B52F50D08005D88AED85A1D05A069251920A3A2C9314147C1D0C04047213A3636B61600C7CA28AF');
INSERT INTO "closures" VALUES('sha256:2c1bd600077783a1c2c3d2f573a07ac8bf6e93aa8dae34d3efc99a5745c69fb7',X'789CAB562A484CCE4E4C4F2D56B252A8564ACF2C01D2D14AFA799915FAC525F945A9FA0604802E484F6CAD8E02D0A4920C9031D1A4EBD751303430D051888E8D8DAD050095A7263F');
INSERT INTO "closures" VALUES('sha256:465628d4bf76d35d1eaaec2d8759feb5550596650659442ad6c011a6636e243c',X'789CAB562A484CCE4E4C4F2D56B252A8564ACF2C01D2D14AFA799915FAC525F945A9FA0604802E484F6CAD8E02D0A4920C9031D1A4EBD751303430D051888E8D8DAD050095A7263F');
CREATE TABLE digests (
    number INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    digest TEXT NOT NULL UNIQUE,
    size INTEGER                 -- bytes of the blob while it is here, if known
) STRICT;
INSERT INTO "digests" VALUES(1,'sha256:0d7a8ee074ba0c320be620fcd5c06666b921c1fdd4ecf72a66863df76217aab7',11);
INSERT INTO "digests" VALUES(2,'sha256:f7c29f8fe34e77a4bc879afe7d1d475c3baa4d20111562eb65a4753a3630f37f',11);
INSERT INTO "digests" VALUES(3,'sha256:29d6465a5a3ab68785d95b28b04e986d3bb9ae1b47d30eb8988cdf90d023e808',NULL);
INSERT INTO "digests" VALUES(10,'sha256:3e61852af90326dc467e33b393ad5316a20face22030574128a0ad298ee352c5',9);
INSERT INTO "digests" VALUES(11,'sha256:6298b0656917d34e0f4ea81cd54a49af7fd4a4b518da8cde55ebfd69d0034e63',NULL);
INSERT INTO "digests" VALUES(18,'sha256:0889a4b6a3c54b6d4d27019cbb249dac0e01c8ba9e3e1edb615211eb114f1476',24);
INSERT INTO "digests" VALUES(19,'sha256:17779de89e061e54bb937334212127a889712dc0575fcd6708282099541fd719',NULL);
INSERT INTO "digests" VALUES(25,'sha256:f04faf8cdf7abbbd1b21bc2f21c40be37dd652552dfebec11dc13622f8ca96b4',21);
INSERT INTO "digests" VALUES(26,'sha256:17a1b912f731898851a01be18ed8989018d93f14684c2ac6d878d0eb17fbbf32',151);
INSERT INTO "digests" VALUES(29,'sha256:ab29627d4c4a0ccb360a00b5dc07edf48f335293fc1e49ebae2bf3067a108bc7',NULL);
INSERT INTO "digests" VALUES(30,'sha256:8948acb1e4c0af16d7fc0431fad1192c71808fc3602d1245fa3248edd975a901',NULL);
CREATE TABLE layers (
    key TEXT PRIMARY KEY,        -- of what went in (builder.layer_key)
    digest TEXT NOT NULL,        -- of the blob's bytes
    diff_id TEXT NOT NULL,       -- of the uncompressed tar
    size INTEGER NOT NULL,       -- of the blob, bytes
    media_type TEXT NOT NULL,
    paths TEXT NOT NULL          -- the store paths in it, JSON
) STRICT;
INSERT INTO "layers" VALUES('key of hello layer','sha256:f7c29f8fe34e77a4bc879afe7d1d475c3baa4d20111562eb65a4753a3630f37f','sha256:f7c29f8fe34e77a4bc879afe7d1d475c3baa4d20111562eb65a4753a3630f37f',11,'application/vnd.oci.image.layer.v1.tar','["/nix/store/00000000000000000000000000000000-hello"]');
INSERT INTO "layers" VALUES('key of git layer','sha256:3e61852af90326dc467e33b393ad5316a20face22030574128a0ad298ee352c5','sha256:3e61852af90326dc467e33b393ad5316a20face22030574128a0ad298ee352c5',9,'application/vnd.oci.image.layer.v1.tar','["/nix/store/00000000000000000000000000000000-git"]');
INSERT INTO "layers" VALUES('key of glibc layer','sha256:0d7a8ee074ba0c320be620fcd5c06666b921c1fdd4ecf72a66863df76217aab7','sha256:0d7a8ee074ba0c320be620fcd5c06666b921c1fdd4ecf72a66863df76217aab7',11,'application/vnd.oci.image.layer.v1.tar','["/nix/store/00000000000000000000000000000000-glibc"]');
INSERT INTO "layers" VALUES('key of git layer of another day','sha256:0889a4b6a3c54b6d4d27019cbb249dac0e01c8ba9e3e1edb615211eb114f1476','sha256:0889a4b6a3c54b6d4d27019cbb249dac0e01c8ba9e3e1edb615211eb114f1476',24,'application/vnd.oci.image.layer.v1.tar','["/nix/store/00000000000000000000000000000000-git"]');
CREATE TABLE manifests (
    digest TEXT PRIMARY KEY,
    media_type TEXT NOT NULL,
    needs TEXT NOT NULL,         -- numbers of all blobs it needs, JSON
    size INTEGER NOT NULL        -- of these blobs together, bytes
) STRICT;
INSERT INTO "manifests" VALUES('sha256:e0ea492e83eb896846bf63df7b4fe01890285820e61b131ce14b094fe145b083','application/vnd.oci.image.manifest.v1+json','[3, 1, 2]',445);
INSERT INTO "manifests" VALUES('sha256:2c1bd600077783a1c2c3d2f573a07ac8bf6e93aa8dae34d3efc99a5745c69fb7','application/vnd.oci.image.manifest.v1+json','[11, 1, 10]',441);
INSERT INTO "manifests" VALUES('sha256:465628d4bf76d35d1eaaec2d8759feb5550596650659442ad6c011a6636e243c','application/vnd.oci.image.manifest.v1+json','[19, 1, 18]',471);
INSERT INTO "manifests" VALUES('sha256:ab29627d4c4a0ccb360a00b5dc07edf48f335293fc1e49ebae2bf3067a108bc7','application/vnd.oci.image.manifest.v1+json','[26, 25]',172);
INSERT INTO "manifests" VALUES('sha256:0f0b7126ec02bba16ebb55b87ebac442992cbd4d6dbd3e4fb0116732bbe919c7','application/vnd.oci.image.index.v1+json','[29, 30]',402);
CREATE TABLE mirrored_manifests (
    digest TEXT NOT NULL REFERENCES manifests (digest),
    upstream TEXT NOT NULL,      -- where it is from, and so the blobs it names
    repository TEXT NOT NULL,
    PRIMARY KEY (digest, upstream, repository)
) STRICT;
INSERT INTO "mirrored_manifests" VALUES('sha256:ab29627d4c4a0ccb360a00b5dc07edf48f335293fc1e49ebae2bf3067a108bc7','docker.io','library/nginx');
INSERT INTO "mirrored_manifests" VALUES('sha256:0f0b7126ec02bba16ebb55b87ebac442992cbd4d6dbd3e4fb0116732bbe919c7','docker.io','library/nginx');
CREATE TABLE mirrored_tag_pages (
    upstream TEXT NOT NULL,
    repository TEXT NOT NULL,
    n INTEGER NOT NULL,          -- how many were asked for, -1: no matter
    last TEXT NOT NULL,          -- after which one, '': from the start
    tags TEXT NOT NULL,          -- JSON
    next_last TEXT,
    PRIMARY KEY (upstream, repository, n, last)
) STRICT;
INSERT INTO "mirrored_tag_pages" VALUES('docker.io','library/nginx',-1,'','["1", "gone"]',NULL);
CREATE TABLE mirrored_tags (
    upstream TEXT NOT NULL,
    repository TEXT NOT NULL,
    tag TEXT NOT NULL,
    manifest TEXT NOT NULL,
    checked REAL NOT NULL,       -- seconds since the epoch
    gone INTEGER NOT NULL,       -- 1: the upstream says it is not there, or not for us
    PRIMARY KEY (upstream, repository, tag)
) STRICT;
INSERT INTO "mirrored_tags" VALUES('docker.io','library/nginx','1','sha256:0f0b7126ec02bba16ebb55b87ebac442992cbd4d6dbd3e4fb0116732bbe919c7',4000.0,0);
INSERT INTO "mirrored_tags" VALUES('docker.io','library/nginx','gone','sha256:0f0b7126ec02bba16ebb55b87ebac442992cbd4d6dbd3e4fb0116732bbe919c7',4000.0,1);
CREATE TABLE pins (
    kind TEXT NOT NULL,          -- names.Kind
    image TEXT NOT NULL,
    tag TEXT NOT NULL,
    PRIMARY KEY (kind, image, tag)
) STRICT;
INSERT INTO "pins" VALUES('nix','git?x86_64-linux','latest');
INSERT INTO "pins" VALUES('mirrored','docker.io/library/nginx','1');
CREATE TABLE tag_history (
    kind TEXT NOT NULL,          -- names.Kind
    name TEXT NOT NULL,          -- repository:tag
    manifest TEXT NOT NULL,
    since REAL NOT NULL          -- seconds since the epoch
) STRICT;
INSERT INTO "tag_history" VALUES('nix','hello:latest','sha256:e0ea492e83eb896846bf63df7b4fe01890285820e61b131ce14b094fe145b083',1000.0);
INSERT INTO "tag_history" VALUES('nix','git:latest','sha256:2c1bd600077783a1c2c3d2f573a07ac8bf6e93aa8dae34d3efc99a5745c69fb7',2000.0);
INSERT INTO "tag_history" VALUES('nix','git:latest','sha256:465628d4bf76d35d1eaaec2d8759feb5550596650659442ad6c011a6636e243c',3000.0);
INSERT INTO "tag_history" VALUES('mirrored','docker.io/library/nginx:1','sha256:0f0b7126ec02bba16ebb55b87ebac442992cbd4d6dbd3e4fb0116732bbe919c7',4000.0);
INSERT INTO "tag_history" VALUES('nix','old:latest','sha256:7d7a7bd5464f6b96296ecf79c0802e7a502465f187c18d4cb3522aa20abb9866',100.0);
CREATE TABLE tags (
    image TEXT NOT NULL,         -- names.ImageName.key
    tag TEXT NOT NULL,
    repository TEXT NOT NULL,    -- as it was last asked for
    manifest TEXT NOT NULL REFERENCES manifests (digest),
    built REAL NOT NULL,         -- seconds since the epoch
    PRIMARY KEY (image, tag)
) STRICT;
INSERT INTO "tags" VALUES('hello?x86_64-linux','latest','hello','sha256:e0ea492e83eb896846bf63df7b4fe01890285820e61b131ce14b094fe145b083',1000.0);
INSERT INTO "tags" VALUES('git?x86_64-linux','latest','git','sha256:465628d4bf76d35d1eaaec2d8759feb5550596650659442ad6c011a6636e243c',3000.0);
CREATE TABLE uses (
    manifest TEXT PRIMARY KEY,
    used REAL NOT NULL           -- seconds since the epoch
) STRICT;
INSERT INTO "uses" VALUES('sha256:e0ea492e83eb896846bf63df7b4fe01890285820e61b131ce14b094fe145b083',5000.0);
INSERT INTO "uses" VALUES('sha256:2c1bd600077783a1c2c3d2f573a07ac8bf6e93aa8dae34d3efc99a5745c69fb7',4999.999);
INSERT INTO "uses" VALUES('sha256:465628d4bf76d35d1eaaec2d8759feb5550596650659442ad6c011a6636e243c',5000.0);
INSERT INTO "uses" VALUES('sha256:ab29627d4c4a0ccb360a00b5dc07edf48f335293fc1e49ebae2bf3067a108bc7',5000.0);
INSERT INTO "uses" VALUES('sha256:0f0b7126ec02bba16ebb55b87ebac442992cbd4d6dbd3e4fb0116732bbe919c7',5000.0);
CREATE TRIGGER manifest_written AFTER INSERT ON manifests BEGIN
    INSERT OR REPLACE INTO uses
        VALUES (new.digest, (julianday('now') - 2440587.5) * 86400.0);
END;
CREATE INDEX tags_by_manifest ON tags (manifest);
CREATE INDEX builds_by_manifest ON builds (manifest);
CREATE INDEX mirrored_tags_by_manifest ON mirrored_tags (manifest);
CREATE INDEX layers_by_digest ON layers (digest);
CREATE TRIGGER manifest_gone AFTER DELETE ON manifests BEGIN
    DELETE FROM closures WHERE manifest = old.digest;
END;
CREATE INDEX history_of_name ON tag_history (kind, name);
CREATE TRIGGER tags_moved_insert AFTER INSERT ON tags
WHEN NOT 0 AND new.manifest IS NOT (SELECT manifest FROM tag_history WHERE kind = 'nix' AND name = new.repository || ':' || new.tag ORDER BY rowid DESC LIMIT 1) BEGIN
    INSERT INTO tag_history VALUES ('nix', new.repository || ':' || new.tag, new.manifest, new.built);
    DELETE FROM tag_history WHERE kind = 'nix' AND name = new.repository || ':' || new.tag AND rowid NOT IN (SELECT rowid FROM tag_history WHERE kind = 'nix' AND name = new.repository || ':' || new.tag ORDER BY rowid DESC LIMIT 20);
END;
CREATE TRIGGER tags_moved_update AFTER UPDATE ON tags
WHEN NOT 0 AND new.manifest IS NOT (SELECT manifest FROM tag_history WHERE kind = 'nix' AND name = new.repository || ':' || new.tag ORDER BY rowid DESC LIMIT 1) BEGIN
    INSERT INTO tag_history VALUES ('nix', new.repository || ':' || new.tag, new.manifest, new.built);
    DELETE FROM tag_history WHERE kind = 'nix' AND name = new.repository || ':' || new.tag AND rowid NOT IN (SELECT rowid FROM tag_history WHERE kind = 'nix' AND name = new.repository || ':' || new.tag ORDER BY rowid DESC LIMIT 20);
END;
CREATE TRIGGER mirrored_tags_moved_insert AFTER INSERT ON mirrored_tags
WHEN NOT new.gone AND new.manifest IS NOT (SELECT manifest FROM tag_history WHERE kind = 'mirrored' AND name = new.upstream || '/' || new.repository || ':' || new.tag ORDER BY rowid DESC LIMIT 1) BEGIN
    INSERT INTO tag_history VALUES ('mirrored', new.upstream || '/' || new.repository || ':' || new.tag, new.manifest, new.checked);
    DELETE FROM tag_history WHERE kind = 'mirrored' AND name = new.upstream || '/' || new.repository || ':' || new.tag AND rowid NOT IN (SELECT rowid FROM tag_history WHERE kind = 'mirrored' AND name = new.upstream || '/' || new.repository || ':' || new.tag ORDER BY rowid DESC LIMIT 20);
END;
CREATE TRIGGER mirrored_tags_moved_update AFTER UPDATE ON mirrored_tags
WHEN NOT new.gone AND new.manifest IS NOT (SELECT manifest FROM tag_history WHERE kind = 'mirrored' AND name = new.upstream || '/' || new.repository || ':' || new.tag ORDER BY rowid DESC LIMIT 1) BEGIN
    INSERT INTO tag_history VALUES ('mirrored', new.upstream || '/' || new.repository || ':' || new.tag, new.manifest, new.checked);
    DELETE FROM tag_history WHERE kind = 'mirrored' AND name = new.upstream || '/' || new.repository || ':' || new.tag AND rowid NOT IN (SELECT rowid FROM tag_history WHERE kind = 'mirrored' AND name = new.upstream || '/' || new.repository || ':' || new.tag ORDER BY rowid DESC LIMIT 20);
END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('digests',35);
COMMIT;
