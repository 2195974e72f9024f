"""Exports: images unchanged, masks as drawn, in three layouts that other tools and we ourselves read."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from pycocotools.coco import COCO

from configs.classes import MaskEncoding
from configs.image_sources import ImageSource
from flows.__main__ import madloop
from models.decoding import read_mask
from tasks.core.digests import digest_of_bytes
from tasks.core.label_maps import VOID
from tasks.pool import list_source
from tasks.pseudonyms import Pseudonyms
from tasks.rounds import Round
from tests.lib.played_rounds import FAILURE_FILES, FILES, TEST_FILES, played_round, true_mask
from tests.lib.written_campaigns import CLASSES, campaign_of

LABELLED = (*TEST_FILES, *FAILURE_FILES)
# mask of each file: `played_round` draws them with these seeds
MASKS = {file: true_mask(seed) for seed, file in enumerate(LABELLED)}


def export(root: Path, *options: str) -> Result:
    """`madloop export small` of the store below `root`, to `root`/out."""
    command = ["export", "small", "--to", str(root / "out"), *options]
    return CliRunner().invoke(madloop, command, env={"MADLOOP_HOME": str(root)})


def masks_by_content(root: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Digest of an image file -> the mask that was drawn of it."""
    return {digest_of_bytes((root / "pool" / file).read_bytes()): mask for file, mask in MASKS.items()}


@pytest.fixture
def round_(tmp_path: Path) -> Round:
    """A round with finished masks, its store in the place the command looks at."""
    return played_round(tmp_path)


def test_the_plain_export_has_unchanged_images_the_masks_as_drawn_and_a_table(
    round_: Round, tmp_path: Path
) -> None:
    done = export(tmp_path)
    assert (done.exit_code, done.stdout) == (
        0,
        f"4 of 4 labelled images (2 failures, 2 test) are in {tmp_path / 'out'}\n",
    )
    table = (tmp_path / "out/images.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(table.splitlines()))
    expected = masks_by_content(tmp_path)
    assert {row["image_id"] for row in rows} == expected.keys()
    assert len({row["stem"].casefold() for row in rows}) == 4
    for row in rows:
        assert digest_of_bytes((tmp_path / "out" / row["file"]).read_bytes()) == row["image_id"]
        mask = np.asarray(Image.open(tmp_path / "out" / row["mask"]))
        np.testing.assert_array_equal(expected[row["image_id"]], mask)
    assert [row["role"] for row in rows] == ["failure"] * 2 + ["test"] * 2
    facts = {(row["round"], row["model_version"], row["main_class"]) for row in rows}
    assert facts == {("1", "target", "disc")}
    pseudonym = Pseudonyms(round_.open_store()).of("yan")
    assert {row["annotator"] for row in rows} == {pseudonym}, "no name of a person leaves the store"
    assert (tmp_path / "out/classes.csv").read_text(encoding="utf-8") == (
        "index,name,colour\n0,ground,#5a5a5a\n1,disc,#dc3c3c\n2,square,#3c5adc\n"
    )


def test_one_role_and_one_round_can_be_chosen(round_: Round, tmp_path: Path) -> None:
    assert "2 of 2 labelled images (2 failures, 0 test)" in export(tmp_path, "--role", "failures").stdout
    missing = export(tmp_path, "--round", "2")
    assert missing.exit_code == 1
    assert "has not begun round 2" in missing.stderr


LAYOUTS = {
    "png": ("images", "masks", MaskEncoding(kind="index", void=255)),
    "voc": ("JPEGImages", "SegmentationClass", MaskEncoding(kind="palette", void=255)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_export_is_a_labelled_set_of_another_campaign(round_: Round, tmp_path: Path, layout: str) -> None:
    assert export(tmp_path, "--format", layout).exit_code == 0
    out, (images, masks, encoding) = tmp_path / "out", LAYOUTS[layout]
    source = ImageSource(images=out / images, masks=out / masks)
    if layout == "png":
        source = source.model_copy(update={"metadata": out / "images.csv", "group_column": "group"})
    campaign = campaign_of(tmp_path, mask_encoding=encoding.model_dump())
    listing = list_source(campaign, "training", source, {})
    assert listing.rejects == []
    expected = masks_by_content(tmp_path)
    assert {row["image_id"] for row in listing.images} == expected.keys()
    for row in listing.images:
        mask = read_mask(Path(row["mask_uri"]), encoding, campaign.classes)
        np.testing.assert_array_equal(expected[row["image_id"]], mask)


# pycocotools' own: its arrays do not know numpy's new keyword
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_the_coco_export_read_by_pycocotools_gives_the_masks_exactly(
    round_: Round, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(tmp_path, "--format", "coco").exit_code == 0
    expected = masks_by_content(tmp_path)
    seen = set()
    for name in ("failures", "test"):
        page = tmp_path / "out/annotations" / f"{name}.json"
        assert str(tmp_path) not in page.read_text(encoding="utf-8")
        coco = COCO(page)
        assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == list(CLASSES)
        for image in coco.loadImgs(coco.getImgIds()):
            content = (tmp_path / "out/images" / image["file_name"]).read_bytes()
            seen.add(digest_of_bytes(content))
            mask = np.full((image["height"], image["width"]), VOID, np.uint8)
            for annotation in coco.loadAnns(coco.getAnnIds(image["id"])):
                covered = coco.annToMask(annotation).astype(bool)
                assert (mask[covered] == VOID).all(), "a pixel has one class"
                assert annotation["area"] == covered.sum()
                x, y, width, height = (int(v) for v in annotation["bbox"])
                assert covered[y : y + height, x : x + width].sum() == covered.sum()
                mask[covered] = annotation["category_id"] - 1
            np.testing.assert_array_equal(expected[digest_of_bytes(content)], mask)
    assert seen == expected.keys()
    capsys.readouterr()  # pycocotools prints


def test_the_voc_export_has_lists_and_the_campaigns_colours(round_: Round, tmp_path: Path) -> None:
    done = export(tmp_path, "--format", "voc")
    assert "images are copied, never encoded again" in done.stdout
    lists = tmp_path / "out/ImageSets/Segmentation"
    stems = {path.stem: path.read_text(encoding="utf-8").splitlines() for path in lists.iterdir()}
    assert sorted(stems["failures"]) == ["alley", "bridge"]
    assert all(stem.lower().startswith("street-") for stem in stems["test"])
    mask = Image.open(tmp_path / "out/SegmentationClass/alley.png")
    palette = np.array(mask.getpalette()).reshape(-1, 3)
    np.testing.assert_array_equal(round_.campaign.classes.colours, palette[:3])
    assert tuple(palette[255]) == (224, 224, 192)


def test_a_folder_that_holds_something_is_refused_and_left_alone(round_: Round, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").write_text("mine", encoding="utf-8")
    refused = export(tmp_path)
    assert refused.exit_code == 2
    assert "A new or empty folder was required" in refused.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["notes.txt"]


def test_an_image_that_is_gone_is_named_and_all_others_are_exported(round_: Round, tmp_path: Path) -> None:
    (tmp_path / "pool" / FILES[2]).unlink()
    done = export(tmp_path)
    assert done.exit_code == 3
    assert "3 of 4 labelled images" in done.stdout
    assert FILES[2] in done.stderr
    assert len(list((tmp_path / "out/images").iterdir())) == 3
    assert len(list((tmp_path / "out/masks").iterdir())) == 3


def test_without_finished_masks_there_is_nothing_to_export(tmp_path: Path) -> None:
    played_round(tmp_path, has_masks=False)
    done = export(tmp_path)
    assert done.exit_code == 4
    assert "round 1: masks of the 2 images of failures are not finished" in done.stdout
    assert "0 of 2 labelled sets" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_annotations_hold_no_place_and_no_name(round_: Round, tmp_path: Path) -> None:
    export(tmp_path, "--format", "coco", "--role", "test")
    page = json.loads((tmp_path / "out/annotations/test.json").read_text(encoding="utf-8"))
    assert page.keys() == {"info", "licenses", "categories", "images", "annotations"}
    assert "yan" not in json.dumps(page)
