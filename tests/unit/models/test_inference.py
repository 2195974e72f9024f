"""From images to label maps and uncertainties."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from configs.model_specs import Network
from models.inference import InputImage, predict, predict_sizes, set_threads
from models.preprocess import to_input
from models.torch_networks import TorchNetwork, forward_logits
from models.zoo import LoadedModel, load_model
from tests.lib.small_networks import small_folder, small_network

NAMES = ("sky", "road", "car")
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
INPUT = InputImage(IMAGE, "0" * 64, "frame")


class _Constant(torch.nn.Module):
    """A network that gives the same logits at every pixel."""

    class Encoder(torch.nn.Module):
        output_stride = 8

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.encoder = self.Encoder()
        self.logits = torch.tensor(logits)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits.view(1, -1, 1, 1).expand(x.shape[0], -1, *x.shape[-2:])


def _constant(*logits: float, names: tuple[str, ...] = NAMES, **fields: object) -> LoadedModel:
    return LoadedModel(TorchNetwork(_Constant(*logits), 8), Network(name="m", **fields), names)


@pytest.mark.parametrize("shape", [(40, 56), (37, 53), (5, 3), (8, 8)])
def test_every_image_size_gives_a_map_of_the_asked_size(tmp_path: Path, shape: tuple[int, int]) -> None:
    model = load_model(small_folder(tmp_path), NAMES)
    image = InputImage(IMAGE[: shape[0], : shape[1]], "0" * 64, "frame")
    result = predict(model, image, height=shape[0], width=shape[1])
    assert (result.label_map.shape, result.label_map.dtype) == (shape, np.uint8)
    assert set(np.unique(result.label_map)) <= {0, 1, 2}


@pytest.mark.parametrize("architecture", ["unet", "linknet", "deeplabv3plus"])
def test_padding_repeats_the_border_and_is_cut_off_again(architecture: str) -> None:
    network = small_network(architecture=architecture)
    inputs = to_input(IMAGE, Network(name="m"))
    torch.testing.assert_close(network(inputs), forward_logits(network, inputs), rtol=1e-3, atol=1e-3)
    cut = forward_logits(network, inputs[..., :37, :53])
    assert tuple(cut.shape) == (1, 3, 37, 53)
    padded = functional.pad(inputs[..., :37, :53], (0, 3, 0, 3), mode="replicate")
    torch.testing.assert_close(network(padded)[..., :37, :53], cut, rtol=1e-3, atol=1e-3)


def test_logits_of_another_scale_are_brought_to_the_inputs() -> None:
    network = small_network(architecture="fpn")  # of depth 3, and so four times the input's size
    inputs = to_input(IMAGE, Network(name="m"))
    output = network(inputs)
    assert tuple(output.shape[-2:]) == (160, 224)
    expected = functional.interpolate(output, (40, 56), mode="bilinear", align_corners=False)
    torch.testing.assert_close(expected, forward_logits(network, inputs), rtol=1e-3, atol=1e-3)


def test_the_map_is_the_argmax_of_the_resized_logits(tmp_path: Path) -> None:
    model = load_model(small_folder(tmp_path), NAMES)
    logits = model.engine.module(to_input(IMAGE, model.spec))
    resized = functional.interpolate(logits, (23, 31), mode="bilinear", align_corners=False)
    result = predict(model, INPUT, height=23, width=31)
    assert result.label_map.tolist() == resized[0].argmax(0).tolist()
    p = resized[0].softmax(0).double()
    entropy = -(p * p.log()).sum(0).detach().numpy()
    assert result.entropy_mean == pytest.approx(entropy.mean(), abs=1e-6)
    assert result.entropy_p95 == pytest.approx(np.quantile(entropy, 0.95), abs=1e-6)
    unsure = (1 - p.amax(0)).detach().numpy()
    assert result.uncertainty_mean == pytest.approx(unsure.mean(), abs=1e-6)
    assert result.uncertainty_p95 == pytest.approx(np.quantile(unsure, 0.95), abs=1e-6)


def test_several_sizes_equal_one_by_one(tmp_path: Path) -> None:
    model = load_model(small_folder(tmp_path), NAMES)
    sizes = [(40, 56), (20, 28), (80, 112)]
    for together, (height, width) in zip(predict_sizes(model, INPUT, sizes), sizes, strict=True):
        alone = predict(model, INPUT, height=height, width=width)
        assert together.label_map.tolist() == alone.label_map.tolist()
        assert together.entropy_mean == alone.entropy_mean


def test_equal_logits_are_as_unsure_as_can_be() -> None:
    result = predict(_constant(1.0, 1.0, 1.0), INPUT, height=8, width=8)
    assert result.entropy_mean == pytest.approx(math.log(3))
    assert result.entropy_p95 == pytest.approx(math.log(3))
    assert result.uncertainty_mean == pytest.approx(2 / 3)
    assert not result.label_map.any()


def test_certain_logits_have_no_entropy_and_no_nan() -> None:
    result = predict(_constant(-1e4, 1e4, -1e4), INPUT, height=8, width=8)
    assert (result.entropy_mean, result.uncertainty_p95) == (0, 0)
    assert set(result.label_map.ravel()) == {1}


@pytest.mark.parametrize(
    ("probability", "threshold", "label"), [(0.3, 0.25, 1), (0.3, 0.5, 0), (0.6, 0.5, 1)]
)
def test_one_sigmoid_channel_is_cut_at_the_threshold(
    probability: float, threshold: float, label: int
) -> None:
    logit = math.log(probability / (1 - probability))
    result = predict(_constant(logit, names=NAMES[:2], threshold=threshold), INPUT, height=8, width=8)
    assert set(result.label_map.ravel()) == {label}
    entropy = -probability * math.log(probability) - (1 - probability) * math.log(1 - probability)
    assert result.entropy_mean == pytest.approx(entropy, abs=1e-6)
    assert result.uncertainty_mean == pytest.approx(min(probability, 1 - probability), abs=1e-6)


def test_a_class_map_renames_channels_and_leaves_others_void() -> None:
    class_map = {0: "car", 3: "sky"}
    for logits, label in (((9.0, 0, 0, 0), 2), ((0, 0, 0, 9.0), 0), ((0, 9.0, 0, 0), 255)):
        result = predict(_constant(*logits, class_map=class_map), INPUT, height=8, width=8)
        assert set(result.label_map.ravel()) == {label}


def test_a_map_size_below_one_pixel_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 x 1"):
        predict(_constant(1.0, 0.0), INPUT, height=0, width=8)


def test_inference_leaves_no_gradient_graph_and_the_thread_setting_holds(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        set_threads(1)
        assert torch.get_num_threads() == 1
        model = load_model(small_folder(tmp_path), NAMES)
        predict(model, INPUT, height=8, width=8)
        assert all(parameter.grad is None for parameter in model.engine.module.parameters())
    finally:
        set_threads(before)
