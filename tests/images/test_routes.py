import pytest
from hypothesis import given, strategies as st

from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.images.routes import (
    ApiVersion,
    BlobRoute,
    ManifestRoute,
    Nix,
    ReferrersRoute,
    TagsRoute,
    Upstream,
    decide,
    route,
)

DIGEST = Digest("0123456789abcdef" * 4)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2", ApiVersion()),
        ("/v2/", ApiVersion()),
        ("/v2/git/manifests/latest", ManifestRoute(("git",), "latest")),
        ("/v2/shell/git/manifests/v1.0", ManifestRoute(("shell", "git"), "v1.0")),
        (f"/v2/git/manifests/{DIGEST}", ManifestRoute(("git",), DIGEST)),
        (f"/v2/shell/git/blobs/{DIGEST}", BlobRoute(("shell", "git"), DIGEST)),
        ("/v2/a/b/tags/list", TagsRoute(("a", "b"), None, None)),
        (f"/v2/a/b/referrers/{DIGEST}", ReferrersRoute(("a", "b"), DIGEST)),
    ],
)
def test_the_api_is_routed(path, expected):
    assert route(path, {}) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v2/manifests/manifests/x", ManifestRoute(("manifests",), "x")),
        (
            "/v2/manifests/manifests/manifests",
            ManifestRoute(("manifests",), "manifests"),
        ),
        ("/v2/tags/list/manifests/x", ManifestRoute(("tags", "list"), "x")),
        ("/v2/a/tags/manifests/list", ManifestRoute(("a", "tags"), "list")),
        ("/v2/blobs/uploads/manifests/x", ManifestRoute(("blobs", "uploads"), "x")),
        ("/v2/v2/manifests/x", ManifestRoute(("v2",), "x")),
        ("/v2/tags/list/tags/list", TagsRoute(("tags", "list"), None, None)),
        ("/v2/manifests/tags/list", TagsRoute(("manifests",), None, None)),
        (f"/v2/blobs/blobs/{DIGEST}", BlobRoute(("blobs",), DIGEST)),
        (f"/v2/a/manifests/blobs/{DIGEST}", BlobRoute(("a", "manifests"), DIGEST)),
        (f"/v2/uploads/blobs/{DIGEST}", BlobRoute(("uploads",), DIGEST)),
        (f"/v2/referrers/referrers/{DIGEST}", ReferrersRoute(("referrers",), DIGEST)),
    ],
)
def test_a_repository_may_be_called_as_the_api_is(path, expected):
    assert route(path, {}) == expected


@pytest.mark.parametrize(
    ("query", "limit", "last"),
    [
        ({}, None, None),
        ({"n": "10"}, 10, None),
        ({"n": "0"}, 0, None),
        ({"last": "v1"}, None, "v1"),
        ({"last": ""}, None, None),
        ({"n": "2", "last": "v1", "ns": "docker.io", "x": "%"}, 2, "v1"),
    ],
)
def test_tags_are_paged(query, limit, last):
    assert route("/v2/a/tags/list", query) == TagsRoute(("a",), limit, last)


def test_unknown_query_keys_are_ignored():
    assert route("/v2/a/manifests/x", {"n": "?"}) == ManifestRoute(("a",), "x")


@pytest.mark.parametrize("n", ["", "-1", "+1", "x", "1_0", "1.5", "\u0661", "1" * 10])
def test_a_limit_is_a_number(n):
    with pytest.raises(RegistryError) as caught:
        route("/v2/a/tags/list", {"n": n})
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/", ErrorCode.NAME_UNKNOWN),
        ("/v1/", ErrorCode.NAME_UNKNOWN),
        ("/v2x/a/manifests/x", ErrorCode.NAME_UNKNOWN),
        ("v2/a/manifests/x", ErrorCode.NAME_UNKNOWN),
        ("/v2/a", ErrorCode.NAME_UNKNOWN),
        ("/v2/a/tags", ErrorCode.NAME_UNKNOWN),
        ("/v2/a/manifests", ErrorCode.NAME_UNKNOWN),
        ("/v2/a/manifests/x/y", ErrorCode.NAME_UNKNOWN),
        ("/v2/_catalog", ErrorCode.UNSUPPORTED),
        ("/v2/a/blobs/uploads", ErrorCode.UNSUPPORTED),
        ("/v2/a/blobs/uploads/", ErrorCode.UNSUPPORTED),
        ("/v2/a/blobs/uploads/1234", ErrorCode.UNSUPPORTED),
        ("/v2/manifests/x", ErrorCode.NAME_INVALID),
        ("/v2//manifests/x", ErrorCode.NAME_INVALID),
        ("/v2/a//b/manifests/x", ErrorCode.NAME_INVALID),
        ("/v2/A/manifests/x", ErrorCode.NAME_INVALID),
        ("/v2/../manifests/x", ErrorCode.NAME_INVALID),
        ("/v2/a/manifests/", ErrorCode.NAME_INVALID),
        ("/v2/a%2fb/manifests/x", ErrorCode.NAME_INVALID),
        ("/v2/%61/manifests/x", ErrorCode.NAME_INVALID),
        ("/v2/a/manifests/%78", ErrorCode.NAME_INVALID),
        (f"/v2/a/blobs/sha256%3A{DIGEST.hex}", ErrorCode.NAME_INVALID),
        ("/v2/a/blobs/x", ErrorCode.DIGEST_INVALID),
        ("/v2/a/referrers/latest", ErrorCode.DIGEST_INVALID),
        ("/v2/a/manifests/sha256:0", ErrorCode.DIGEST_INVALID),
        ("/v2/a/blobs/sha512:0", ErrorCode.DIGEST_INVALID),
        (f"/v2/a/blobs/sha512:{'0' * 128}", ErrorCode.BLOB_UNKNOWN),
        (f"/v2/a/manifests/sha512:{'0' * 128}", ErrorCode.MANIFEST_UNKNOWN),
    ],
)
def test_what_cannot_be_routed_says_why(path, code):
    with pytest.raises(RegistryError) as caught:
        route(path, {})
    assert caught.value.code is code


@given(st.text(alphabet="/v2ab%.:-manifestsblo", max_size=40))
def test_a_path_is_routed_or_refused(path):
    try:
        found = route("/v2/" + path, {})
    except RegistryError:
        return
    assert found == ApiVersion() or "/".join(found.repository) in path


UPSTREAMS = ("docker.io", "ghcr.io")
OWN = ("localhost:5000", "127.0.0.1:5000")


def decided(name: str, ns: str | None, *, mirror: bool, upstreams=UPSTREAMS):
    return decide(
        tuple(name.split("/")),
        ns=ns,
        mirror=mirror,
        upstreams=upstreams,
        own_hosts=OWN,
    )


NIX = "nix"  # stands for: Nix, with all components


@pytest.mark.parametrize(
    ("mirror", "ns", "name", "expected"),
    [
        # The main listener, no ns.
        (False, None, "git", NIX),
        (False, None, "shell/git", NIX),
        (False, None, "nix/git", NIX),
        (False, None, "arm64/git", NIX),
        (False, None, "store/abc", NIX),
        (False, None, "flake/app", NIX),
        (False, None, "git/curl", NIX),
        (False, None, "grafana/grafana", NIX),
        (False, None, "python3packages.requests", NIX),
        (False, None, "quay.io/a/b", NIX),
        (False, None, "git/ghcr.io", NIX),
        (False, None, "library", NIX),
        (False, None, "library/nginx", Upstream("docker.io", "library/nginx")),
        (False, None, "ghcr.io/owner/app", Upstream("ghcr.io", "owner/app")),
        (False, None, "ghcr.io/app", Upstream("ghcr.io", "app")),
        (False, None, "ghcr.io/shell/app", Upstream("ghcr.io", "shell/app")),
        (False, None, "docker.io/library/x", Upstream("docker.io", "library/x")),
        (False, None, "docker.io/x", Upstream("docker.io", "library/x")),
        # Our own address as ns is none.
        (False, "localhost:5000", "git", NIX),
        (False, "127.0.0.1:5000", "ghcr.io/a/b", Upstream("ghcr.io", "a/b")),
        # A named registry.
        (False, "docker.io", "shell/python3", NIX),
        (False, "docker.io", "nix/git/curl", NIX),
        (False, "docker.io", "library/nginx", Upstream("docker.io", "library/nginx")),
        (False, "docker.io", "arm64/git", Upstream("docker.io", "arm64/git")),
        (False, "docker.io", "ghcr.io/a", Upstream("docker.io", "ghcr.io/a")),
        (False, "ghcr.io", "owner/app", Upstream("ghcr.io", "owner/app")),
        (False, "ghcr.io", "shell/app", Upstream("ghcr.io", "shell/app")),
        (False, "ghcr.io", "library/app", Upstream("ghcr.io", "library/app")),
        # The mirror listener.
        (True, None, "shell/python3", NIX),
        (True, None, "nix/git", NIX),
        (True, None, "library/nginx", Upstream("docker.io", "library/nginx")),
        (True, None, "library", Upstream("docker.io", "library/library")),
        (True, None, "amd64/ubuntu", Upstream("docker.io", "amd64/ubuntu")),
        (True, None, "arm64v8/alpine", Upstream("docker.io", "arm64v8/alpine")),
        (True, None, "grafana/grafana", Upstream("docker.io", "grafana/grafana")),
        (True, None, "git", Upstream("docker.io", "library/git")),
        (True, None, "ghcr.io/owner/app", Upstream("ghcr.io", "owner/app")),
        (True, None, "docker.io/library/x", Upstream("docker.io", "library/x")),
        (True, "docker.io", "shell/python3", NIX),
        (True, "docker.io", "library/nginx", Upstream("docker.io", "library/nginx")),
        (True, "ghcr.io", "owner/app", Upstream("ghcr.io", "owner/app")),
        (True, "ghcr.io", "shell/app", Upstream("ghcr.io", "shell/app")),
    ],
)
def test_the_name_decides_who_answers(mirror, ns, name, expected):
    if expected == NIX:
        expected = Nix(tuple(name.split("/")))
    assert decided(name, ns, mirror=mirror) == expected


def test_a_path_of_no_api_is_named_as_far_as_it_fits():
    with pytest.raises(RegistryError, match=r"^'/v1/x' is no part of the registry API"):
        route("/v1/x", {})
    with pytest.raises(RegistryError) as caught:
        route("/v1/" + "x" * 5000, {})
    assert caught.value.message.startswith(f"'/v1/{'x' * 296}' is")


@pytest.mark.parametrize(
    ("mirror", "ns", "name", "upstreams"),
    [
        (False, "quay.io", "a/b", UPSTREAMS),
        (False, "quay.io", "shell/b", UPSTREAMS),
        (False, "", "a/b", UPSTREAMS),
        (False, "GHCR.IO", "a/b", UPSTREAMS),
        (False, None, "ghcr.io", UPSTREAMS),
        (True, None, "ghcr.io", UPSTREAMS),
        (True, "quay.io", "a/b", UPSTREAMS),
        # Never Docker Hub's: it was meant for us, at the wrong door.
        (True, "localhost:5000", "git", UPSTREAMS),
        (False, None, "library/nginx", ("ghcr.io",)),
        (True, None, "library/nginx", ("ghcr.io",)),
        (False, "docker.io", "library/nginx", ()),
    ],
)
def test_a_name_that_nobody_answers_for_is_unknown(mirror, ns, name, upstreams):
    with pytest.raises(RegistryError) as caught:
        decided(name, ns, mirror=mirror, upstreams=upstreams)
    assert caught.value.code is ErrorCode.NAME_UNKNOWN
    assert caught.value.status == 404


def test_nix_answers_for_its_names_even_without_docker_hub():
    own = Nix(("shell", "git"))
    assert decided("shell/git", "docker.io", mirror=False, upstreams=()) == own
    assert decided("shell/git", None, mirror=True, upstreams=()) == own


def test_the_prefixes_are_configurable():
    prefixes = {"pkgs"}
    own = decide(
        ("pkgs", "git"), ns=None, mirror=True, upstreams=UPSTREAMS, own_hosts=OWN,
        nix_prefixes=prefixes,
    )  # fmt: skip
    assert own == Nix(("pkgs", "git"))
    theirs = decide(
        ("shell", "git"), ns=None, mirror=True, upstreams=UPSTREAMS, own_hosts=OWN,
        nix_prefixes=prefixes,
    )  # fmt: skip
    assert theirs == Upstream("docker.io", "shell/git")


HOSTS = st.sampled_from([None, "docker.io", "ghcr.io", "quay.io", *OWN])
PARTS = st.sampled_from(["git", "shell", "nix", "library", "ghcr.io", "docker.io", "x"])


@given(st.lists(PARTS, min_size=1, max_size=3).map(tuple), HOSTS, st.booleans())
def test_a_name_never_strays(repository, ns, mirror):
    """Nix answers no name of another registry; none gets a name that is Nix's."""
    try:
        found = decide(
            repository, ns=ns, mirror=mirror, upstreams=UPSTREAMS, own_hosts=OWN
        )
    except RegistryError:
        return
    if isinstance(found, Nix):
        assert found.components == repository
        assert ns in {None, "docker.io", *OWN}
        assert repository[0] in {"shell", "nix"} or (not mirror and ns != "docker.io")
    else:
        assert found.host in UPSTREAMS
        named = {ns, repository[0]} | ({"docker.io"} if mirror else set())
        assert found.host in named or repository[0] == "library"
