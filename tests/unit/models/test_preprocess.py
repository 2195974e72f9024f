"""Network inputs and comparison sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from configs.model_specs import Network
from models.preprocess import comparison_shape, to_input

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


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
