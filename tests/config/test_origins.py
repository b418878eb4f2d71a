from nixeryd.config.origins import explain_settings, flatten
from nixeryd.config.settings import Settings


def test_each_value_says_what_set_it(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(
        'listen = ["127.0.0.1:1"]\n[cache]\ncompression = "gzip"\n'
        '[sources.work]\npath = "/w"\n[upstreams."ghcr.io"]\nurl = "https://g"\n'
    )
    found = {
        setting.name: (setting.value, setting.origin)
        for setting in explain_settings(
            file,
            environ={"NIXERYD_CACHE_COMPRESSION": "zstd", "NIX_TIMEOUT": "9"},
            flags={
                "mirror_listen": ("127.0.0.1:2",),
                "sources": {"nixpkgs": {"path": "/n"}},
                "source": "nixpkgs",
            },
        )
    }
    assert found["listen"] == (("127.0.0.1:1",), str(file))
    assert found["cache.compression"] == ("zstd", "NIXERYD_CACHE_COMPRESSION")
    assert found["nix.timeout"] == (9, "NIX_TIMEOUT")
    assert found["mirror_listen"] == (("127.0.0.1:2",), "--mirror-listen")
    assert found["sources.work.path"] == ("/w", str(file))
    assert found["sources.nixpkgs.path"] == ("/n", "--nixpkgs")
    assert found['upstreams."ghcr.io".url'] == ("https://g", str(file))
    assert found["offline"] == (False, "default")


def test_flattened_settings_are_all_settings():
    names = flatten(Settings())
    assert {"listen", "cache.max_size", "nix.timeout"} <= names.keys()
    assert not any(isinstance(value, dict) for value in names.values())
