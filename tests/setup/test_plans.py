"""What the corpus does not show: other addresses, and files that are refused."""

import json
import tomllib

import pytest

from nixeryd.setup import buildkit, containerd, docker, lines, podman, toml_text
from nixeryd.setup.errors import ParseError, SetupError
from nixeryd.setup.targets import Targets, parse_address

V3 = 'plugins."io.containerd.cri.v1.images"'


@pytest.mark.parametrize(
    "mirror",
    [
        "http://127.0.0.1:5001",
        "http://127.0.0.1:5001/",
        "http://localhost:5001",
    ],
)
def test_a_mirror_that_is_there_is_not_added_again(mirror):
    text = json.dumps({"registry-mirrors": ["https://first.example", mirror]})
    assert docker.plan(text, "127.0.0.1:5001") == text


def test_another_port_is_another_mirror():
    text = '{"registry-mirrors": ["http://127.0.0.1:5001"]}'
    data = json.loads(docker.plan(text, "127.0.0.1:6001"))
    assert data["registry-mirrors"][0] == "http://127.0.0.1:6001"


def test_a_registry_with_another_name_is_declared_insecure():
    text = docker.plan("{}", "vm.internal:5001", "vm.internal:5000")
    assert json.loads(text) == {
        "registry-mirrors": ["http://vm.internal:5001"],
        "insecure-registries": ["vm.internal:5000"],
    }


@pytest.mark.parametrize(
    ("registry", "message"),
    [
        ('[R.mirrors."docker.io"]\nendpoint = ["x"]', "registry.mirrors is set"),
        ('[R.configs."a.b".tls]\nca_file = "x"', "registry.configs tls is set"),
    ],
)
def test_config_path_is_not_put_beside_what_containerd_refuses_with_it(
    registry, message
):
    table = 'plugins."io.containerd.grpc.v1.cri".registry'
    text = "version = 2\n" + registry.replace("R", table, 1)
    with pytest.raises(SetupError, match=message):
        containerd.plan_config(text, "/c")


def test_an_unknown_version_of_config_toml_is_refused():
    with pytest.raises(SetupError, match="version = 9"):
        containerd.plan_config("version = 9\n", "/c")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (None, None),
        ("version = 2\n", None),
        ('\ufeffplugins.cri.registry.config_path = "/a:/b"\n', "/a"),
        (f'version = 3\n{V3}.registry.config_path = "/x"\n', "/x"),
    ],
)
def test_the_directory_that_containerd_looks_in_is_read(text, path):
    assert containerd.config_path_of(text) == path


def test_hosts_toml_asks_us_and_then_the_real_one():
    text = containerd.plan_hosts(None, "127.0.0.1:5000", "https://ghcr.io")
    assert tomllib.loads(text) == {
        "server": "https://ghcr.io",
        "host": {
            "http://127.0.0.1:5000": {
                "capabilities": ["pull", "resolve"],
                "dial_timeout": "3s",
            }
        },
    }


@pytest.mark.parametrize(
    ("plan", "text", "message"),
    [
        # Inline tables are closed, says TOML; rewriting them is not adding.
        (
            lambda t: containerd.plan_hosts(t, "h:1", "https://x"),
            'host = {"https://a" = {}} # mine\n',
            "host table cannot be added to",
        ),
        # This one could be added to at the end only, and would be asked last.
        (
            lambda t: containerd.plan_hosts(t, "h:1", "https://x"),
            'host."https://a".capabilities = ["pull"]\n',
            "host table cannot be added to",
        ),
        (
            lambda t: podman.plan(t, "127.0.0.1:5000", ["quay.io"]),
            'registry = [{location = "quay.io"}]\n',
            "in a way that nixeryd cannot add to",
        ),
        (
            lambda t: podman.plan(t, "127.0.0.1:5000", []),
            "[registries.insecure]\nregistries = ['a']\n",
            "old format, version 1",
        ),
        (
            lambda t: buildkit.plan(t, "h:1", ["docker.io"]),
            '[registry."docker.io"]\nmirrors = "one"\n',
            'registry."docker.io".mirrors is not a list',
        ),
        (
            lambda t: buildkit.plan(t, "h:1", ["docker.io"]),
            'registry = "x"\n',
            'registry."docker.io" is not a table',
        ),
    ],
)
def test_what_cannot_be_added_to_is_refused(plan, text, message):
    with pytest.raises(SetupError) as caught:
        plan(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\na = 2\n", "line 2, column 6: not TOML"),
        ("a = 1\nb\n", "line 2, column 2: not TOML"),
        ("a = [1,\n", "line 2, column 1: not TOML"),
        ("[a\n", "line 1, column 3: not TOML"),
        ("a = " + "[" * 10_000, "nested too deep"),
    ],
)
def test_what_is_no_toml_is_named_with_its_place(text, message):
    with pytest.raises(ParseError, match=message):
        toml_text.parse(text)


def test_bytes_that_are_no_utf8_are_named_with_their_place():
    with pytest.raises(ParseError, match="line 2, column 4: not UTF-8"):
        lines.decode(b"{\n  \xe4\xff}\n"[:4] + b"x\xff")


def test_a_header_inside_a_string_is_not_taken_for_one():
    text = 'note = """\n[registry."docker.io"]\n"""\n'
    data = tomllib.loads(buildkit.plan(text, "h:1", ["docker.io"]))
    assert data["note"] == tomllib.loads(text)["note"]
    assert data["registry"]["docker.io"]["mirrors"] == ["h:1"]


def test_each_line_of_a_mixed_file_keeps_its_own_ending():
    text = 'a = 1\r\nb = 2\n[registry."h:1"]\r\nhttp = false\r\n'
    new = lines.edit(text, lambda plain: plain.replace("false", "true") + "c = 3")
    assert new == 'a = 1\r\nb = 2\n[registry."h:1"]\r\nhttp = true\r\nc = 3'


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("0.0.0.0:80", "127.0.0.1:80"),
        ("[::]:5000", "127.0.0.1:5000"),
        ("[::1]:5000", "[::1]:5000"),
        ("localhost:5000", "localhost:5000"),
    ],
)
def test_an_address_is_said_as_a_client_says_it(text, want):
    assert parse_address(text) == want


NO_ADDRESSES = ["", "5000", ":5000", "h:", "h:0", "h:65536", "h:5_0", "http://h:1"]
NO_ADDRESSES += ["::1:5000", "h:٣", 'a"b:1', "a b:1", "[::1:5000", "h:" + "9" * 5000]


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(SetupError):
        parse_address(text)


def test_an_engine_in_a_vm_is_given_the_hosts_name():
    seen = Targets().seen_from_vm("host.docker.internal")
    assert seen.mirror == "host.docker.internal:5001"
    assert seen.registry == "host.docker.internal:5000"


@pytest.mark.parametrize(
    ("old", "new", "is_kept"),
    [
        ("a = 1 # why\n", "a = 2 # why\n", True),
        ("a = 1 # why\n", "a = 2\n", False),
        ("# why\na = 1\n", "a = 2\n", False),
        ("a = 1\n", "a = 3\n", False),
        ("a = 1\n", "a = 2 2\n", False),
        ("a = 1\nb = 1\n", "a = 2\nb = 0x1\n", False),
    ],
)
def test_a_change_that_loses_something_is_seen(old, new, is_kept):
    expected = {**tomllib.loads(old), "a": 2}
    assert toml_text.checked(old, new, expected) is is_kept


def test_comments_stay_with_what_they_are_about():
    old = """\
[[registry]]
location = "quay.io"
# insecure = true

[[registry]]
location = "ghcr.io"
# slow
[[registry.mirror]]
location = "m.example"
"""
    new = podman.plan(old, "127.0.0.1:5000", ["quay.io", "ghcr.io"])
    assert 'location = "quay.io"\n# insecure = true\n\n[[registry.mirror]]' in new
    assert '# slow\n[[registry.mirror]]\nlocation = "m.example"' in new
