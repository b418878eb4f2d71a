"""Files of two packages that want the same place are warned of, by name."""

import json

from nixeryd.builder import progress as events
from nixeryd.images.digests import Digest
from tests.builder.conftest import open_builder

MKDIR = "/bin/mkdir -p $out/bin; echo {} > $out/bin/tool; echo same > $out/LICENSE"


async def pull(builder, *repository):
    async with builder.pull(repository, "latest") as channel:
        found = [event async for event in channel]
    lines = [event.line for event in found if isinstance(event, events.LogLine)]
    return [line for line in lines if line.startswith("warning: ")], found[-1]


async def test_colliding_files_are_in_the_log_and_kept_with_the_image(
    nix, write_set, tmp_path
):
    one, two = MKDIR.format("one"), MKDIR.format("two")
    source = write_set(
        f'one = make "one" "{one}"; two = make "two" "{two}";'
        f' more = make "more" "/bin/mkdir -p $out/bin; : > $out/bin/other";'
    )
    async with open_builder(nix, source, tmp_path / "data") as builder:
        warnings, done = await pull(builder, "one", "two", "more")
        # Equal files are no loss: LICENSE is the same in both.
        assert warnings == ["warning: bin/tool: taken from one, not from two"]
        inside = builder._index.insides.find(Digest.parse(done.digest))
        assert inside.warnings == tuple(warnings)
        assert (await pull(builder, "one", "more"))[0] == []
        assert (await pull(builder, "thin", "one", "two"))[0] == warnings
        manifest = await builder.manifest(("one", "two", "more"), "latest")
        assert "tool" not in json.dumps(json.loads(manifest.body))
