"""Pictures that Label Studio shows: our own normalised copies under content-addressed names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from configs.classes import Classes
from models.decoding import decode_image
from tasks.core.check_marks import CheckMark
from tasks.core.digests import digest_of
from tasks.core.label_maps import LabelMap, colourise, map_digest, overlay
from tasks.image_files import read_verified
from tasks.mark_pictures import draw_marks
from tasks.picture_places import PicturePlace
from tasks.pictures import encode_png


@dataclass(frozen=True)
class PictureFolder:
    """The pictures of one campaign, each written once, as PNG files without metadata.

    Every method returns the address by which the data of a task name the picture.

    Attributes:
        place: where pictures lie.
        campaign: name of the campaign's folder there.
    """

    place: PicturePlace
    campaign: str

    def put_image(self, uri: str, image_id: str) -> str:
        """Address of the image as madloop read it: upright and RGB."""
        return self._put(f"images/{image_id}", lambda: _read(uri, image_id))

    def put_marked_image(self, uri: str, image_id: str, marks: Sequence[CheckMark]) -> str:
        """Address of the image with a checker's marks drawn in."""
        digest = digest_of([asdict(mark) for mark in marks])
        name = f"marked/{image_id[:32]}-{digest[:32]}"
        return self._put(name, lambda: draw_marks(_read(uri, image_id), marks))

    def put_map(self, label_map: LabelMap, classes: Classes) -> str:
        """Address of the map in the class colours; void is white."""
        return self._put(f"maps/{map_digest(label_map)}", lambda: colourise(label_map, classes.colours))

    def put_overlay(self, uri: str, image_id: str, label_map: LabelMap, classes: Classes) -> str:
        """Address of the image with the map laid over it."""
        name = f"overlays/{image_id[:32]}-{map_digest(label_map)[:32]}"
        return self._put(name, lambda: overlay(_read(uri, image_id), label_map, classes.colours))

    def _put(self, name: str, draw: Callable[[], NDArray[np.uint8]]) -> str:
        path = f"{self.campaign}/{name}.png"
        if not self.place.has(path):
            self.place.put(path, encode_png(draw()))
        return self.place.address(path)


def _read(uri: str, image_id: str) -> NDArray[np.uint8]:
    return decode_image(read_verified(uri, image_id), where=uri)
