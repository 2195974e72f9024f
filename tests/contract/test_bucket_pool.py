"""A pool in a bucket: every object is listed or rejected, and one that vanishes or changes is noticed."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from infra.seaweedfs import BUCKET
from tasks.core.digests import digest_of_bytes
from tasks.errors import ConfigError, DataError
from tasks.image_files import read_verified
from tasks.pool import Listing, list_source
from tasks.services.object_store import write_object
from tests.lib.object_store import ObjectStore, object_store, reachable
from tests.lib.written_campaigns import campaign_of, png

__all__ = ["object_store", "reachable"]

pytestmark = pytest.mark.services


@pytest.fixture
def folder() -> str:
    """URI of a new, empty folder of the bucket."""
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


def _listing(root: Path, images: str) -> Listing:
    campaign = campaign_of(root, pool={"images": images, "max_megapixels": 0.1})
    return list_source(campaign, "pool", campaign.pool, {})


def test_objects_are_listed_or_rejected(reachable: ObjectStore, folder: str, tmp_path: Path) -> None:
    contents = {
        "a/1.png": png(1),
        "b/2.PNG": png(2),
        "b/twin.png": png(1),
        "zero.png": b"",
        "cut.png": png(3)[:99],
        "large.png": bytes(2 << 20),
    }
    for name, content in (contents | {"notes.txt": b"not looked at"}).items():
        write_object(f"{folder}/{name}", content)
    listing = _listing(tmp_path, folder)
    assert [row["uri"] for row in listing.images] == [f"{folder}/a/1.png", f"{folder}/b/2.PNG"]
    assert [row["image_id"] for row in listing.images] == [digest_of_bytes(png(1)), digest_of_bytes(png(2))]
    reasons = {row["item"]: row["reason"] for row in listing.rejects}
    assert reasons.keys() == {"twin.png", "zero.png", "cut.png", "large.png"}
    assert (
        "at most 1848576 bytes were required, as `max_megapixels` says, it has 2097152"
        in reasons["large.png"]
    )
    with pytest.raises(ConfigError, match="must hold at least one image"):
        _listing(tmp_path, f"{folder}/empty")


def test_a_list_may_mix_objects_and_files_and_a_missing_object_is_rejected(
    reachable: ObjectStore, folder: str, tmp_path: Path
) -> None:
    write_object(f"{folder}/1.png", png(1))
    (tmp_path / "2.png").write_bytes(png(2))
    (tmp_path / "list.txt").write_text(f"{folder}/1.png\n2.png\n{folder}/gone.png\n")
    listing = _listing(tmp_path, "list.txt")
    assert [row["uri"] for row in listing.images] == [f"{folder}/1.png", str(tmp_path / "2.png")]
    (reject,) = listing.rejects
    assert reject["item"] == "gone.png"
    assert "there is none" in reject["reason"]


def test_an_object_that_changed_or_vanished_is_noticed(reachable: ObjectStore, folder: str) -> None:
    uri, image_id = f"{folder}/1.png", digest_of_bytes(png(1))
    with pytest.raises(DataError, match="was listed in the pool but cannot be read"):
        read_verified(uri, image_id)
    write_object(uri, png(2))
    with pytest.raises(DataError, match="has changed since the pool was listed"):
        read_verified(uri, image_id)
    write_object(uri, png(1))
    assert read_verified(uri, image_id) == png(1)
