import hashlib

import pytest
from hypothesis import given, strategies as st

from nixeryd.images.digests import Digest
from nixeryd.images.errors import ErrorCode, RegistryError


@given(st.binary(max_size=64))
def test_a_digest_is_the_sha256_of_the_bytes(data):
    digest = Digest.of(data)
    assert digest.hex == hashlib.sha256(data).hexdigest()
    assert str(digest) == "sha256:" + digest.hex
    assert Digest.parse(str(digest)) == digest


@pytest.mark.parametrize(
    "text",
    [
        "", "sha256:", "0" * 64, "sha256:" + "0" * 63, "sha256:" + "0" * 65,
        "sha256:" + "A" * 64, "SHA256:" + "0" * 64, "sha512:" + "0" * 64,
        "sha256:" + "0" * 64 + "\n", "sha256:" + "\u0660" * 64, "sha256:../" + "0" * 61,
    ],
)  # fmt: skip
def test_anything_else_is_no_digest(text):
    with pytest.raises(RegistryError) as caught:
        Digest.parse(text)
    assert caught.value.code is ErrorCode.DIGEST_INVALID


def test_a_digest_cannot_be_made_of_anything_but_hex():
    with pytest.raises(RegistryError):
        Digest("../../etc/passwd")


def test_digests_have_an_order():
    assert Digest("0" * 64) < Digest("1" * 64)
