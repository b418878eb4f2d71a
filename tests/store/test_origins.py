from nixeryd.images.digests import Digest
from nixeryd.store.index import open_index
from nixeryd.store.origins import KEPT, Origin, TagBuild


def test_the_last_builds_of_each_tag_are_remembered(tmp_path):
    def build(number):
        return TagBuild(
            Digest.of(b"%d" % number), Origin("nixpkgs", f"commit {number}"), number
        )

    with open_index(tmp_path / "index.sqlite") as index:
        index.origins.add("image", "other", build(0))
        for number in range(KEPT + 5):
            index.origins.add("image", "latest", build(number))
        found = index.origins.of_tag("image", "latest")
        assert found == [build(number) for number in reversed(range(5, KEPT + 5))]
        assert index.origins.of_tag("image", "other") == [build(0)]
