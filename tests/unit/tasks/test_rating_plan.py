"""The rating plan: all candidates for everybody, repeats of each rater's own, gold images of known score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tasks.artifacts import ArtifactRef
from tasks.core.confusion import confusion, joint_histogram
from tasks.core.label_maps import VOID, map_digest
from tasks.core.records import GOLD, RATING_PLAN
from tasks.core.scores import image_miou
from tasks.gold_images import gold_images
from tasks.label_map_files import MAPS_FILE, read_label_map
from tasks.labelled_sets import LabelledSet, given_set
from tasks.pool import list_images
from tasks.rating_plan import plan_ratings, plan_rows
from tasks.rounds import Round, recall
from tests.lib.played_rounds import mined_round
from tests.lib.written_campaigns import HEIGHT, WIDTH, campaign_of, png, round_of, write_file, write_labelled

MAPS = [{"image_id": f"i{n}", "map_digest": f"m{n}", "role": "target"} for n in range(20)]
MAPS += [{"image_id": "i0", "map_digest": "o", "role": "competitor"}]


def stripes(*classes: int) -> NDArray[np.uint8]:
    """A mask of columns of one class each, all of the same width."""
    return np.repeat(np.array([classes], np.uint8), HEIGHT, axis=0).repeat(WIDTH // len(classes), axis=1)


def training_set(root: Path, *masks: NDArray[np.uint8]) -> tuple[Round, LabelledSet]:
    """A round whose S(0) has these masks."""
    for number, mask in enumerate(masks):
        write_labelled(root / "training", f"t{number}", 100 + number, mask)
    write_labelled(root / "familiar", "f1", 200)
    write_file(root / "pool" / "a.png", png(1))
    round_ = round_of(root, mask_encoding={"void": VOID})
    return round_, given_set(round_, list_images.fn(round_), "training", "S(0)")


def test_every_rater_is_shown_every_map_of_the_target_own_repeats_and_all_gold(tmp_path: Path) -> None:
    campaign = campaign_of(tmp_path, ratings={"raters": ["x", "y"], "repeat_share": 0.1})
    rows = plan_rows(campaign, 1, MAPS, {("g", "gm"): 5})
    for rater in ("x", "y"):
        own = [row for row in rows if row["rater"] == rater]
        first = [r["image_id"] for r in own if r["repeat"] == 0 and r["expected_score"] is None]
        assert first == [f"i{n}" for n in range(20)]
        assert sum(row["repeat"] == 1 for row in own) == 2
        assert [(r["image_id"], r["expected_score"]) for r in own if r["expected_score"]] == [("g", 5)]


def test_a_raters_share_does_not_depend_on_who_else_rates(tmp_path: Path) -> None:
    both = campaign_of(tmp_path, ratings={"raters": ["x", "y"], "repeat_share": 0.3})
    alone = campaign_of(tmp_path, ratings={"raters": ["y"], "repeat_share": 0.3})
    of_both = plan_rows(both, 1, MAPS, {})
    assert [row for row in of_both if row["rater"] == "y"] == plan_rows(alone, 1, MAPS, {})


def test_gold_images_have_their_own_mask_or_a_plainly_wrong_one(tmp_path: Path) -> None:
    with_void = stripes(0, 0, 1, 1)
    with_void[:, 15:17] = VOID
    round_, training = training_set(tmp_path, with_void, stripes(1, 1, 2, 2), stripes(2, 2, 0, 0))
    classes = round_.campaign.classes
    truth = {image.image_id: image.read_mask(classes) for image in training.images}

    gold = gold_images(training.images, classes, count=3, seed=1, round_number=1)

    assert [image.expected_score for image in gold] == [5, 5, 1]
    assert len({image.image_id for image in gold}) == 3
    for image in gold:
        assert image.shown.shape == (HEIGHT, WIDTH)
        assert VOID not in image.shown, "no map of a model has void"
        miou = image_miou(confusion(joint_histogram(truth[image.image_id], image.shown, 3)))
        assert miou == 1 if image.expected_score == 5 else miou < 0.2
        assert (image.mask_of == image.image_id) == (image.expected_score == 5)


def test_there_is_less_gold_where_no_mask_is_wrong_enough(tmp_path: Path) -> None:
    """All masks are equal: none is wrong for another image."""
    round_, training = training_set(tmp_path, *[stripes(0, 1)] * 4)
    gold = gold_images(training.images, round_.campaign.classes, count=4, seed=1, round_number=1)
    assert [image.expected_score for image in gold] == [5, 5]


def test_masks_without_a_labelled_pixel_are_no_gold(tmp_path: Path) -> None:
    round_, training = training_set(tmp_path, stripes(VOID, VOID), stripes(0, 1))
    gold = gold_images(training.images, round_.campaign.classes, count=2, seed=1, round_number=1)
    assert len(gold) <= 1


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_no_more_gold_than_asked_for_and_the_same_every_time(tmp_path: Path, count: int) -> None:
    round_, training = training_set(tmp_path, stripes(0, 1), stripes(1, 0), stripes(2, 2))
    made = [
        gold_images(images, round_.campaign.classes, count=count, seed=1, round_number=1)
        for images in (training.images, training.images[::-1])
    ]
    ids = [[(gold.image_id, gold.mask_of, gold.expected_score) for gold in golds] for golds in made]
    assert ids[0] == ids[1]
    assert len(ids[0]) <= count


def test_the_plan_is_an_artefact_with_the_gold_maps(tmp_path: Path) -> None:
    round_ = mined_round(tmp_path)
    store = round_.open_store()
    pool, maps = (_ref(round_, stage) for stage in ("pool", "maps"))

    plan = plan_ratings.fn(round_, pool, maps)

    assert recall(round_, "rating_plan") == plan
    assert plan_ratings.fn(round_, pool, maps) == plan
    gold = store.rows(plan, GOLD)
    assert [row["expected_score"] for row in gold] == [5]
    shown = read_label_map(store.path(plan, MAPS_FILE), gold[0])
    assert map_digest(shown) == gold[0]["map_digest"]
    planned = store.rows(plan, RATING_PLAN)
    assert len(planned) == 2 * (6 + 1 + 1), "two raters: six candidates, a repeat, a gold image"


def _ref(round_: Round, stage: str) -> Any:
    ref = recall(round_, stage)
    assert isinstance(ref, ArtifactRef)
    return ref
