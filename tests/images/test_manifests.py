import json

import pytest
from hypothesis import given, strategies as st

from nixeryd.images.digests import Digest
from nixeryd.images.manifests import (
    LayerDescriptor,
    Programs,
    default_command,
    default_environment,
    describe_layer,
    layer_media_type,
    render_config,
    render_manifest,
)

ONE, TWO = Digest("1" * 64), Digest("2" * 64)


def config(**changes) -> bytes:
    fields = {
        "architecture": "amd64",
        "env": default_environment(has_certificates=True),
        "cmd": ["git"],
        "labels": {},
        "diff_ids": [ONE],
        "history": ["nixeryd: git-2.47"],
    }
    return render_config(**{**fields, **changes})


def test_a_config_is_rendered_to_these_bytes():
    assert (
        config(labels={"b": "ü", "a": "x"})
        == (
            '{"architecture":"amd64","config":{"Cmd":["git"],'
            '"Env":["PATH=/bin:/usr/bin:/sbin:/usr/sbin",'
            '"SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt"],'
            '"Labels":{"a":"x","b":"ü"}},'
            '"created":"1970-01-01T00:00:01Z",'
            '"history":[{"created":"1970-01-01T00:00:01Z",'
            '"created_by":"nixeryd: git-2.47"}],'
            f'"os":"linux","rootfs":{{"diff_ids":["{ONE}"],"type":"layers"}}}}'
        ).encode()
    )


def test_a_manifest_is_rendered_to_these_bytes():
    layer = LayerDescriptor(ONE, TWO, 7, layer_media_type("zstd"))
    digest = Digest.of(b"{}")
    assert (
        render_manifest(b"{}", [layer])
        == (
            f'{{"config":{{"digest":"{digest}",'
            '"mediaType":"application/vnd.oci.image.config.v1+json","size":2},'
            f'"layers":[{{"digest":"{ONE}",'
            '"mediaType":"application/vnd.oci.image.layer.v1.tar+zstd","size":7}],'
            '"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}'
        ).encode()
    )


def test_a_layer_may_have_annotations():
    layer = LayerDescriptor(ONE, TWO, 7, "t", (("b", "2"), ("a", "1")))
    (rendered,) = json.loads(render_manifest(b"{}", [layer]))["layers"]
    assert rendered["annotations"] == {"a": "1", "b": "2"}


def test_layers_keep_their_order():
    layers = [LayerDescriptor(d, d, 1, "t") for d in (TWO, ONE)]
    rendered = json.loads(render_manifest(b"{}", layers))
    assert [layer["digest"] for layer in rendered["layers"]] == [str(TWO), str(ONE)]
    rendered = json.loads(config(diff_ids=[TWO, ONE], history=["x", "y"]))
    assert rendered["rootfs"]["diff_ids"] == [str(TWO), str(ONE)]
    assert [entry["created_by"] for entry in rendered["history"]] == ["x", "y"]


@given(st.dictionaries(st.text("aB_é"), st.text("x= é"), min_size=2))
def test_the_order_of_mappings_makes_no_difference(mapping):
    backwards = dict(reversed(mapping.items()))
    assert config(env=mapping, labels=mapping) == config(
        env=backwards, labels=backwards
    )


def test_what_is_not_set_is_left_out():
    rendered = json.loads(config(cmd=None, labels={}))
    assert rendered["config"].keys() == {"Env"}


def test_every_layer_needs_its_history():
    with pytest.raises(ValueError, match="2 history entries, 1 layers"):
        config(history=["x", "y"])


@pytest.mark.parametrize(
    ("compression", "suffix"), [("none", ""), ("gzip", "+gzip"), ("zstd", "+zstd")]
)
def test_a_layers_type_tells_its_compression(compression, suffix):
    expected = "application/vnd.oci.image.layer.v1.tar" + suffix
    assert layer_media_type(compression) == expected


def test_an_unknown_compression_is_an_error():
    with pytest.raises(ValueError, match="'lzma': one of none, gzip, zstd"):
        layer_media_type("lzma")


GIT = Programs("git", ("git", "git-shell", "scalar"))
JQ = Programs(None, ("jq",))


@pytest.mark.parametrize(
    ("packages", "is_shell", "command"),
    [
        ([], True, ("bash",)),
        ([GIT], True, ("bash",)),
        ([GIT], False, ("git",)),
        ([JQ], False, ("jq",)),
        ([GIT, JQ], False, None),
        ([], False, None),
        ([Programs(None, ("a", "b"))], False, None),
        ([Programs(None, ())], False, None),
        ([Programs("gone", ())], False, None),
        ([Programs("gone", ("here",))], False, ("here",)),
        ([Programs(None, (".x-wrapped", "x"))], False, ("x",)),
        ([Programs(None, (".x-wrapped",))], False, None),
    ],
)
def test_the_default_command_is_what_the_name_makes_plain(packages, is_shell, command):
    assert default_command(packages, is_shell=is_shell) == command


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["a"], "nixeryd: a"),
        (["a-1.0", "b", "c", "d"], "nixeryd: a-1.0, b, c, d"),
        (["a", "b", "c", "d", "e"], "nixeryd: a, b, c and 2 more"),
    ],
)
def test_a_layer_is_described_in_a_line(names, text):
    for store in ("/nix/store", "/of-mine/store"):
        paths = [f"{store}/{'0' * 32}-{name}" for name in names]
        assert describe_layer(paths) == text
