"""What simulated people know: the truth of every image they can be shown, and how each of them answers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from configs.classes import Classes, MaskEncoding
from configs.image_sources import ImageSource
from configs.locations import Location
from configs.people_sections import SimulatedPeople
from configs.schema import Campaign
from configs.sections import Section, Slug
from models.decoding import read_header, read_mask
from tasks.core.check_marks import CheckMark
from tasks.core.label_maps import VOID, decode_colour_mask, resized_map
from tasks.core.scores import maps_miou
from tasks.core.simulated_people import (
    SimulatedRater,
    SimulatedScore,
    simulated_check,
    simulated_mask,
    simulated_rating,
)
from tasks.errors import ConfigError, DataError
from tasks.image_files import find_image_files, read_bytes, stem_of

VOID_COLOUR = (255, 255, 255)  # of void on the maps people are shown

LabelMap = NDArray[np.uint8]


class PeopleConfig(Section):
    """What the process of the simulated people is told; the pipeline never opens the truth itself."""

    campaign: Slug
    classes: Classes
    mask_encoding: MaskEncoding = MaskEncoding()
    simulated: SimulatedPeople
    pool_images: Location
    pool_listing: Path | None = None
    training_set: ImageSource
    raters: tuple[Slug, ...]
    annotators: tuple[Slug, ...]
    checkers: tuple[Slug, ...] = ()


def people_config(campaign: Campaign) -> PeopleConfig:
    """The part of a campaign that its simulated people need.

    Raises:
        ConfigError: the campaign has no section `simulated_people`.
    """
    if campaign.simulated_people is None:
        raise ConfigError(
            f"Simulated people were required for the campaign {campaign.name!r}, but it has no section "
            "`simulated_people`. Add it with the folder of the true masks as `truth`."
        )
    return PeopleConfig(
        campaign=campaign.name,
        classes=campaign.classes,
        mask_encoding=campaign.mask_encoding,
        simulated=campaign.simulated_people,
        pool_images=campaign.pool.images,
        pool_listing=campaign.pool.listing,
        training_set=campaign.training_set,
        raters=campaign.ratings.raters,
        annotators=campaign.masks.annotators,
        checkers=campaign.masks.all_checkers,
    )


@dataclass(frozen=True)
class KnownImage:
    """One image of the pool or of the training set.

    Attributes:
        truth: (H, W) uint8 true map; None for an out-of-domain image without one.
        out_of_domain: whether it is listed as out of domain.
    """

    truth: LabelMap | None
    out_of_domain: bool


class Knowledge:
    """The truth of the whole pool, in memory, and the habits of the people.

    The training set, whose masks everybody knows, is read when the first gold image is asked about.
    """

    def __init__(self, config: PeopleConfig) -> None:
        """Read the truth of the pool.

        Raises:
            DataError: an image that is not listed as out of domain has no usable mask.
        """
        self.config = config
        self._images = _known_images(config)

    def rate(
        self, rater: str, *, image_id: str, map_digest: str, shown: LabelMap, repeat: int = 0
    ) -> SimulatedScore:
        """What a rater says about the map that is shown, (H, W) uint8, for the first time or again.

        Raises:
            DataError: an image the pool did not have when this was loaded.
        """
        simulated = self.config.simulated
        biases = simulated.rater_bias
        person = SimulatedRater(
            seed=simulated.seed,
            rater=rater,
            bias=biases[self.config.raters.index(rater) % len(biases)],
            noise=simulated.rater_noise,
            out_of_domain_probability=simulated.out_of_domain_probability,
        )
        known = self._known(image_id)
        miou = float("nan")
        if known.truth is not None and not known.out_of_domain:
            truth = resized_map(known.truth, *shown.shape)
            miou = maps_miou(truth, shown, self.config.classes.count)
        return simulated_rating(
            miou,
            out_of_domain=known.out_of_domain,
            person=person,
            image_id=image_id,
            map_digest=map_digest,
            repeat=repeat,
        )

    def paint(
        self, annotator: str, *, image_id: str, size: tuple[int, int], start: LabelMap | None, turn: int = 1
    ) -> LabelMap:
        """The mask an annotator paints, (H, W) uint8 of the size (H, W) that is shown.

        Raises:
            DataError: an image without truth.
        """
        simulated = self.config.simulated
        return simulated_mask(
            self._truth(image_id, size),
            start,
            anchoring=simulated.anchoring,
            seed=simulated.seed,
            annotator=annotator,
            image_id=image_id,
            turn=turn,
        )

    def check(self, checker: str, *, image_id: str, mask: LabelMap) -> tuple[CheckMark, ...]:
        """What a checker finds wrong with a mask, (H, W) uint8 of the size that is shown.

        Raises:
            DataError: an image without truth.
        """
        simulated = self.config.simulated
        return simulated_check(
            self._truth(image_id, mask.shape),
            mask,
            attention=simulated.attention,
            seed=simulated.seed,
            checker=checker,
            image_id=image_id,
        )

    def shown_map(self, rgb: NDArray[np.uint8]) -> LabelMap:
        """The map behind its picture: (H, W, 3) uint8 in class colours -> (H, W) uint8."""
        colours = self.config.classes.colours
        void = () if VOID_COLOUR in colours else (VOID_COLOUR,)
        return decode_colour_mask(rgb, colours=colours, void_colours=void)

    def _truth(self, image_id: str, size: tuple[int, ...]) -> LabelMap:
        truth = self._known(image_id).truth
        if truth is None:
            raise DataError(f"A true mask of the image {image_id} was required, but there is none.")
        return resized_map(truth, *size)

    @cached_property
    def _training_masks(self) -> dict[str, Path]:
        """Place of the mask of every image of the training set, by the image's id."""
        return _training_masks(self.config.training_set)

    def _known(self, image_id: str) -> KnownImage:
        known = self._images.get(image_id)
        if known is None and image_id in self._training_masks:
            mask = self._training_masks[image_id]
            known = KnownImage(read_mask(mask, self.config.mask_encoding, self.config.classes), False)
        if known is None:
            raise DataError(
                f"The image {image_id} was required in {self.config.pool_images}, but was not there when the "
                "simulated people were started. Start them again after the pool has grown."
            )
        return known


def _known_images(config: PeopleConfig) -> dict[str, KnownImage]:
    """Every image of the pool by its id, the SHA-256 of its bytes."""
    strange = config.simulated.out_of_domain
    listed = set() if strange is None else set(strange.read_text(encoding="utf-8").split())
    masks = {path.stem: path for path in sorted(config.simulated.truth.rglob("*")) if path.is_file()}
    images = {}
    listing = config.pool_listing
    wanted = None if listing is None else set(listing.read_text(encoding="utf-8").splitlines())
    for uri in find_image_files(config.pool_images, what="pool").uris:
        stem = stem_of(uri)
        if wanted is not None and stem not in wanted:
            continue
        try:
            content = read_bytes(uri)
            read_header(content, where=uri)
        except DataError:
            continue  # the pool rejects it, so nobody will be asked about it
        truth = read_mask(masks[stem], config.mask_encoding, config.classes) if stem in masks else None
        out_of_domain = stem in listed
        if not out_of_domain and (truth is None or (truth == VOID).all()):
            raise DataError(
                f"A true mask with at least one labelled pixel was required for {uri} in "
                f"{config.simulated.truth}. Add it, or list {stem} as out of domain."
            )
        images[hashlib.sha256(content).hexdigest()] = KnownImage(truth, out_of_domain)
    if not images:
        raise DataError(f"Images were required in {config.pool_images}, but there is none.")
    return images


def _training_masks(source: ImageSource) -> dict[str, Path]:
    if source.masks is None:
        return {}
    uris = find_image_files(source.images, what="training_set").uris
    files = [(uri, source.masks / f"{stem_of(uri)}.png") for uri in uris]
    return {hashlib.sha256(read_bytes(uri)).hexdigest(): mask for uri, mask in files if mask.is_file()}
