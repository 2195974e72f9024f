"""Labelled images wherever their masks come from: the customer's files, or this campaign's people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from configs.classes import Classes, MaskEncoding
from models.decoding import decode_image, read_mask
from models.inference import InputImage
from models.training_records import TrainingSample
from tasks.artifacts import ArtifactRef
from tasks.core.digests import digest_of
from tasks.core.label_maps import LabelMap
from tasks.core.records import IMAGES, MASKS
from tasks.core.splits import Split, split_by_group
from tasks.errors import DataError
from tasks.image_files import read_verified, stem_of
from tasks.rounds import Round, recall

DISPUTED = "disputed"  # verdict of a mask that author and checker do not agree on: it is used for nothing
FINISHED = MaskEncoding(kind="index", void=255)


@dataclass(frozen=True)
class LabelledImage:
    """One image with a mask.

    Attributes:
        image_id: digest of the image's bytes.
        uri: where the image is.
        group: its scene.
        mask_digest: digest of the mask.
        mask: where the mask is.
        encoding: how the mask is stored.
    """

    image_id: str
    uri: str
    group: str
    mask_digest: str
    mask: Path
    encoding: MaskEncoding

    def read_image(self) -> NDArray[np.uint8]:
        """The image, RGB, uint8, (H, W, 3)."""
        return decode_image(read_verified(self.uri, self.image_id), where=self.uri)

    def as_input(self) -> InputImage:
        """The image, with what finished label maps are looked up by."""
        return InputImage(self.read_image(), self.image_id, stem_of(self.uri))

    def read_mask(self, classes: Classes) -> LabelMap:
        """The mask, uint8, (H, W)."""
        return read_mask(self.mask, self.encoding, classes)


@dataclass(frozen=True)
class LabelledSet:
    """A named set of labelled images, in the order of their ids."""

    name: str
    images: tuple[LabelledImage, ...]

    @property
    def digest(self) -> str:
        """Digest of images, scenes and masks."""
        return digest_of([(i.image_id, i.group, i.mask_digest) for i in self.images])


class TrainingImages(Sequence[TrainingSample]):
    """Labelled images read from disk when training asks for them."""

    def __init__(self, images: Sequence[LabelledImage], classes: Classes) -> None:
        self._images = tuple(images)
        self._classes = classes

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> TrainingSample:  # type: ignore[override]
        image = self._images[index]
        return TrainingSample(image.read_image(), image.read_mask(self._classes))


def given_set(round_: Round, pool: ArtifactRef, dataset: str, name: str) -> LabelledSet:
    """S(0) (`training`) or T(0) (`familiar`), as the customer gave it."""
    rows = [row for row in round_.open_store().rows(pool, IMAGES) if row["dataset"] == dataset]
    images = [
        LabelledImage(
            row["image_id"],
            row["uri"],
            row["group"],
            row["mask_digest"],
            Path(row["mask_uri"]),
            round_.campaign.mask_encoding,
        )
        for row in rows
    ]
    return LabelledSet(name, tuple(sorted(images, key=lambda image: image.image_id)))


def finished_set(round_: Round, pool: ArtifactRef, masks: ArtifactRef, name: str) -> LabelledSet:
    """An S or T of this campaign with the masks people drew; without those that are in dispute.

    Its images are read from where the newest snapshot of the campaign has them: the data may have been moved
    since the round of `pool`.
    """
    store = round_.open_store()
    images = {row["image_id"]: row for row in store.rows(pool, IMAGES) if row["dataset"] == "pool"}
    places = {image_id: row["uri"] for image_id, row in images.items()} | _later_places(round_)
    drawn = [
        LabelledImage(
            row["image_id"],
            places[row["image_id"]],
            images[row["image_id"]]["group"],
            row["mask_digest"],
            store.path(masks, f"{row['image_id']}.png"),
            FINISHED,
        )
        for row in store.rows(masks, MASKS)
        if row["verdict"] != DISPUTED
    ]
    return LabelledSet(name, tuple(sorted(drawn, key=lambda image: image.image_id)))


def _later_places(round_: Round) -> dict[str, str]:
    """image_id -> uri in the snapshots of the rounds after this one, the newest winning."""
    store, number = round_.open_store(), round_.number + 1
    places: dict[str, str] = {}
    while (later := recall(round_.at(number), "pool")) is not None:
        places |= {row["image_id"]: row["uri"] for row in store.rows(later, IMAGES)}
        number += 1
    return places


def split_of(round_: Round, labelled: LabelledSet) -> Split:
    """T(0) in its tuning part, which chooses the learning rate, and its reporting part.

    Raises:
        DataError: the set has fewer than two usable images.
    """
    if len(labelled.images) < 2:
        raise DataError(
            f"{labelled.name} must have at least two usable images to be split, it has "
            f"{len(labelled.images)}; "
            "see the rejects of the stage `pool`."
        )
    return split_by_group(
        {image.image_id: image.group for image in labelled.images},
        tuning_share=round_.campaign.evaluation.tuning_share,
        seed=round_.campaign.seed,
    )
