"""Pictures that Label Studio shows: our own normalised copies under content-addressed names, no links."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from configs.classes import Classes
from models.decoding import decode_image
from tasks.core.label_maps import LabelMap, colourise, map_digest, overlay
from tasks.image_files import read_verified
from tasks.pictures import encode_png
from tasks.services.local_storage import LocalStorage


@dataclass(frozen=True)
class PictureFolder:
    """A folder below Label Studio's document root that one campaign's pictures are written to.

    Attributes:
        document_root: folder that Label Studio serves files from.
        campaign: name of the sub-folder.
    """

    document_root: Path
    campaign: str

    @property
    def path(self) -> Path:
        """The folder itself; it exists after the first picture."""
        return self.document_root / self.campaign

    def put_image(self, uri: str, image_id: str) -> str:
        """Relative name of a PNG of the image as madloop read it: upright, RGB, without metadata."""
        name = f"{self.campaign}/images/{image_id}.png"
        if not (self.document_root / name).exists():
            self._write(name, encode_png(decode_image(read_verified(uri, image_id), where=uri)))
        return name

    def put_map(self, label_map: LabelMap, classes: Classes) -> str:
        """Relative name of the map in the class colours; void is white."""
        name = f"{self.campaign}/maps/{map_digest(label_map)}.png"
        if not (self.document_root / name).exists():
            self._write(name, encode_png(colourise(label_map, classes.colours)))
        return name

    def put_overlay(self, uri: str, image_id: str, label_map: LabelMap, classes: Classes) -> str:
        """Relative name of the image with the map laid over it."""
        name = f"{self.campaign}/overlays/{image_id[:32]}-{map_digest(label_map)[:32]}.png"
        if not (self.document_root / name).exists():
            image = decode_image(read_verified(uri, image_id), where=uri)
            self._write(name, encode_png(overlay(image, label_map, classes.colours)))
        return name

    def _write(self, name: str, content: bytes) -> None:
        """Put a picture under its name, in whole or not at all.

        Raises:
            TerminalServiceError: the disk is full or the folder cannot be written.
        """
        LocalStorage(self.document_root).put(name, content)
