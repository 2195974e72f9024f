"""Images, masks, network inputs and comparison sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from configs.schema import Classes, MaskEncoding, Network
from models.preprocess import comparison_shape, read_image, read_mask, to_input
from tasks.errors import DataError

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
INDICES = np.array([[0, 1, 2], [255, 1, 0]], np.uint8)
CLASSES = Classes(names=("sky", "road", "car"), colours=((0, 0, 0), (200, 0, 0), (0, 0, 200)))


def test_an_rgb_image_is_read_as_stored(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").tolist() == RGB.tolist()


def test_a_turned_photo_is_read_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    flat = np.zeros((16, 32, 3), np.uint8)
    flat[:, :16] = 255
    Image.fromarray(flat).save(tmp_path / "a.jpg", exif=exif, quality=95)
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == (32, 16, 3)
    assert image[:12].min() > 200
    assert image[20:].max() < 50


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


@pytest.mark.parametrize("mode", [InterpolationMode.BILINEAR, InterpolationMode.BICUBIC])
@pytest.mark.parametrize("antialias", [True, False])
def test_inputs_equal_torchvisions(mode: InterpolationMode, antialias: bool) -> None:
    spec = Network(name="m", input_size=(16, 18), resampler=mode.value, antialias=antialias)
    tensor = torch.from_numpy(RGB).permute(2, 0, 1)[None].float() / 255
    resized = reference.resize(tensor, [16, 18], interpolation=mode, antialias=antialias).clamp(0, 1)
    expected = reference.normalize(resized, list(spec.mean), list(spec.std))
    torch.testing.assert_close(to_input(RGB, spec), expected, rtol=0, atol=1e-6)


def test_without_an_input_size_an_image_keeps_its_own() -> None:
    inputs = to_input(RGB, Network(name="m", mean=(0, 0, 0), std=(1, 1, 1)))
    assert (inputs.dtype, tuple(inputs.shape)) == (torch.float32, (1, 3, 20, 30))
    assert (inputs[0].permute(1, 2, 0).numpy() * 255).round().astype(int).tolist() == RGB.tolist()


def test_area_halving_is_the_mean_of_four_and_nearest_invents_no_value() -> None:
    area = to_input(
        RGB, Network(name="m", input_size=(16, 16), resampler="area", mean=(0, 0, 0), std=(1, 1, 1))
    )
    assert tuple(area.shape) == (1, 3, 16, 16)
    doubled = np.repeat(np.repeat(RGB[:16, :16], 2, axis=0), 2, axis=1)
    for resampler in ("area", "nearest"):
        spec = Network(name="m", input_size=(16, 16), resampler=resampler, mean=(0, 0, 0), std=(1, 1, 1))
        back = (to_input(doubled, spec)[0].permute(1, 2, 0).numpy() * 255).round().astype(int)
        assert back.tolist() == RGB[:16, :16].tolist()


@pytest.mark.parametrize("wrong", [RGB[..., 0], RGB.astype(np.float32), RGB[..., :2]])
def test_only_rgb_bytes_are_an_image(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8 of shape"):
        to_input(wrong, Network(name="m"))


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(1, 3000))
def test_comparison_sizes_are_bounded_never_enlarged_and_keep_the_aspect(
    height: int, width: int, long_side: int
) -> None:
    h, w = comparison_shape(height, width, long_side)
    assert 1 <= h <= height
    assert 1 <= w <= width
    assert max(h, w) == min(max(height, width), long_side)
    scale = max(h, w) / max(height, width)
    assert abs(h - height * scale) <= 0.5 or h == 1
    assert abs(w - width * scale) <= 0.5 or w == 1


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
