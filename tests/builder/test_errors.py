import pytest

from nixeryd.builder.errors import with_hub_hint
from nixeryd.images.errors import ErrorCode, RegistryError
from nixeryd.images.names import NamePolicy, parse_image


@pytest.mark.parametrize(
    ("name", "tag", "hint"),
    [
        ("nginx", "1", "docker.io/library/nginx:1"),
        ("nginx", "latest", "docker.io/library/nginx"),
        ("owner/app", "latest", "docker.io/owner/app"),
        ("zoo/app", "latest", "docker.io/zoo/app"),
        ("a/b/c", "latest", None),
        ("shell/git", "latest", None),
        ("arm64/git", "latest", None),
        ("flake/app", "latest", None),
        ("store/" + "a" * 32, "latest", None),
    ],
)
def test_what_may_be_meant_of_docker_hub_is_named(name, tag, hint):
    image = parse_image(tuple(name.split("/")), NamePolicy("x86_64-linux"))
    error = RegistryError(ErrorCode.MANIFEST_UNKNOWN, "there is none")
    told = with_hub_hint(error, image, tag).message
    suffix = "" if hint is None else f"\nDocker Hub's image is {hint}"
    assert told == f"there is none{suffix}"


def test_a_build_that_failed_is_no_other_registrys():
    image = parse_image(("nginx",), NamePolicy("x86_64-linux"))
    error = RegistryError(ErrorCode.DENIED, "it does not build")
    assert with_hub_hint(error, image, "latest") is error
