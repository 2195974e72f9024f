"""The pool: every file is listed or rejected with a reason, and nothing is listed twice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from configs.image_sources import ImageSource
from tasks.core.digests import digest_of_bytes
from tasks.core.records import IMAGES, LABEL_AREAS, REJECTS
from tasks.errors import ConfigError, DataError
from tasks.image_metadata import group_of, read_metadata
from tasks.pool import Listing, list_images, list_source, source_files
from tests.lib.written_campaigns import (
    CLASSES,
    HEIGHT,
    WIDTH,
    campaign_of,
    encoded,
    png,
    round_of,
    write_file,
    write_labelled,
)


def _list(root: Path, dataset: str = "pool", **changes: Any) -> Listing:
    campaign = campaign_of(root, **changes)
    source = {"pool": campaign.pool, "training": campaign.training_set}[dataset]
    return list_source(campaign, dataset, source, {})


def _reasons(listing: Listing) -> dict[str, str]:
    return {row["item"]: row["reason"] for row in listing.rejects}


def test_an_image_is_known_by_its_bytes_and_listed_with_its_size(tmp_path: Path) -> None:
    content = png(0)
    write_file(tmp_path / "pool/deep/one.png", content)
    (row,) = _list(tmp_path).images
    assert row["image_id"] == digest_of_bytes(content)
    assert (row["height"], row["width"], row["group"]) == (HEIGHT, WIDTH, row["image_id"])
    assert row["uri"] == str(tmp_path / "pool/deep/one.png")


def test_what_is_no_image_is_rejected_with_its_reason(tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    write_file(pool / "good.png", png(0))
    write_file(pool / "short.png", png(1)[:700])
    write_file(pool / "empty.png", b"")
    write_file(pool / "text.jpg", b"not an image")
    write_file(pool / "twin.png", png(0))
    write_file(pool / "notes.txt", b"other files are not looked at")
    listing = _list(tmp_path)
    assert [Path(row["uri"]).name for row in listing.images] == ["good.png"]
    reasons = _reasons(listing)
    assert reasons.keys() == {"short.png", "empty.png", "text.jpg", "twin.png"}
    assert "same content as good.png" in reasons["twin.png"]
    assert all("image was required" in reasons[name] for name in ("short.png", "empty.png", "text.jpg"))
    assert len(source_files(campaign_of(tmp_path).pool, what="pool").uris) == len(
        listing.images + listing.rejects
    )


def test_a_name_that_is_not_utf_8_is_rejected_and_shown_with_escapes(tmp_path: Path) -> None:
    write_file(tmp_path / "pool/good.png", png(0))
    write_file(tmp_path / "pool" / os.fsdecode(b"caf\xe9.png"), png(1))
    listing = _list(tmp_path)
    assert len(listing.images) == 1
    assert _reasons(listing) == {
        r"caf\udce9.png": "the path is not UTF-8, so no record could name it; rename it"
    }
    write_labelled(tmp_path / "training", "t", 2)
    write_labelled(tmp_path / "familiar", "f", 3)
    round_ = round_of(tmp_path)
    assert len(round_.open_store().rows(list_images.fn(round_), REJECTS)) == 1


def test_masks_that_do_not_fit_are_rejected(tmp_path: Path) -> None:
    training, full = tmp_path / "training", np.zeros((HEIGHT, WIDTH), np.uint8)
    write_labelled(training, "good", 0, np.full((HEIGHT, WIDTH), 2, np.uint8))
    write_labelled(training, "small", 1, np.zeros((HEIGHT, WIDTH - 1), np.uint8))
    write_labelled(training, "foreign", 2, full + 7)
    write_labelled(training, "missing", 3)
    (training / "masks/missing.png").unlink()
    write_labelled(training, "broken", 4)
    (training / "masks/broken.png").write_bytes(b"no mask")
    listing = _list(tmp_path, "training")
    (row,) = listing.images
    assert Path(row["mask_uri"]).stem == "good"
    assert listing.label_areas == [
        {
            "dataset": "training",
            "image_id": row["image_id"],
            "pixels": HEIGHT * WIDTH,
            "class_px": [0, 0, HEIGHT * WIDTH],
        }
    ]
    reasons = _reasons(listing)
    assert (
        f"must have its image's size {HEIGHT} x {WIDTH}, it is {HEIGHT} x {WIDTH - 1}" in reasons["small.png"]
    )
    assert "7" in reasons["foreign.png"]
    assert "there is none" in reasons["missing.png"]
    assert "mask image was required" in reasons["broken.png"]


def test_of_two_images_of_one_stem_neither_gets_the_finished_map_of_that_name(tmp_path: Path) -> None:
    for seed, name in enumerate(("a/one", "b/one", "a/two", "b/two", "a/same", "a/none", "b/none"), start=1):
        write_file(tmp_path / f"pool/{name}.png", png(seed))
    write_file(tmp_path / "pool/b/same.png", png(5))
    two = [digest_of_bytes(png(seed)) for seed in (3, 4)]
    for name in ("one", "two", "same", *two):
        write_file(tmp_path / f"maps/{name}.png", b"")
    rival = {"kind": "label_maps", "name": "elsewhere", "path": "maps"}
    listing = _list(tmp_path, competitors=[rival])
    names = {Path(row["uri"]).relative_to(tmp_path / "pool").as_posix() for row in listing.images}
    assert names == {"a/two.png", "b/two.png", "a/same.png", "a/none.png", "b/none.png"}
    reasons = _reasons(listing)
    assert reasons.keys() == {"one.png", "same.png"}
    assert "2 images are called 'one', and 'elsewhere' has one map of that name" in reasons["one.png"]
    assert len(listing.rejects) == 3


def test_a_pool_without_images_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"`pool.images` must be a folder"):
        _list(tmp_path)
    (tmp_path / "pool").mkdir()
    with pytest.raises(ConfigError, match="must hold at least one image"):
        _list(tmp_path)


def test_a_listing_chooses_by_stem_and_names_what_does_not_exist(tmp_path: Path) -> None:
    for number, stem in enumerate(("a", "b c", "d")):
        write_file(tmp_path / f"pool/{stem}.png", png(number))
    listing = tmp_path / "names.txt"
    source = {"images": "pool", "listing": "names.txt"}
    listing.write_text("b c\n\nd\n", encoding="utf-8")
    assert [Path(row["uri"]).stem for row in _list(tmp_path, pool=source).images] == ["b c", "d"]
    listing.write_text("a\nz\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"names 1 image\(s\) that do not exist: z"):
        _list(tmp_path, pool=source)
    listing.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="must be UTF-8 text"):
        _list(tmp_path, pool=source)
    listing.unlink()
    with pytest.raises(ConfigError, match=r"names.txt cannot be read"):
        _list(tmp_path, pool=source)


def test_groups_come_from_a_column(tmp_path: Path) -> None:
    for number, stem in enumerate(("a", "b", "c")):
        write_file(tmp_path / f"pool/{stem}.png", png(number))
    (tmp_path / "pool.csv").write_text("stem,drive,sun\na,first,yes\nb,,no\n", encoding="utf-8")
    listing = _list(tmp_path, pool={"images": "pool", "metadata": "pool.csv", "group_column": "drive"})
    assert [(row["group"], row["attributes"]) for row in listing.images] == [
        ("first", '{"drive":"first","sun":"yes"}')
    ]
    assert _reasons(listing).keys() == {"b.png", "c.png"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name,drive\na,1\n", "needs a column 'stem'"),
        (b"stem,sun\na,1\n", "needs a column 'drive'"),
        (b"stem,drive\na,1\nb,1,2\n", "line 3, needs 2 fields"),
        (b"stem,drive\na\n", "line 2, needs 2 fields"),
        (b"stem,drive\n\xff,1\n", "must be a CSV file in UTF-8"),
    ],
)
def test_metadata_that_is_not_as_required_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = write_file(tmp_path / "pool.csv", content)
    source = ImageSource(images=tmp_path, metadata=path, group_column="drive")
    with pytest.raises(ConfigError, match=message):
        read_metadata(source)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_metadata(source.model_copy(update={"metadata": tmp_path / "none.csv"}))


@pytest.mark.parametrize(
    ("pattern", "group"),
    [(r"^drive\d+", "drive12"), (r"^drive(\d+)", "12"), (r"(x)|(7)$", None), ("y", None)],
)
def test_groups_come_from_a_pattern(pattern: str, group: str | None) -> None:
    source = ImageSource(images=Path("pool"), group_pattern=pattern)
    if group is None:
        with pytest.raises(DataError, match="does not match 'drive12_007'"):
            group_of("drive12_007", source, {})
    else:
        assert group_of("drive12_007", source, {}) == group


def test_the_snapshot_holds_every_file_once_and_leaves_labelled_images_out_of_the_pool(
    tmp_path: Path,
) -> None:
    write_labelled(tmp_path / "training", "t", 1, np.full((HEIGHT, WIDTH), 1, np.uint8))
    write_labelled(tmp_path / "familiar", "f", 2)
    for seed in (1, 2, 3, 4):
        write_file(tmp_path / f"pool/{seed}.png", png(seed))
    write_file(tmp_path / "pool/5.png", b"")
    round_ = round_of(tmp_path)
    store, ref = round_.open_store(), list_images.fn(round_)
    images, rejects = store.rows(ref, IMAGES), store.rows(ref, REJECTS)
    assert sorted(row["dataset"] for row in images) == ["familiar", "pool", "pool", "training"]
    assert len(images) + len(rejects) == 7
    assert {row["item"]: row["reason"] for row in rejects}["1.png"] == "same content as t.png"
    assert {row["dataset"]: row["class_px"] for row in store.rows(ref, LABEL_AREAS)} == {
        "training": [0, HEIGHT * WIDTH, 0],
        "familiar": [HEIGHT * WIDTH, 0, 0],
    }
    write_file(tmp_path / "pool/6.png", png(6))
    assert list_images.fn(round_) == ref, "a snapshot is taken once a round"
    assert len(store.rows(list_images.fn(round_.at(2)), IMAGES)) == len(images) + 1


def test_a_set_of_which_nothing_can_be_used_says_why(tmp_path: Path) -> None:
    write_labelled(tmp_path / "training", "t", 1)
    write_labelled(tmp_path / "familiar", "f", 2)
    write_file(tmp_path / "pool/1.png", b"")
    with pytest.raises(DataError, match="No image of `pool` can be used; the first reason"):
        list_images.fn(round_of(tmp_path))


def test_masks_in_class_colours_are_read_by_colour(tmp_path: Path) -> None:
    colours = np.zeros((HEIGHT, WIDTH, 3), np.uint8) + np.array([60, 60, 220], np.uint8)  # BGR of disc
    write_file(tmp_path / "training/images/a.png", png(0))
    write_file(tmp_path / "training/masks/a.png", encoded(colours))
    listing = _list(tmp_path, "training", mask_encoding={"kind": "colours"})
    assert listing.label_areas[0]["class_px"][CLASSES.index("disc")] == HEIGHT * WIDTH


def test_frames_of_a_video_are_grouped_in_blocks() -> None:
    source = ImageSource(images=Path("images"), group_pattern=r"^(\w+)_f?(\d+)$", group_frames=600)

    groups = [group_of(stem, source, {}) for stem in ("drive_f00599", "drive_f00600", "other_1200")]

    assert groups == ["drive-0000", "drive-0001", "other-0002"]
    with pytest.raises(DataError, match="does not match 'still'"):
        group_of("still", source, {})
