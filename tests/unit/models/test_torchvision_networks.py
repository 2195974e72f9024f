"""Torchvision's networks: logits as by torchvision alone, versions, published weights, wrong files."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import numpy as np
import pytest
import safetensors.torch
import torch
from torchvision.models import segmentation

from configs.model_specs import Torchvision
from models.inference import InputImage, predict
from models.preprocess import to_input
from models.published_weights import _download
from models.training import fine_tune
from models.training_records import TrainingSample, TrainingSettings
from models.weights import model_digest, weight_file
from models.zoo import build_network, load_model, save_version, version_spec
from tasks.errors import DataError
from tests.lib.small_networks import torchvision_network

NAMES = ("sky", "road", "car")
SMALL = "lraspp_mobilenet_v3_large"
IMAGE = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
INPUT = InputImage(IMAGE, "0" * 64, "frame")
RESIDUAL = "fcn_resnet50"


def _spec(folder: Path, architecture: str = SMALL, *, aux_loss: bool = False) -> Torchvision:
    folder.mkdir(parents=True, exist_ok=True)
    network = torchvision_network(architecture, 3, aux_loss=aux_loss)
    path = folder / f"{architecture}.safetensors"
    safetensors.torch.save_file(network.state_dict(), path)
    return Torchvision(name="m", architecture=architecture, weights=path)


@pytest.mark.parametrize("architecture", [SMALL, "deeplabv3_mobilenet_v3_large"])
def test_logits_are_those_of_torchvision(tmp_path: Path, architecture: str) -> None:
    has_aux = architecture.startswith("deeplab")
    spec = _spec(tmp_path, architecture, aux_loss=has_aux)
    alone = torchvision_network(architecture, 3, aux_loss=has_aux)
    inputs = to_input(IMAGE, spec)
    with torch.inference_mode():
        expected = alone(inputs)["out"]
    got = load_model(spec, NAMES).engine.logits(inputs)
    assert tuple(got.shape) == (1, 3, 50, 70)
    torch.testing.assert_close(expected, got, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "architecture",
    ["deeplabv3_resnet50", "deeplabv3_resnet101", "fcn_resnet50", "fcn_resnet101"],
)
def test_the_number_of_classes_is_read_from_every_architectures_weights(architecture: str) -> None:
    with torch.device("meta"):
        network = getattr(segmentation, architecture)(
            weights=None, weights_backbone=None, num_classes=21, aux_loss=True
        )
    assert network.state_dict()["classifier.4.weight"].shape[0] == 21


def test_a_torch_file_with_an_auxiliary_head_loads_without_it(tmp_path: Path) -> None:
    network = torchvision_network(RESIDUAL, 3, aux_loss=True)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    spec = Torchvision(name="m", architecture=RESIDUAL, weights=tmp_path / "w.pth")
    loaded = build_network(spec)
    assert not any("aux_classifier" in name for name in loaded.state_dict())


@pytest.mark.parametrize("architecture", [SMALL, "deeplabv3_mobilenet_v3_large"])
def test_a_trained_version_is_saved_and_read_by_madloop_and_by_torchvision(
    tmp_path: Path, architecture: str
) -> None:
    spec = _spec(tmp_path, architecture, aux_loss=architecture.startswith("deeplab"))
    network = build_network(spec)
    statistics = {n: t.clone() for n, t in network.state_dict().items() if "running" in n}
    before = {n: p.detach().clone() for n, p in network.named_parameters()}
    samples = [TrainingSample(IMAGE, np.full((50, 70), 2, np.uint8))] * 2
    settings = TrainingSettings(learning_rate=0.05, epochs=2, batch_size=2, crop=(48, 48))
    records = fine_tune(network, spec, samples, settings)
    assert records[-1].loss < records[0].loss
    assert all(torch.equal(t, network.state_dict()[n]) for n, t in statistics.items()), "frozen batch norm"
    assert all(not torch.equal(before[n], p) for n, p in network.named_parameters() if n.endswith(".weight"))
    for name in ("a", "b"):
        save_version(network, tmp_path / name)
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()
    version = version_spec(spec, tmp_path / "a", "m-v1")
    assert isinstance(version, Torchvision)
    assert (version.name, version.mean, version.architecture) == ("m-v1", spec.mean, architecture)
    inputs = to_input(IMAGE, spec)
    with torch.inference_mode():
        expected = network(inputs)
    torch.testing.assert_close(expected, load_model(version, NAMES).engine.logits(inputs))
    config = json.loads((tmp_path / "a/config.json").read_text())
    alone = torchvision_network(config["architecture"], config["num_classes"])
    alone.load_state_dict(safetensors.torch.load_file(tmp_path / "a/model.safetensors"))
    with torch.inference_mode():
        torch.testing.assert_close(expected, alone.eval()(inputs)["out"], rtol=1e-4, atol=1e-4)


def test_a_state_dict_of_another_architecture_is_refused(tmp_path: Path) -> None:
    spec = _spec(tmp_path)
    with pytest.raises(DataError, match=r"have no 'classifier\.4\.weight'"):
        build_network(spec.model_copy(update={"architecture": RESIDUAL}))
    mobile = _spec(tmp_path, "deeplabv3_mobilenet_v3_large")
    with pytest.raises(DataError, match="do not fit the architecture"):
        build_network(mobile.model_copy(update={"architecture": "deeplabv3_resnet50"}))


def test_a_model_of_other_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gives 3 channel\(s\), but the campaign has 4 classes"):
        load_model(_spec(tmp_path), (*NAMES, "tree"))


@pytest.mark.parametrize("fields", [{}, {"weights": "w.pth", "published": "COCO_WITH_VOC_LABELS_V1"}])
def test_weights_come_from_one_place(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="one of the two"):
        Torchvision(name="m", architecture=SMALL, **fields)


def _published(monkeypatch: pytest.MonkeyPatch, folder: Path) -> tuple[Torchvision, Path]:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(folder))
    place = folder / "checkpoints/lraspp_mobilenet_v3_large-d234d4ea.pth"
    return Torchvision(name="m", architecture=SMALL, published="COCO_WITH_VOC_LABELS_V1"), place


def test_published_weights_that_cannot_be_fetched_are_asked_for_by_name_place_and_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, place = _published(monkeypatch, tmp_path)
    with pytest.raises(DataError) as caught:
        load_model(spec, NAMES)
    message = str(caught.value)
    for part in (
        place.name,
        str(place.parent),
        "d234d4ea",
        "12 MB",
        "https://download.pytorch.org",
        "weights",
    ):
        assert part in message
    assert not place.exists()
    assert list(place.parent.iterdir()) == [], "nothing half-way is left"


def test_published_weights_of_another_content_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, place = _published(monkeypatch, tmp_path)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"cut short")
    with pytest.raises(DataError, match=r"SHA-256 beginning with d234d4ea.* Remove it"):
        weight_file(spec)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address at which a server gives its files."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield folder, f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_download_is_kept_only_with_the_right_digest(tmp_path: Path, served: tuple[Path, str]) -> None:
    folder, address = served
    (folder / "net.pth").write_bytes(b"weights" * 1000)
    place = tmp_path / "hub" / "net.pth"
    begin = hashlib.sha256(b"weights" * 1000).hexdigest()[:8]
    _download(f"{address}/net.pth", place, begin)
    assert place.read_bytes() == b"weights" * 1000
    place.unlink()
    with pytest.raises(ValueError, match="what came has the SHA-256"):
        _download(f"{address}/net.pth", place, "00000000")
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        _download(f"{address}/missing.pth", place, begin)
    assert list(place.parent.iterdir()) == []


def test_the_model_digest_follows_weights_and_architecture_and_not_the_place(tmp_path: Path) -> None:
    spec = _spec(tmp_path)
    moved = tmp_path / "elsewhere.safetensors"
    shutil.copy(spec.weights or tmp_path, moved)
    digest = model_digest(spec, NAMES)
    assert model_digest(spec.model_copy(update={"weights": moved, "name": "other"}), NAMES) == digest
    for change in ({"architecture": RESIDUAL}, {"input_size": (64, 64)}, {"mean": (0.5, 0.5, 0.5)}):
        assert model_digest(spec.model_copy(update=change), NAMES) != digest
    state = safetensors.torch.load_file(moved)
    name = "classifier.low_classifier.bias"
    safetensors.torch.save_file({**state, name: state[name] + 1}, moved)
    assert model_digest(spec.model_copy(update={"weights": moved}), NAMES) != digest


def test_a_map_is_the_argmax(tmp_path: Path) -> None:
    model = load_model(_spec(tmp_path), NAMES)
    result = predict(model, INPUT, height=50, width=70)
    expected = model.engine.logits(to_input(IMAGE, model.spec))[0].argmax(0)
    assert result.label_map.tolist() == expected.tolist()
