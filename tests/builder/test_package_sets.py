"""Package sets that are no nixpkgs: a directory or a file that Nix can import."""

import json

from nixeryd.images.digests import Digest
from nixeryd.images.names import NamePolicy
from tests.builder.conftest import open_builder


async def environment(builder, repository):
    manifest = await builder.manifest(repository, "latest")
    config = Digest.parse(json.loads(manifest.body)["config"]["digest"])
    return json.loads(builder.blob(config).path.read_bytes())["config"]["Env"]


async def test_certificates_are_in_an_image_where_the_set_has_them(
    nix, write_set, tmp_path
):
    certificates = (
        'cacert = make "cacert" "/bin/mkdir -p $out/etc/ssl/certs;'
        ' echo > $out/etc/ssl/certs/ca-bundle.crt";'
    )
    word = 'word = make "word" "echo word > $out";'
    for number, (text, variables) in enumerate(
        [
            (word, 0),
            (word + certificates, 1),
            (word + 'cacert = make "x" ": > $out";', 0),
        ]
    ):
        source = write_set(text)
        async with open_builder(nix, source, tmp_path / f"data{number}") as builder:
            builder.policy = NamePolicy(builder.policy.default_system)
            found = await environment(builder, ("word",))
        assert sum("SSL_CERT_FILE" in line for line in found) == variables
