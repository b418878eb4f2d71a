"""Configs that others wrote: typed and bounded, or refused."""

import json

import pytest
from hypothesis import given, strategies as st

from nixeryd.cache.configs import MAX_CONFIG, ImageConfig, UnreadableConfig, read_config

REAL = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2026-01-01T00:00:00Z",
    "config": {
        "User": "",
        "Env": ["PATH=/bin"],
        "Cmd": ["sh"],
        "Entrypoint": None,
        "Labels": {"a": "b"},
        "ExposedPorts": {"80/tcp": {}},
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5_000_000_000},
        "ArgsEscaped": True,
    },
    "rootfs": {"type": "layers", "diff_ids": []},
    "history": [
        {"created_by": "ADD x"},
        {"created_by": "CMD", "empty_layer": True},
        {},
    ],
}


def test_what_is_shown_of_a_config():
    config = read_config(json.dumps(REAL).encode())
    assert config.platform == "linux/amd64"
    assert config.run() == {
        "User": "",
        "Env": ["PATH=/bin"],
        "Cmd": ["sh"],
        "Labels": {"a": "b"},
        "ExposedPorts": {"80/tcp": {}},
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5_000_000_000},
    }
    assert config.made_by(2) == ["ADD x", ""]
    assert config.made_by(3) == ["", "", ""]


@pytest.mark.parametrize("body", [b"{}", b'{"config":null,"history":null}'])
def test_nothing_is_needed(body):
    config = read_config(body)
    assert (config.platform, config.run(), config.made_by(1)) == ("", {}, [""])


@pytest.mark.parametrize(
    "body",
    [
        b'{"config":[1],"history":5}',
        b'{"config":{"Env":"PATH=/bin"}}',
        b'{"config":{"Env":[7]}}',
        b'{"config":{"Labels":["a"]}}',
        b'{"history":[1]}',
        b'{"os":{}}',
        b"[]",
        b"\xff",
        b'{"config":' * 100_000,
        b"[" * 100_000,
        b'{"config":{"Labels":' + b'{"a":' * 100_000,
        b" " * MAX_CONFIG + b"{}",
    ],
)
def test_what_has_another_type_is_refused(body):
    with pytest.raises(UnreadableConfig):
        read_config(body)


@given(st.binary() | st.recursive(st.none() | st.text(), st.lists).map(repr))
def test_anything_is_read_or_refused(body):
    try:
        read = read_config(body.encode() if isinstance(body, str) else body)
    except UnreadableConfig:
        return
    assert isinstance(read, ImageConfig)
