"""A network and its ONNX graph give the same logits; what cannot be exported is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy

from configs.model_specs import Network
from models.inference import InputImage, predict
from models.onnx_export import export_onnx, with_onnx
from models.preprocess import to_input
from models.torch_networks import AdaptedNetwork, TorchNetwork
from models.zoo import LoadedModel, load_model
from tasks.errors import DataError
from tests.lib.small_networks import small_folder

NAMES = ("a", "b", "c")


def loaded(folder: Path, **fields: object) -> LoadedModel:
    """A small network, ready to run in torch."""
    model = load_model(small_folder(folder).model_copy(update=fields), NAMES)
    assert isinstance(model, LoadedModel)
    return model


def image(height: int, width: int) -> InputImage:
    """An image of noise."""
    pixels = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)
    return InputImage(pixels, "0" * 64, "noise")


@pytest.mark.parametrize(
    ("input_size", "sizes"), [((36, 50), [(40, 60), (36, 50)]), (None, [(36, 50), (64, 32), (70, 90)])]
)
def test_the_graph_gives_the_logits_of_the_network(
    tmp_path: Path, input_size: tuple[int, int] | None, sizes: list[tuple[int, int]]
) -> None:
    model = loaded(tmp_path, input_size=input_size)
    faster = with_onnx(model, export_onnx(model))
    for height, width in sizes:
        a, b = (predict(m, image(height, width), height=height, width=width) for m in (model, faster))
        assert a.label_map.shape == b.label_map.shape == (height, width)
        assert np.mean(a.label_map == b.label_map) > 0.999
        assert len(np.unique(a.label_map)) > 1
        assert a.entropy_mean == pytest.approx(b.entropy_mean, abs=1e-4)
    after = predict(model, image(36, 50), height=36, width=50)
    before = predict(loaded(tmp_path, input_size=input_size), image(36, 50), height=36, width=50)
    assert np.array_equal(before.label_map, after.label_map), "exporting must leave the network as it was"


class Undecided(torch.nn.Module):
    """A network whose way depends on the values of its input, which no graph can hold."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs if float(inputs.sum()) > 0 else -inputs


def test_a_network_that_cannot_be_exported_is_named(tmp_path: Path) -> None:
    network = AdaptedNetwork(Undecided(), 3)
    network.forward = network.network.forward  # type: ignore[method-assign]
    model = LoadedModel(TorchNetwork(network, 1), Network(name="undecided", input_size=(16, 16)), NAMES)
    with pytest.raises(DataError, match="'undecided' cannot be exported to ONNX"):
        export_onnx(model)


def test_a_graph_of_another_network_is_refused(tmp_path: Path) -> None:
    model = loaded(tmp_path / "three", input_size=(32, 32))
    other = load_model(small_folder(tmp_path / "four", 4).model_copy(update={"input_size": (32, 32)}), "abcd")
    assert isinstance(other, LoadedModel)
    with pytest.raises(DataError, match="must give 4 channels, it gives 3"):
        with_onnx(other, export_onnx(model))


def test_uncertainties_are_those_of_the_softmax(tmp_path: Path) -> None:
    model = loaded(tmp_path)
    found = predict(model, image(32, 48), height=32, width=48)
    with torch.inference_mode():
        logits = model.engine.logits(to_input(image(32, 48).pixels, model.spec))[0].double().numpy()
    probabilities = softmax(logits, axis=0)
    h, u = entropy(probabilities, axis=0), 1 - probabilities.max(axis=0)
    expected = (h.mean(), np.percentile(h, 95), u.mean(), np.percentile(u, 95))
    got = (found.entropy_mean, found.entropy_p95, found.uncertainty_mean, found.uncertainty_p95)
    assert got == pytest.approx(expected, abs=1e-5)
    assert np.array_equal(found.label_map, logits.argmax(axis=0))
