import re
import sys

import pytest

from nixeryd.config.networking import Network
from nixeryd.config.origins import flatten
from nixeryd.config.settings import ConfigError, Settings, load_settings
from nixeryd.images.logins import mask_all


def write(tmp_path, text):
    path = tmp_path / "config.toml"
    path.write_text(text)
    return path


def test_nothing_needs_to_be_configured(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    settings = load_settings(environ={})
    assert settings.listen == ("127.0.0.1:5000",)
    assert settings.mirror_listen == ("127.0.0.1:5001",)
    assert settings.cache.compression == "none"


def test_a_flag_beats_the_environment_and_that_beats_the_file(tmp_path):
    file = write(
        tmp_path,
        'listen = ["127.0.0.1:1"]\nmirror_listen = ["127.0.0.1:2"]\n'
        '[cache]\ncompression = "gzip"\nmax_size = "1GB"\n',
    )
    settings = load_settings(
        file,
        environ={
            "NIXERYD_LISTEN": "127.0.0.1:3, [::1]:3",
            "NIXERYD_CACHE_COMPRESSION": "zstd",
        },
        flags={"cache": {"compression": "none"}},
    )
    assert settings.listen == ("127.0.0.1:3", "[::1]:3")
    assert settings.mirror_listen == ("127.0.0.1:2",)
    assert settings.cache.compression == "none"
    assert settings.cache.max_size == "1GB"


def test_the_well_known_registries_are_ready(tmp_path):
    file = write(
        tmp_path,
        '[upstreams."ghcr.io"]\ncredentials = "docker"\n'
        '[upstreams."registry.test:5000"]\n'
        '[upstreams."quay.io"]\nurl = "http://127.0.0.1:1"\n',
    )
    found = load_settings(file, environ={}).all_upstreams
    urls = {name: upstream.url for name, upstream in found.items()}
    assert urls == {
        "docker.io": "https://registry-1.docker.io",
        "ghcr.io": "https://ghcr.io",
        "quay.io": "http://127.0.0.1:1",
        "gcr.io": "https://gcr.io",
        "registry.k8s.io": "https://registry.k8s.io",
        "mcr.microsoft.com": "https://mcr.microsoft.com",
        "public.ecr.aws": "https://public.ecr.aws",
        "registry.test:5000": "https://registry.test:5000",
    }
    named = [name for name, up in found.items() if up.credentials != "anonymous"]
    assert named == ["ghcr.io"]


@pytest.mark.parametrize(
    ("variable", "value", "get", "want"),
    [
        ("NIXERY_PKGS_PATH", "/src", lambda s: s.sources["nixpkgs"].path, "/src"),
        ("NIXERY_PKGS_REPO", "u", lambda s: s.sources["nixpkgs"].git, "u"),
        ("NIXERY_CHANNEL", "c", lambda s: s.sources["nixpkgs"].channel, "c"),
        ("NIX_TIMEOUT", "60", lambda s: s.nix.timeout, 60),
        ("NIX_POPULARITY_URL", "/p.json", lambda s: s.nix.popularity, "/p.json"),
        ("NIXERYD_NIX_TIMEOUT", "7", lambda s: s.nix.timeout, 7),
        ("NIXERYD_OFFLINE", "true", lambda s: s.offline, True),
        ("NIXERYD_DATA_DIR", "/d", lambda s: str(s.data_path), "/d"),
    ],
)
def test_every_option_is_a_variable_too(variable, value, get, want):
    assert get(load_settings(environ={variable: value})) == want


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[upstreams."https://ghcr.io"]\nurl = ""', r"config\.toml: .*upstreams"),
        ("[cache]\nttl = -1", r"config\.toml: .*cache\.ttl"),
        ("chache = 1", r"config\.toml: unknown setting 'chache'; did you mean 'cache'"),
        (
            '[cache]\ncompresion = "gzip"',
            r"unknown setting 'compresion' in \[cache\]; did you mean 'compression'",
        ),
        (
            '[cache]\nlayers = "stream"\ncompression = "gzip"',
            r'"stream" goes with comp',
        ),
        ('[cache]\ncompression = "lzma"', r"'lzma' - at `cache\.compression`"),
        ("listen = 5000", r"Expected `array`, got `int` - at `listen`"),
        ("[nix]\nevaluation_memory = '9 lots'", r"nix\.evaluation_memory: "),
        ("[nix]\ntimeout = -1", r">= 0 - at `nix\.timeout`"),
        ("[sources.a]\n", r"one of path, git, channel, flake, and it has none"),
        (
            "[sources.a]\npath = '/a'\nflake = '/b'",
            r"one of path, git, channel, flake, not path and flake - at `sources",
        ),
        ("[sources.a]\npath = '/a'\nref = 'x'", r"ref goes with git"),
        ("[sources.a]\nflake = '/a'\nrefs = ['refs/x']", r"refs goes with path and"),
        ("[sources.a]\npath = '/a'\nrefs = ['pull/*']", r"\^refs/.*sources"),
        ("[sources.a]\npaht = '/a'", r"unknown setting 'paht' .*did you mean 'path'"),
        ("[sources.latest]\npath = '/a'", r"no tag can name a source called 'latest'"),
        ("[sources.'a..b']\npath = '/a'", r"no tag can name a source called 'a\.\.b'"),
        ('source = "work"', r"source = 'work' names no \[sources"),
        ("listen = [", r"is not TOML"),
        (
            '[cache]\nmax_size = "20 gigs"',
            r"config\.toml: cache\.max_size: '20 gigs' is not a size: .* 20GB",
        ),
        ("[cache]\nmax_size = -5", r"cache\.max_size: '-5' is not a size"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load_settings(write(tmp_path, text), environ={})


def test_a_mistake_in_a_variable_names_the_environment():
    with pytest.raises(ConfigError, match="the environment: Expected `int`"):
        load_settings(environ={"NIX_TIMEOUT": "soon"})


@pytest.mark.parametrize(
    ("text", "cap"),
    [("", 20 * 10**9), ("max_size = '1.5GiB'", 3 * 2**29), ("max_size = 0", None)],
)
def test_the_cap_is_in_bytes(tmp_path, text, cap):
    settings = load_settings(write(tmp_path, f"[cache]\n{text}\n"), environ={})
    assert settings.cache.cap == cap


def test_the_cap_of_a_variable_is_checked_too():
    environ = {"NIXERYD_CACHE_MAX_SIZE": "lots"}
    with pytest.raises(ConfigError, match=r"the environment: cache\.max_size: 'lots'"):
        load_settings(environ=environ)
    environ = {"NIXERYD_CACHE_MAX_SIZE": "0"}
    assert load_settings(environ=environ).cache.cap is None


def test_a_named_file_must_be_there(tmp_path):
    with pytest.raises(ConfigError, match="no configuration file"):
        load_settings(tmp_path / "missing.toml", environ={})


def test_an_unreadable_file_is_a_clear_error(tmp_path):
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings(file, environ={})


def test_a_source_of_another_kind_replaces_the_one_in_the_file(tmp_path):
    file = write(tmp_path, "[sources.nixpkgs]\ngit = 'u'\nref = 'r'")
    settings = load_settings(file, environ={"NIXERY_PKGS_PATH": "/src"})
    assert settings.sources["nixpkgs"].path == "/src"
    assert settings.sources["nixpkgs"].git == ""


def test_two_of_nixerys_sources_at_once_are_a_mistake():
    both = {"NIXERY_PKGS_PATH": "/src", "NIXERY_CHANNEL": "nixos-unstable"}
    with pytest.raises(ConfigError, match=r"the environment: .*not path and channel"):
        load_settings(environ=both)


def test_an_evaluation_has_a_limit_of_memory_by_default(tmp_path):
    memory = load_settings(environ={}).nix.limits[1]
    assert memory >= (4 << 30 if sys.platform == "linux" else 0)
    for said, meant in (("0", 0), ("'8GB'", 8 * 10**9), ("'auto'", memory)):
        file = write(tmp_path, f"[nix]\nevaluation_memory = {said}")
        assert load_settings(file, environ={}).nix.limits[1] == meant
    variables = {"NIXERYD_NIX_EVALUATION_MEMORY": "auto"}
    assert load_settings(environ=variables).nix.limits[1] == memory


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('username = "me"', "username and password_file go together"),
        ('password_file = "/x"', "username and password_file go together"),
        (
            'username = "me"\npassword_file = "/x"\ncredentials = "docker"',
            'one login only, not credentials = "docker" and username',
        ),
        ('credential_helper = "docker-credential/x"', "is the NAME of"),
        ('key = "/x"', "key goes with cert"),
        ('ca = "/x"\ninsecure = true', "either ca or insecure"),
        ('ca = "x.pem"', "ca must be an absolute path"),
        ('pasword_file = "/x"', "did you mean 'password_file'"),
    ],
)
def test_an_upstream_that_contradicts_itself_is_explained(tmp_path, text, said):
    file = write(tmp_path, f'[upstreams."harbor.corp"]\n{text}\n')
    with pytest.raises(ConfigError, match=re.escape(said)):
        load_settings(file, environ={})


def test_a_proxy_is_checked_and_its_password_not_quoted(tmp_path):
    for proxy, said in (
        ("http://me:hush@p:x", "its port"),
        ("me:hush@p:1", "write it as http://"),
        ("http://me:hu/sh@p:1", "its port"),
    ):
        file = write(tmp_path, f'[network]\nproxy = "{proxy}"\n')
        with pytest.raises(ConfigError, match=rf"network\.proxy: {said}") as caught:
            load_settings(file, environ={})
        assert "sh@" not in str(caught.value)
    shown = mask_all(flatten(Settings(network=Network(proxy="http://me:hush@p:1"))))
    assert shown["network.proxy"] == "http://***@p:1"
    environ = {"NIXERYD_NETWORK_PROXY": "http://p:1", "NIXERYD_NETWORK_RETRIES": "5"}
    network = load_settings(write(tmp_path, ""), environ=environ).network
    assert (network.proxy, network.retries) == ("http://p:1", 5)


def test_more_to_watch_are_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "config.toml"
    file.write_text('[sources.a]\npath = "/a"\nwatch = ["~/overlays", "/etc/nixos"]\n')
    source = load_settings(file, {}).sources["a"]
    assert source.watched == (f"{tmp_path}/overlays", "/etc/nixos")
