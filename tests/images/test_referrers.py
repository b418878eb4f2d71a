"""Referrers: passed through byte for byte, chosen by type, or refused."""

import json

import pytest
from hypothesis import given, strategies as st

from nixeryd.images.digests import Digest
from nixeryd.images.manifests import INDEX_TYPE
from nixeryd.images.referrers import (
    UnreadableReferrers,
    of_type,
    read_referrers,
    render_referrers,
)


def referrer(name: str, artifact_type: str | None = None) -> dict[str, object]:
    descriptor = {"mediaType": "m", "digest": str(Digest.of(name.encode())), "size": 1}
    if artifact_type is not None:
        descriptor["artifactType"] = artifact_type
    return descriptor | {"annotations": {"x": name}, "data": "e30="}


def page(*descriptors: object) -> bytes:
    return json.dumps({"manifests": descriptors}).encode()


def test_descriptors_come_as_they_were():
    descriptors = [referrer("a", "sig"), referrer("b"), referrer("c", "sbom")]
    items = read_referrers(page(*descriptors))
    index = json.loads(render_referrers(items))
    assert index == {
        "schemaVersion": 2,
        "mediaType": INDEX_TYPE,
        "manifests": descriptors,
    }
    assert read_referrers(render_referrers(items)) == items
    assert [json.loads(item) for item in of_type(items, "sig")] == descriptors[:1]
    assert of_type(items, "other") == ()


def test_nothing_refers_to_it():
    assert json.loads(render_referrers(()))["manifests"] == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b"[" * 100_000,
        page("x"),
        page({}),
        page(referrer("a") | {"digest": "sha256:x"}),
        page(referrer("a") | {"size": -1}),
        page(referrer("a") | {"artifactType": 7}),
    ],
)
def test_what_is_no_list_is_refused(body):
    with pytest.raises(UnreadableReferrers):
        read_referrers(body)


@given(st.binary())
def test_anything_is_read_or_refused(body):
    try:
        read_referrers(body)
    except UnreadableReferrers:
        return
