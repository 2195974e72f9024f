"""Image and mask files: what is accepted, what becomes of their pixels, what is refused. Oracle: Pillow."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from configs.classes import Classes, MaskEncoding
from models.decoding import decode_image, read_header, read_image, read_mask
from tasks.errors import DataError

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
SMOOTH = cv2.resize(RGB[:3, :4], (64, 48), interpolation=cv2.INTER_CUBIC)
INDICES = np.array([[0, 1, 2], [255, 1, 0]], np.uint8)
CLASSES = Classes(names=("sky", "road", "car"), colours=((0, 0, 0), (200, 0, 0), (0, 0, 200)))


def _file(form: str, pixels: NDArray[np.uint8] = SMOOTH, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


def _upright(content: bytes) -> NDArray[np.uint8]:
    """The image by Pillow alone."""
    with Image.open(io.BytesIO(content)) as file:
        return np.asarray(ImageOps.exif_transpose(file).convert("RGB"))


def _png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes and a header that says more."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_is_read_upright(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = _file(form, exif=exif, **({"lossless": True} if form == "WEBP" else {}))
    image, header = decode_image(content, "a"), read_header(content, "a")
    assert (header.height, header.width) == image.shape[:2] == ((48, 64) if orientation < 5 else (64, 48))
    assert image.tolist() == _upright(content).tolist()


def test_a_turned_16_bit_tiff_is_read_upright() -> None:
    deep = np.random.default_rng(0).integers(0, 2**16, (20, 30)).astype(np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(deep).save(buffer, "TIFF", tiffinfo={274: 6})
    image = decode_image(buffer.getvalue(), "a")
    assert np.abs(image[..., 0].astype(int) - (np.rot90(deep, -1) // 256)).max() <= 1


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_one_pixel_is_an_image(form: str) -> None:
    content = _file(form, RGB[:1, :1])
    assert decode_image(content, "a").shape == (1, 1, 3)


def test_a_very_wide_strip_is_an_image() -> None:
    content = _file("PNG", np.zeros((2, 20_000, 3), np.uint8))
    assert decode_image(content, "a").shape == (2, 20_000, 3)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_turns_nothing(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert decode_image(_file("PNG", exif=exif), "a").shape == (48, 64, 3)


def test_damaged_exif_turns_nothing() -> None:
    assert decode_image(_file("PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x7f"), "a").shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {}), ("JPEG", {"progressive": True}), ("JPEG", {"mode": "L"}), ("JPEG", {"mode": "CMYK"}),
        ("PNG", {}), ("PNG", {"mode": "P"}), ("PNG", {"mode": "RGBA"}), ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("TIFF", {"compression": "jpeg"}),
    ],
)  # fmt: skip
def test_a_file_that_is_cut_short_anywhere_is_refused(form: str, options: dict[str, Any]) -> None:
    content = _file(form, **options)
    decode_image(content, "whole")
    kept = [1, 10, 30, *(len(content) * share // 20 for share in range(1, 20)), len(content) - 12]
    for size in sorted(set(kept)):
        with pytest.raises(DataError, match=r"cut\.img"):
            decode_image(content[:size], "cut.img")


def test_a_file_whose_end_is_zeros_is_refused() -> None:
    for form in ("JPEG", "PNG"):
        content = _file(form)
        half = len(content) // 2
        with pytest.raises(DataError, match=r"a\.img"):
            decode_image(content[:half] + bytes(len(content) - half), "a.img")


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_a_file_of_several_pictures_is_refused(form: str) -> None:
    content = _file(form, save_all=True, append_images=[Image.fromarray(255 - SMOOTH)])
    with pytest.raises(DataError, match=r"a\.img: one picture was required, but this .* file is an anim"):
        read_header(content, "a.img")


def test_a_photo_with_a_preview_behind_it_is_one_image() -> None:
    content = _file("MPO", save_all=True, append_images=[Image.fromarray(255 - SMOOTH)])
    assert decode_image(content, "a").tolist() == _upright(content).tolist()


@pytest.mark.parametrize("form", ["GIF", "PPM", "JPEG2000", "ICO"])
def test_other_formats_are_refused_whatever_their_name(form: str) -> None:
    with pytest.raises(DataError, match=r"a\.png: an image was required, but this is no file of the kind"):
        decode_image(_file(form), "a.png")


@pytest.mark.parametrize("pixels", [np.ones((8, 8), np.float32), np.ones((8, 8), np.int32)])
def test_32_bits_a_pixel_are_refused(pixels: Any) -> None:
    with pytest.raises(DataError, match=r"a\.tif: 8 or 16 bits a channel were required"):
        decode_image(_file("TIFF", pixels, mode="F" if pixels.dtype == np.float32 else "I"), "a.tif")


def test_a_png_chunk_longer_than_the_file_is_refused_before_it_is_decoded() -> None:
    content = _file("PNG")
    place = content.index(b"IDAT") - 4
    with pytest.raises(DataError, match=r"a\.png: a whole image was required, but this PNG file is cut"):
        read_header(content[:place] + b"\x77\0\0\0" + content[place + 4 :], "a.png")


def test_a_bomb_is_known_by_its_header() -> None:
    header = read_header(_png_that_claims(12_000, 12_000), "a.png")
    assert header.megapixels == pytest.approx(144)
    for side in (20_000, 2**31 - 1):
        with pytest.raises(DataError, match=r"a\.png"):
            read_header(_png_that_claims(side, side), "a.png")


def test_an_rgb_image_is_read_as_stored(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").tolist() == RGB.tolist()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1"])
def test_other_kinds_of_pixels_become_rgb(tmp_path: Path, mode: str) -> None:
    source = Image.fromarray(RGB).convert(mode)
    source.save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").tolist() == np.array(source.convert("RGB")).tolist()


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_16_bit_values_lose_their_low_byte(tmp_path: Path, name: str) -> None:
    deep = np.random.default_rng(0).integers(0, 2**16, (20, 30)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / name)
    image = read_image(tmp_path / name)
    assert (image.dtype, image.shape) == (np.uint8, (20, 30, 3))
    assert np.abs(image[..., 0].astype(int) - (deep // 256)).max() <= 1


def test_a_cmyk_image_is_converted(tmp_path: Path) -> None:
    source = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    source.save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - (255, 0, 0)).max() <= 4


def test_what_is_no_image_is_refused_with_its_path(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "whole.png")
    Image.fromarray(np.tile(RGB, (20, 20, 1))).save(tmp_path / "whole.jpg")
    contents = {
        "empty.png": b"",
        "text.jpg": b"hello",
        "cut.png": (tmp_path / "whole.png").read_bytes()[:-200],
        "cut.jpg": (tmp_path / "whole.jpg").read_bytes()[:-200],
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in (*contents, "missing.png"):
        with pytest.raises(DataError, match=name):
            read_image(tmp_path / name)


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_index_masks_hold_class_indices(tmp_path: Path, mode: str) -> None:
    if mode == "P":
        mask = Image.fromarray(INDICES).convert("L")
        mask.putpalette([7] * 768)
    else:
        mask = Image.fromarray(INDICES.astype(np.uint16) if mode == "I;16" else INDICES)
    mask.save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png", MaskEncoding(), CLASSES).tolist() == INDICES.tolist()


def test_palette_masks_give_indices_not_colours(tmp_path: Path) -> None:
    mask = Image.fromarray(INDICES)
    mask.putpalette([value for colour in CLASSES.colours for value in colour] + [9] * 759)
    mask.save(tmp_path / "a.png")
    encoding = MaskEncoding(kind="palette")
    assert read_mask(tmp_path / "a.png", encoding, CLASSES).tolist() == INDICES.tolist()
    Image.fromarray(INDICES).save(tmp_path / "grey.png")
    with pytest.raises(DataError, match=r"grey\.png.*modes \['P'\]"):
        read_mask(tmp_path / "grey.png", encoding, CLASSES)


def test_another_void_value_becomes_255(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 11, 2]], np.uint8)).save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png", MaskEncoding(void=11), CLASSES).tolist() == [[0, 255, 2]]


def test_colour_masks_are_looked_up(tmp_path: Path) -> None:
    rgb = np.array([[[0, 0, 0], [200, 0, 0], [0, 0, 200], [9, 9, 9]]], np.uint8)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    encoding = MaskEncoding(kind="colours", void_colours=((9, 9, 9),))
    assert read_mask(tmp_path / "a.png", encoding, CLASSES).tolist() == [[0, 1, 2, 255]]
    with pytest.raises(DataError, match=r"a\.png.*\(9, 9, 9\)"):
        read_mask(tmp_path / "a.png", MaskEncoding(kind="colours"), CLASSES)


def test_masks_that_do_not_fit_their_encoding_are_refused_with_their_path(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 3]], np.uint8)).save(tmp_path / "value.png")
    Image.fromarray(np.array([[0, 300]], np.uint16)).save(tmp_path / "wide.png")
    Image.fromarray(RGB).save(tmp_path / "rgb.png")
    (tmp_path / "text.png").write_bytes(b"hello")
    Image.fromarray(RGB[..., 0]).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:-100])
    for name in ("value.png", "wide.png", "rgb.png", "text.png", "cut.png", "missing.png"):
        with pytest.raises(DataError, match=name):
            read_mask(tmp_path / name, MaskEncoding(), CLASSES)


def test_masks_with_negative_values_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, -1]], np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=r"a\.tif: mask values must fit in one byte, got -1 to 0"):
        read_mask(tmp_path / "a.tif", MaskEncoding(), CLASSES)


def test_a_mask_bomb_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(_png_that_claims(20_000, 20_000))
    with pytest.raises(DataError, match=r"a\.png: a mask image was required"):
        read_mask(tmp_path / "a.png", MaskEncoding(), CLASSES)
