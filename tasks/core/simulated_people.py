"""People made of code: they rate and paint like people with given habits, for demonstrations and tests.

Every answer is a function of who answers, a seed and what is shown, never of the order of the questions.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from tasks.core.check_marks import CheckMark
from tasks.core.label_maps import VOID, LabelMap, check_label_map

SCORE_CUTS = (0.2, 0.4, 0.6, 0.8)
SEEN_SHARE = 0.001  # of an image's pixels: the smallest error that a checker sees


@dataclass(frozen=True)
class SimulatedRater:
    """The habits of one rater.

    Attributes:
        seed: of the campaign's simulated people.
        rater: the name; two raters of one seed differ by it.
        bias: added to every score, in score units.
        noise: standard deviation of what is added at random, in score units, >= 0.
        out_of_domain_probability: chance that an out-of-domain image is declared as such, 0..1.
    """

    seed: int
    rater: str
    bias: float
    noise: float
    out_of_domain_probability: float

    def __post_init__(self) -> None:
        """Raise ValueError if a number is out of range."""
        if not self.noise >= 0 or not 0 <= self.out_of_domain_probability <= 1:
            raise ValueError(f"`noise` must be >= 0 and `out_of_domain_probability` in 0..1, got {self}")


@dataclass(frozen=True)
class SimulatedScore:
    """A simulated answer: a score of 1..5, or out of domain and no score."""

    score: int | None
    out_of_domain: bool


def simulated_rating(
    miou: float,
    *,
    out_of_domain: bool,
    person: SimulatedRater,
    image_id: str,
    map_digest: str,
    repeat: int = 0,
) -> SimulatedScore:
    """What a simulated rater answers about one map; a pure function of its arguments.

    The mIoU of the map cut at .2, .4, .6, .8 gives 1..5 (a value on a cut belongs to the higher score); the
    rater adds a bias and normal noise, rounds and clips. An out-of-domain image is declared with the rater's
    probability, or else rated as if its mIoU were 0.

    Args:
        miou: of the shown map against the truth, 0..1; not read (may be NaN) for an out-of-domain image.
        out_of_domain: whether the image really is out of domain.
        person: the rater's habits.
        image_id: the image.
        map_digest: digest of the map shown.
        repeat: 0 = shown for the first time; a second answer may be another one.

    Returns:
        The answer.

    Raises:
        ValueError: mIoU of an in-domain image outside 0..1 or NaN.

    Source:
        DESIGN, section 1, row simulated people.
    """
    if not out_of_domain and not 0 <= miou <= 1:
        raise ValueError(
            f"`miou` must be in 0..1, got {miou} for image {image_id}; an image whose truth is all void "
            "must be listed as out of domain"
        )
    again = (str(repeat),) if repeat else ()
    rng = _generator("rating", str(person.seed), person.rater, image_id, map_digest, *again)
    # both are always drawn, so that the noise of an image does not depend on the probability
    chance, noise = rng.random(), rng.standard_normal()
    if out_of_domain and chance < person.out_of_domain_probability:
        return SimulatedScore(score=None, out_of_domain=True)
    level = 1 if out_of_domain else 1 + sum(miou >= cut for cut in SCORE_CUTS)
    rounded = math.floor(level + person.bias + person.noise * noise + 0.5)
    return SimulatedScore(score=min(5, max(1, rounded)), out_of_domain=False)


def simulated_mask(
    truth: LabelMap,
    start: LabelMap | None,
    *,
    anchoring: float,
    seed: int,
    annotator: str,
    image_id: str,
    turn: int = 1,
) -> LabelMap:
    """What a simulated annotator paints: the truth, but for wrong regions of the start map that were left.

    A wrong region is a 4-connected component of pixels of one class in the start map where the truth is
    another class. Void of the truth stays void; void of the start map suggests nothing and is always painted.

    Args:
        truth: (H, W) uint8.
        start: (H, W) uint8, the map the annotator starts from, or None for an empty one.
        anchoring: chance that a wrong region is left as it was, 0..1.
        seed: of the campaign's simulated people.
        annotator: the name.
        image_id: the image.
        turn: how often the image has come to the annotator, from 1; every turn has chances of its own.

    Returns:
        (H, W) uint8, a fresh array; a pure function of the arguments.

    Raises:
        ValueError: sizes that differ, or anchoring outside 0..1.

    Source:
        DESIGN, section 1, row simulated people.
    """
    check_label_map(truth, "truth")
    if not 0 <= anchoring <= 1:
        raise ValueError(f"`anchoring` must be in 0..1, got {anchoring}")
    painted = truth.copy()
    if start is None:
        return painted
    check_label_map(start, "start")
    if start.shape != truth.shape:
        raise ValueError(f"`start` must have the size of `truth` {truth.shape}, got {start.shape}")
    rng = _generator("mask", str(seed), annotator, image_id, *([] if turn == 1 else [str(turn)]))
    wrong = (start != truth) & (truth != VOID) & (start != VOID)
    for value in np.unique(start[wrong]):
        regions, count = ndimage.label(wrong & (start == value))  # the default structure is 4-connected
        left = np.concatenate(([False], rng.random(count) < anchoring))  # region 0 is "no region"
        painted[left[regions]] = value
    return painted


def simulated_check(
    truth: LabelMap, mask: LabelMap, *, attention: float, seed: int, checker: str, image_id: str
) -> tuple[CheckMark, ...]:
    """What a simulated checker finds wrong with a mask; nothing: it is accepted.

    An error is a 4-connected component of pixels that differ from the truth, void of the truth aside, with at
    least 0.1 % of the image's pixels; smaller ones nobody sees. Each is noticed with probability `attention`,
    and marked at its pixel nearest to its centre: as a missed object where the mask has no class, else as a
    wrong class.

    Args:
        truth: (H, W) uint8.
        mask: (H, W) uint8, the mask that is checked.
        attention: chance that an error is noticed, 0..1.
        seed: of the campaign's simulated people.
        checker: the name.
        image_id: the image.

    Returns:
        Marks in the order of the components; a pure function of the arguments.

    Raises:
        ValueError: sizes that differ, or attention outside 0..1.
    """
    check_label_map(truth, "truth")
    check_label_map(mask, "mask")
    if truth.shape != mask.shape:
        raise ValueError(f"`mask` must have the size of `truth` {truth.shape}, got {mask.shape}")
    if not 0 <= attention <= 1:
        raise ValueError(f"`attention` must be in 0..1, got {attention}")
    look = hashlib.sha256(mask.tobytes()).hexdigest()  # a mask that came back is looked at anew
    rng = _generator("check", str(seed), checker, image_id, look)
    errors, count = ndimage.label((mask != truth) & (truth != VOID))
    marks = []
    for number, is_noticed in enumerate(rng.random(count) < attention, start=1):
        rows, columns = np.nonzero(errors == number)
        if not is_noticed or rows.size < SEEN_SHARE * truth.size:
            continue
        nearest = int(np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2))
        row, column = int(rows[nearest]), int(columns[nearest])
        kind = "missed object" if mask[row, column] == VOID else "wrong class"
        marks.append(CheckMark(kind, column + 0.5, row + 0.5))
    return tuple(marks)


def _generator(*parts: str) -> np.random.Generator:
    digest = hashlib.sha256("\x00".join(parts).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "big")))
