from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tasks.core.simulated_people import (
    SimulatedRater,
    SimulatedScore,
    simulated_check,
    simulated_mask,
    simulated_rating,
)

EXACT = SimulatedRater(seed=1, rater="r", bias=0.0, noise=0.0, out_of_domain_probability=1.0)
NOISY = replace(EXACT, noise=0.7, out_of_domain_probability=0.7)


def rate(
    miou: float, person: SimulatedRater, *, image: str = "i", digest: str = "m", ood: bool = False
) -> SimulatedScore:
    return simulated_rating(miou, out_of_domain=ood, person=person, image_id=image, map_digest=digest)


@pytest.mark.parametrize(
    ("miou", "score"),
    [
        (0.0, 1),
        (0.199, 1),
        (0.2, 2),
        (0.399, 2),
        (0.4, 3),
        (0.599, 3),
        (0.6, 4),
        (0.799, 4),
        (0.8, 5),
        (1.0, 5),
    ],
)
def test_an_exact_rater_cuts_the_miou(miou: float, score: int) -> None:
    assert rate(miou, EXACT) == SimulatedScore(score, False)


@pytest.mark.parametrize(("bias", "score"), [(-9.0, 1), (-0.6, 2), (0.5, 4), (0.4, 3), (9.0, 5)])
def test_bias_moves_the_score_within_one_to_five(bias: float, score: int) -> None:
    assert rate(0.5, replace(EXACT, bias=bias)).score == score


def test_an_answer_depends_on_who_what_and_seed_and_on_nothing_else() -> None:
    images = [f"image-{i}" for i in range(60)]
    answers = [rate(0.5, NOISY, image=i) for i in images]
    assert [rate(0.5, NOISY, image=i) for i in reversed(images)] == answers[::-1]
    for other in (replace(NOISY, seed=2), replace(NOISY, rater="s")):
        assert [rate(0.5, other, image=i) for i in images] != answers
    assert [rate(0.5, NOISY, image=i, digest="n") for i in images] != answers


def test_noise_has_the_stated_spread() -> None:
    """Around 3 with s.d. .7: P(3) = P(|z| < .5 / .7) = .525, and the mean is 3."""
    scores = [rate(0.5, NOISY, image=f"{i}").score or 0 for i in range(4000)]
    assert np.mean(scores) == pytest.approx(3.0, abs=0.05)
    assert np.mean(np.array(scores) == 3) == pytest.approx(math.erf(0.5 / 0.7 / math.sqrt(2)), abs=0.03)


def test_images_out_of_domain_are_declared_with_the_stated_probability_or_rated_bad() -> None:
    answers = [rate(math.nan, replace(NOISY, noise=0.0), image=f"{i}", ood=True) for i in range(2000)]
    declared = [a for a in answers if a.out_of_domain]
    assert len(declared) / 2000 == pytest.approx(0.7, abs=0.04)
    assert {a.score for a in declared} == {None}
    assert {a.score for a in answers if not a.out_of_domain} == {1}


@pytest.mark.parametrize("bad", [math.nan, -0.1, 1.1])
def test_an_undefined_miou_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"`miou` must be in 0\.\.1"):
        rate(bad, EXACT)


def test_habits_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="noise"):
        replace(EXACT, noise=-1.0)


TRUTH = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [255, 0, 0, 0]], dtype=np.uint8)
START = np.array([[2, 2, 0, 2], [1, 0, 0, 2], [2, 0, 255, 0]], dtype=np.uint8)


def paint(anchoring: float, *, image: str = "i", start: np.ndarray | None = START) -> np.ndarray:
    return simulated_mask(TRUTH, start, anchoring=anchoring, seed=0, annotator="a", image_id=image)


def test_an_annotator_without_a_start_or_anchoring_paints_the_truth() -> None:
    assert paint(1.0, start=None).tolist() == TRUTH.tolist()
    assert paint(0.0).tolist() == TRUTH.tolist()


def test_full_anchoring_leaves_every_wrong_region_but_not_void() -> None:
    assert paint(1.0).tolist() == [[2, 2, 0, 2], [1, 0, 0, 2], [255, 0, 0, 0]]


def test_a_wrong_region_is_left_or_corrected_as_a_whole() -> None:
    """The wrong regions, two pixels each: class 2 at the left and at the right, class 0 in the middle."""
    regions = {"left": [(0, 0), (0, 1)], "right": [(0, 3), (1, 3)], "middle": [(1, 1), (1, 2)]}
    seen = set()
    for i in range(60):
        painted = paint(0.5, image=f"{i}")
        wrong = painted != TRUTH
        for pixels in regions.values():
            assert len({bool(wrong[p]) for p in pixels}) == 1
        seen.add(tuple(bool(wrong[pixels[0]]) for pixels in regions.values()))
        assert wrong.sum() == 2 * sum(bool(wrong[pixels[0]]) for pixels in regions.values())
    assert len(seen) == 8


def test_regions_that_touch_at_a_corner_are_two() -> None:
    truth = np.zeros((2, 2), dtype=np.uint8)
    start = np.array([[1, 0], [0, 1]], dtype=np.uint8)
    wrong = {
        int((simulated_mask(truth, start, anchoring=0.5, seed=0, annotator="a", image_id=f"{i}") != 0).sum())
        for i in range(40)
    }
    assert wrong == {0, 1, 2}


def test_the_inputs_are_left_alone_and_sizes_must_agree() -> None:
    before = TRUTH.copy(), START.copy()
    paint(0.5)[:] = 9
    assert np.array_equal(before[0], TRUTH)
    assert np.array_equal(before[1], START)
    with pytest.raises(ValueError, match="size"):
        paint(0.5, start=START[:2])
    with pytest.raises(ValueError, match="anchoring"):
        paint(1.5)


def check(mask: np.ndarray, attention: float = 1.0, image: str = "i") -> list[tuple[str, float, float]]:
    """What a checker marks in a mask of 20 x 30 px whose truth is class 0 with a void corner."""
    truth = np.zeros((20, 30), np.uint8)
    truth[:2, :2] = 255
    marks = simulated_check(truth, mask, attention=attention, seed=0, checker="c", image_id=image)
    return [(mark.error_type, mark.x_px, mark.y_px) for mark in marks]


def test_a_checker_marks_every_error_in_its_middle_and_void_of_the_truth_is_none() -> None:
    mask = np.zeros((20, 30), np.uint8)
    assert check(mask) == []
    mask[:2, :2] = 3
    assert check(mask) == []
    mask[5:8, 10:13] = 1
    mask[15, 20] = 255
    assert check(mask) == [("wrong class", 11.5, 6.5), ("missed object", 20.5, 15.5)]
    assert check(mask, attention=0.0) == []


def test_errors_smaller_than_a_thousandth_are_not_seen() -> None:
    truth, mask = np.zeros((40, 50), np.uint8), np.zeros((40, 50), np.uint8)
    mask[3, 3] = 1
    mask[9, 3:5] = 1
    marks = simulated_check(truth, mask, attention=1.0, seed=0, checker="c", image_id="i")
    assert [mark.y_px for mark in marks] == [9.5]


def test_an_error_is_noticed_with_the_probability_given() -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[5:8, 10:13] = 1
    noticed = sum(bool(check(mask, attention=0.3, image=f"{n}")) for n in range(1000))
    assert 255 <= noticed <= 345, "within three standard deviations of 300"


def test_an_image_that_comes_again_has_chances_of_its_own() -> None:
    def left(turn: int) -> list[bool]:
        painted = [
            simulated_mask(TRUTH, START, anchoring=0.5, seed=0, annotator="a", image_id=f"{n}", turn=turn)
            for n in range(30)
        ]
        return [bool((mask != TRUTH).any()) for mask in painted]

    assert left(1) == left(1)
    assert left(1) != left(2)
