import json
import re
from itertools import permutations

import pytest
from hypothesis import given, strategies as st

from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.images.names import (
    ImageName,
    NamePolicy,
    is_thin,
    parse_image,
    parse_reference,
    parse_repository,
    thinned,
    unthinned,
)

POLICY = NamePolicy("x86_64-linux")
BARE = NamePolicy("x86_64-linux", always=())
# The spec's own words, for comparison with the linear-time form.
SPEC = re.compile(
    r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
)
COMPONENT = st.from_regex(
    r"[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}", fullmatch=True
)


def image(name: str, policy: NamePolicy = POLICY) -> ImageName:
    return parse_image(parse_repository(name), policy)


@pytest.mark.parametrize(
    ("text", "components"),
    [
        ("git", ("git",)),
        ("shell/git/curl", ("shell", "git", "curl")),
        ("haskellpackages.stylish-haskell", ("haskellpackages.stylish-haskell",)),
        ("a__b/c---d/7zip", ("a__b", "c---d", "7zip")),
        ("manifests/blobs/tags/list", ("manifests", "blobs", "tags", "list")),
        ("a" * 255, ("a" * 255,)),
    ],
)
def test_a_repository_name_is_split_into_components(text, components):
    assert parse_repository(text) == components


@pytest.mark.parametrize(
    "text",
    [
        "", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "a._b", "-a", "a-", ".a",
        "a%2fb", "a b", "a\n", "é", "a/../b", "localhost:5000/a", "\u0661", "a" * 256,
    ],
)  # fmt: skip
def test_what_is_outside_the_grammar_is_refused(text):
    with pytest.raises(RegistryError) as caught:
        parse_repository(text)
    assert caught.value.code is ErrorCode.NAME_INVALID
    assert caught.value.status == 400


@given(st.text(alphabet="a0._-/A", max_size=24))
def test_the_grammar_is_the_specs(text):
    expected = SPEC.fullmatch(text) is not None
    try:
        components = parse_repository(text)
    except RegistryError:
        assert not expected
    else:
        assert expected
        assert "/".join(components) == text


@pytest.mark.parametrize("text", ["latest", "v1.0_x-y", "_", "source..ref", "A" * 128])
def test_a_tag_is_taken_as_it_is(text):
    assert parse_reference(text) == text


def test_a_digest_is_parsed():
    digest = Digest.of(b"x")
    assert parse_reference(str(digest)) == digest


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", ErrorCode.NAME_INVALID),
        (".x", ErrorCode.NAME_INVALID),
        ("-x", ErrorCode.NAME_INVALID),
        ("a/b", ErrorCode.NAME_INVALID),
        ("x\n", ErrorCode.NAME_INVALID),
        ("A" * 129, ErrorCode.NAME_INVALID),
        ("sha256:12", ErrorCode.DIGEST_INVALID),
        ("sha512:" + "0" * 128, ErrorCode.DIGEST_INVALID),
        ("sha256:" + "A" * 64, ErrorCode.DIGEST_INVALID),
    ],
)
def test_a_reference_that_is_neither_is_refused(text, code):
    with pytest.raises(RegistryError) as caught:
        parse_reference(text)
    assert caught.value.code is code


def test_certificates_and_services_are_always_added():
    assert image("git").packages == ("cacert", "git", "iana-etc")
    assert image("git").requested == ("git",)


def test_naming_an_added_package_does_not_double_it():
    assert image("git/cacert").packages == ("cacert", "git", "iana-etc")


def test_shell_adds_the_shell_packages():
    name = image("shell/git")
    assert name.is_shell
    assert name.requested == ("git",)
    assert name.packages == (
        "bashInteractive", "cacert", "coreutils", "git", "iana-etc",
        "moreutils", "nano",
    )  # fmt: skip


def test_shell_packages_are_configurable():
    policy = NamePolicy("x86_64-linux", shell_packages=("zsh",), always=())
    assert image("shell/git", policy).packages == ("git", "zsh")


def test_shell_alone_is_an_image():
    name = image("shell")
    assert name.is_shell
    assert name.requested == ()
    assert "bashInteractive" in name.packages


@pytest.mark.parametrize(
    ("name", "system", "architecture"),
    [
        ("git", "x86_64-linux", "amd64"),
        ("arm64/git", "aarch64-linux", "arm64"),
        ("amd64/git", "x86_64-linux", "amd64"),
        ("shell/arm64", "aarch64-linux", "arm64"),
        ("nix/arm64/shell/git", "aarch64-linux", "arm64"),
    ],
)
def test_a_meta_package_picks_the_architecture(name, system, architecture):
    assert image(name).system == system
    assert image(name).architecture == architecture


def test_the_default_system_is_the_policys():
    assert image("git", NamePolicy("aarch64-linux")).architecture == "arm64"
    assert image("amd64/git", NamePolicy("aarch64-linux")).architecture == "amd64"


def test_a_policy_needs_a_system_that_images_are_made_for():
    with pytest.raises(ValueError, match="x86_64-linux"):
        NamePolicy("x86_64-darwin")


def test_meta_packages_are_a_leading_run_only():
    name = image("git/shell/arm64")
    assert not name.is_shell
    assert name.requested == ("arm64", "git", "shell")
    assert name.system == "x86_64-linux"


def test_nix_as_the_first_of_several_changes_nothing():
    assert image("nix/git").key == image("git").key
    assert image("nix/shell/git").key == image("shell/git").key


@pytest.mark.parametrize("name", ["nix", "shell/nix", "git/nix"])
def test_nix_elsewhere_is_the_package(name):
    assert "nix" in image(name).packages


@pytest.mark.parametrize("name", ["arm64", "amd64", "nix/arm64"])
def test_meta_packages_without_a_package_are_refused(name):
    with pytest.raises(RegistryError, match="names no package") as caught:
        image(name)
    assert caught.value.code is ErrorCode.NAME_INVALID


def test_two_architectures_are_refused():
    with pytest.raises(RegistryError, match="one architecture") as caught:
        image("arm64/amd64/git")
    assert caught.value.code is ErrorCode.NAME_INVALID


@pytest.mark.parametrize("name", ["grafana/grafana", "shell/git/shell", "a/b/c/b"])
def test_a_repeated_component_is_no_image_name(name):
    with pytest.raises(RegistryError, match="is no image name") as caught:
        image(name)
    assert caught.value.code is ErrorCode.MANIFEST_UNKNOWN
    assert caught.value.status == 404


def test_the_message_for_a_repeated_component_names_a_way_out():
    with pytest.raises(RegistryError, match=r"try grafana\."):
        image("grafana/grafana")


@given(st.lists(COMPONENT, min_size=1, max_size=4, unique=True))
def test_the_order_of_packages_makes_no_difference(components):
    keys = {
        parse_image(("shell", *order), POLICY).key for order in permutations(components)
    }
    assert len(keys) == 1


def test_the_key_knows_the_architecture():
    assert image("arm64/git").key != image("git").key


def test_the_key_keeps_packages_apart():
    assert image("ab/c").key != image("a/bc").key


def test_the_key_tells_a_shell_from_its_packages():
    policy = NamePolicy("x86_64-linux", shell_packages=("zsh",))
    assert image("shell/zsh", policy).packages == image("zsh", policy).packages
    assert image("shell/zsh", policy).key != image("zsh", policy).key


def test_the_key_tells_what_was_named_from_what_was_added():
    """`git` may start git; `git/cacert` names two packages and starts nothing."""
    assert image("git").packages == image("git/cacert").packages
    assert image("git").key != image("git/cacert").key


def test_the_key_is_canonical_json():
    key = image("git").key
    assert key == json.dumps(json.loads(key), sort_keys=True, separators=(",", ":"))


def test_a_flakes_packages_follow_its_name():
    image = parse_image(("flake", "app", "tool"), POLICY)
    assert (image.flake, image.requested) == ("app", ("tool",))
    assert image.optional == ("cacert", "iana-etc")
    assert image.packages == ("cacert", "iana-etc", "tool")
    assert image.title == "flake/app/tool"


def test_a_flake_alone_is_its_default_package():
    assert parse_image(("flake", "app"), POLICY).requested == ("default",)


def test_a_package_may_be_called_as_its_flake():
    assert parse_image(("flake", "app", "app"), POLICY).requested == ("app",)
    with pytest.raises(RegistryError, match="twice"):
        parse_image(("flake", "app", "tool", "tool"), POLICY)


def test_meta_packages_come_before_the_flake():
    image = parse_image(("arm64", "shell", "flake", "app"), POLICY)
    assert (image.system, image.is_shell, image.flake) == ("aarch64-linux", True, "app")
    assert image.optional == ("cacert", "iana-etc"), "a shell is not optional"


def test_flake_and_store_are_packages_where_they_are_not_first():
    assert parse_image(("git", "flake"), POLICY).requested == ("flake", "git")
    assert parse_image(("store",), POLICY).requested == ("store",)
    assert parse_image(("flake",), POLICY).requested == ("flake",)


HASH = "0123456789abcdfghijklmnpqrsvwxyz"


def test_store_paths_are_named_by_their_hashes_and_get_nothing_added():
    image = parse_image(("store", HASH, f"{HASH[::-1]}-hello-2.12"), POLICY)
    assert image.is_store
    assert image.packages == image.requested == ()
    assert image.store_paths == (HASH, f"{HASH[::-1]}-hello-2.12")
    assert image.title == f"store/{HASH}/{HASH[::-1]}-hello-2.12"


@pytest.mark.parametrize("component", ["hello", HASH[1:], f"{HASH}x", "e" * 32])
def test_what_is_no_hash_is_no_store_path(component):
    with pytest.raises(RegistryError, match="no hash of a store path") as caught:
        parse_image(("store", component), POLICY)
    assert caught.value.status == 404


@pytest.mark.parametrize(
    ("name", "requested", "title"),
    [
        ("shell/store", (), "shell/store"),
        ("git/store", ("git",), "git/store"),
        ("shell/git/store", ("git",), "git/store"),
        ("flake/app/store", ("default",), "flake/app/default/store"),
        ("thin/flake/app/tool/store", ("tool",), "thin/flake/app/tool/store"),
    ],
)
def test_store_paths_follow_packages(name, requested, title):
    image = parse_image((*name.split("/"), HASH), POLICY)
    assert image.store_paths == (HASH,)
    assert not image.is_store
    assert image.requested == requested
    assert image.title == f"{title}/{HASH}"
    assert "cacert" in image.packages


def test_a_key_tells_store_paths_from_packages():
    names = [("git",), ("git", "store", HASH), ("git", "store", HASH[::-1])]
    assert len({parse_image(name, POLICY).key for name in names}) == 3


def test_keys_of_flakes_stores_and_packages_differ():
    names = [("tool",), ("flake", "app", "tool"), ("flake", "b", "tool")]
    assert len({parse_image(name, POLICY).key for name in names}) == 3
    assert parse_image((HASH,), BARE).key != (parse_image(("store", HASH), BARE).key)


@pytest.mark.parametrize("name", ["thin/shell/git", "shell/thin/git"])
def test_thin_is_another_image_of_the_same_packages(name):
    thin, ordinary = image(name), image("shell/git")
    assert thin.is_thin
    assert not ordinary.is_thin
    assert thin.packages == ordinary.packages
    assert thin.is_shell
    assert thin.key != ordinary.key
    assert thin.key == image("thin/shell/git").key
    assert thin.title == "thin/git"


@pytest.mark.parametrize(
    ("name", "thin"),
    [
        ("git", "thin/git"),
        ("shell/git", "thin/shell/git"),
        ("shell/thin/git", "shell/thin/git"),
        ("thin/arm64/git", "thin/arm64/git"),
        ("nix/git", "nix/thin/git"),
        ("nix", "thin/nix"),
        ("git/thin", "thin/git/thin"),
        ("flake/app/tool", "thin/flake/app/tool"),
        ("store/" + "a" * 32, "thin/store/" + "a" * 32),
    ],
)
def test_an_image_is_thinned_once(name, thin):
    components = tuple(name.split("/"))
    assert "/".join(thinned(components)) == thin
    assert unthinned(thinned(components)) == unthinned(components)
    assert is_thin(thin)
    assert is_thin(name) == (name == thin)


@pytest.mark.parametrize(
    ("name", "ordinary"),
    [
        ("git", "git"),
        ("thin/shell/git", "shell/git"),
        ("nix/arm64/thin/git", "nix/arm64/git"),
        ("git/thin", "git/thin"),
    ],
)
def test_the_ordinary_image_of_a_thin_one(name, ordinary):
    assert "/".join(unthinned(tuple(name.split("/")))) == ordinary


@pytest.mark.parametrize("name", ["thin", "thin/arm64"])
def test_thin_alone_names_no_package(name):
    with pytest.raises(RegistryError, match="names no package"):
        image(name)
