"""A data directory, its blobs and its index."""

import pytest

from nixeryd.store.blobs import Blobs
from nixeryd.store.datadir import DataDir, open_data_dir
from nixeryd.store.index import open_index


@pytest.fixture
def places(tmp_path):
    with open_data_dir(tmp_path / "data") as places:
        yield places


@pytest.fixture
def blobs(places: DataDir):
    return Blobs(places.blobs, places.staging)


@pytest.fixture
def index(places: DataDir):
    with open_index(places.index) as index:
        yield index
