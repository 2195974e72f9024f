"""From bytes to images and masks: which files are accepted, and what becomes of their pixels.

Pillow reads the header before anything is decoded: format, size, number of pictures, orientation. OpenCV
then decodes images, which is up to three times as fast; Pillow decodes masks, whose palette indices OpenCV
would lose.

Letters: H, W height and width in pixels of the upright image.
"""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from configs.classes import Classes, MaskEncoding
from tasks.core.label_maps import LabelMap, decode_colour_mask, decode_index_mask
from tasks.errors import DataError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})

_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")  # for Pillow; no decoder of another format is ever tried
_SINGLE_CHANNEL = ("1", "L", "P", "I", "I;16", "I;16B")  # Pillow's modes that hold one number a pixel
_DEEP = ("I", "F")  # 32 bits a pixel: their range is nowhere said, so they cannot become 0..255
_JPEG_END = b"\xff\xd9"
_PNG_SIGNATURE_BYTES = 8
# What Pillow raises about damaged bytes; found by the fuzz of the readers.
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    OverflowError,
    EOFError,
    RuntimeError,
    struct.error,
    Image.DecompressionBombError,
)
_one_at_a_time = Lock()


@dataclass(frozen=True)
class ImageHeader:
    """What a file says about itself before it is decoded.

    Attributes:
        height: H.
        width: W.
        orientation: EXIF orientation 1..8 that is still to be applied to the decoded pixels.
    """

    height: int
    width: int
    orientation: int

    @property
    def megapixels(self) -> float:
        """H x W / 1,000,000."""
        return self.height * self.width / 1e6


def read_header(content: bytes, where: str) -> ImageHeader:
    """The header of the image in `content`; `where` names the source in errors.

    A header says nothing about damage further on, except that a PNG or JPEG must go on to its end.

    Raises:
        DataError: `content` is no PNG, JPEG, BMP, WebP or TIFF file; holds several pictures, or values of 32
            bits; has more than 178 megapixels; or is cut short.
    """
    with _opened(io.BytesIO(content), "an image", where) as file:
        kind = file.format or ""
        # A second picture in a JPEG file (MPO) is a preview or a depth map of the first one.
        if getattr(file, "is_animated", False) and kind != "MPO":
            raise DataError(
                f"{where}: one picture was required, but this {kind} file is an animation or has several "
                "pages; save the picture that is meant as a file of its own."
            )
        if file.mode in _DEEP:
            raise DataError(
                f"{where}: 8 or 16 bits a channel were required, but this {kind} file has 32; save it with 8 "
                "or 16."
            )
        if (kind == "PNG" and not _has_whole_chunks(content)) or (
            kind in ("JPEG", "MPO") and _JPEG_END not in content
        ):
            raise DataError(f"{where}: a whole image was required, but this {kind} file is cut short.")
        width, height = file.size
        # Both decoders turn TIFF by themselves, and Pillow tells the size of the turned image.
        orientation = 1 if kind == "TIFF" else _orientation(file)
    return ImageHeader(*((height, width) if orientation < 5 else (width, height)), orientation)


def decode_image(content: bytes, where: str) -> NDArray[np.uint8]:
    """The image in `content` as RGB, uint8, shape (H, W, 3), turned upright as its EXIF orientation says.

    Grey images become three equal channels, 16-bit values lose their low byte, CMYK is converted, and an
    alpha channel is dropped without blending.

    Args:
        content: of an image file.
        where: names the source in errors.

    Raises:
        DataError: as `read_header`; or the pixels are damaged.
    """
    header = read_header(content, where)
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION  # OpenCV would forget that of WebP
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise DataError(
            f"{where}: an image was required, but decoding it failed: {error.err or error}."
        ) from error
    if image is None:
        raise DataError(
            f"{where}: an image was required, but these {len(content)} bytes cannot be decoded: damaged, cut "
            f"short or an unsupported format. Save it again as JPEG or PNG, or remove it from the data."
        )
    upright = _upright(np.asarray(image, dtype=np.uint8), header.orientation)
    if upright.shape != (header.height, header.width, 3):
        raise DataError(
            f"{where}: {header.height} x {header.width} pixels were required, as its header says, but "
            f"decoding it gave {' x '.join(map(str, upright.shape))}; save it again as JPEG or PNG."
        )
    return upright


def read_image(path: Path) -> NDArray[np.uint8]:
    """The image at `path`, as `decode_image` gives it.

    Raises:
        DataError: the file cannot be read, or not as an image.
    """
    return decode_image(_bytes_of(path, "an image"), str(path))


def read_mask(
    path: Path, encoding: MaskEncoding, classes: Classes, size: tuple[int, int] | None = None
) -> LabelMap:
    """The label map in the mask at `path`: uint8, shape (H, W), class indices and 255 for void.

    Args:
        path: an image file; for `index` of one 8-bit channel (grey values or palette indices), for `palette`
            with a palette.
        encoding: how the file stores classes.
        classes: the campaign's classes.
        size: (H, W) of its image, if that is known.

    Raises:
        DataError: the file cannot be read, is of another size or kind, or holds a value or colour that is no
            class.
    """
    # From memory: what Pillow is told to read from a file, it takes the room for first.
    with _opened(io.BytesIO(_bytes_of(path, "a mask image")), "a mask image", str(path)) as file:
        if size is not None and file.size != size[::-1]:
            raise DataError(
                f"{path} must have its image's size {size[0]} x {size[1]}, it is {file.size[1]} x "
                f"{file.size[0]}."
            )
        file.load()  # its pixels outlive the open file
    try:
        return _decode_mask(file, encoding, classes)
    except ValueError as error:
        raise DataError(f"{path}: {error}.") from error


def _bytes_of(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {what} was required, but it cannot be read: {error.strerror}.") from error


@contextmanager
def _opened(source: io.BytesIO, what: str, where: str) -> Iterator[Image.Image]:
    """An image file with its header read.

    Raises:
        DataError: Pillow cannot read it, now or inside of the block.
    """
    try:
        # Pillow warns of many pixels and of odd metadata: the first is judged elsewhere, the second changes
        # nothing. The list of filters belongs to the whole process.
        with _one_at_a_time, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(source, formats=_FORMATS) as file:
                yield file
    except UnidentifiedImageError as error:
        raise DataError(
            f"{where}: {what} was required, but this is no file of the kind {', '.join(_FORMATS)}."
        ) from error
    except _UNREADABLE as error:
        raise DataError(f"{where}: {what} was required, but it cannot be read: {error}.") from error


def _has_whole_chunks(content: bytes) -> bool:
    """Whether the chunks of a PNG follow each other up to the last one.

    OpenCV takes the room that a chunk declares before it looks whether the file has it: up to 2 GB.
    """
    place = _PNG_SIGNATURE_BYTES
    while place + 12 <= len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        is_last = content[place + 4 : place + 8] == b"IEND"
        place += 12 + size
        if is_last:
            return place <= len(content)
    return False


def _orientation(file: Image.Image) -> int:
    """EXIF orientation, 1..8; 1 where there is none or it is something else."""
    # Not PNG's own `getexif`: without EXIF in front of the pixels, it decodes them to look behind them.
    found = Image.Image.getexif(file).get(ExifTags.Base.Orientation)
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _upright(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """(H, W, 3) image from the stored one, by its EXIF orientation."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def _decode_mask(file: Image.Image, encoding: MaskEncoding, classes: Classes) -> LabelMap:
    """The label map in an opened mask image. EXIF orientation is ignored: masks are made upright."""
    if encoding.kind == "colours":
        return decode_colour_mask(
            np.array(file.convert("RGB")), colours=classes.colours, void_colours=encoding.void_colours
        )
    wanted = ("P",) if encoding.kind == "palette" else _SINGLE_CHANNEL
    if file.mode not in wanted:
        raise ValueError(
            f"a mask of `mask_encoding.kind: {encoding.kind}` must have one of the modes {list(wanted)}, got "
            f"{file.mode!r}; a mask painted in RGB needs `kind: colours`"
        )
    # Pillow gives palette indices as they are stored, where cv2 would give colours.
    values = np.asarray(file)
    if values.min() < 0 or values.max() > 255:
        raise ValueError(f"mask values must fit in one byte, got {values.min()} to {values.max()}")
    return decode_index_mask(values.astype(np.uint8), n_classes=classes.count, void=encoding.void)
