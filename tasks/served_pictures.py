"""Pictures that Label Studio shows: our own normalised copies under content-addressed names, no links."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from configs.classes import Classes
from models.decoding import decode_image
from tasks.core.check_marks import CheckMark
from tasks.core.digests import digest_of
from tasks.core.label_maps import LabelMap, colourise, map_digest, overlay
from tasks.errors import TerminalServiceError
from tasks.image_files import read_verified
from tasks.mark_pictures import draw_marks
from tasks.pictures import encode_png


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

    def put_marked_image(self, uri: str, image_id: str, marks: Sequence[CheckMark]) -> str:
        """Relative name of the image with a checker's marks drawn in."""
        digest = digest_of([asdict(mark) for mark in marks])
        name = f"{self.campaign}/marked/{image_id[:32]}-{digest[:32]}.png"
        if not (self.document_root / name).exists():
            image = decode_image(read_verified(uri, image_id), where=uri)
            self._write(name, encode_png(draw_marks(image, marks)))
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
        """Put a picture there in whole; two runs that write the same one do not meet."""
        path = self.document_root / name
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise TerminalServiceError(
                f"Room was required for pictures that Label Studio shows in {self.path}, but: "
                f"{error.strerror}. Make room or correct the folder, then run again; nothing asked is lost."
            ) from error
