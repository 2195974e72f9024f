"""Gold images: images of S(0) shown with a map whose right score is known, between a rater's candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from configs.classes import Classes
from tasks.core.digests import digest_of
from tasks.core.gold_maps import RIGHT_SCORE, WRONG_SCORE, is_plainly_wrong, without_void
from tasks.core.label_maps import VOID, LabelMap, resized_map
from tasks.labelled_sets import LabelledImage

_PARTNERS = 10  # other images whose mask is tried as a wrong map, per image
_SPARE_IMAGES = 10  # images that are tried beyond twice the wanted number


@dataclass(frozen=True)
class GoldImage:
    """One gold image.

    Attributes:
        image_id: an image of S(0).
        mask_of: the image whose true mask is shown: itself, or another one.
        expected_score: 5 for its own mask, 1 for another's.
        shown: (H, W) uint8, the map; without void, as maps of models are.
    """

    image_id: str
    mask_of: str
    expected_score: int
    shown: LabelMap


def gold_images(
    training: Sequence[LabelledImage], classes: Classes, *, count: int, seed: int, round_number: int
) -> list[GoldImage]:
    """Up to `count` gold images: the larger half with their own mask, the others with a plainly wrong one.

    There are fewer where S(0) is small, or where no mask of another image is wrong enough (a background that
    covers most of every image makes any mask of another image half right).

    Args:
        training: S(0).
        classes: the label set.
        count: wanted, >= 0.
        seed: of the campaign.
        round_number: another round has other gold images, as far as S(0) has enough.
    """
    order = sorted(training, key=lambda image: digest_of(["gold", seed, round_number, image.image_id]))
    n_right = (count + 1) // 2
    right = list(_with_own_mask(order, classes, n_right))
    used = {gold.image_id for gold in right}
    rest = [image for image in order if image.image_id not in used]
    return right + list(_with_wrong_mask(rest, order, classes, count - n_right))


def _with_own_mask(order: Sequence[LabelledImage], classes: Classes, count: int) -> Iterator[GoldImage]:
    for image in order:
        if count == 0:
            return
        truth = image.read_mask(classes)
        if (truth != VOID).any():
            count -= 1
            yield GoldImage(image.image_id, image.image_id, RIGHT_SCORE, without_void(truth))


def _with_wrong_mask(
    order: Sequence[LabelledImage], partners: Sequence[LabelledImage], classes: Classes, count: int
) -> Iterator[GoldImage]:
    for image in order[: 2 * count + _SPARE_IMAGES]:
        if count == 0:
            return
        gold = _wrong_for(image, partners, classes)
        if gold is not None:
            count -= 1
            yield gold


def _wrong_for(image: LabelledImage, partners: Sequence[LabelledImage], classes: Classes) -> GoldImage | None:
    """The image with the first plainly wrong mask in an order of its own, None if none was found."""
    truth = image.read_mask(classes)
    if (truth == VOID).all():
        return None
    others = sorted(partners, key=lambda other: digest_of([image.image_id, other.image_id]))
    for other in others[:_PARTNERS]:
        mask = other.read_mask(classes)
        if other.image_id == image.image_id or (mask == VOID).all():
            continue
        shown = resized_map(without_void(mask), *truth.shape)
        if is_plainly_wrong(truth, shown, classes.count):
            return GoldImage(image.image_id, other.image_id, WRONG_SCORE, shown)
    return None
