"""From specs to networks and back to folders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import segmentation_models_pytorch as smp
import torch

from configs.model_specs import SmpFolder, SmpStateDict
from models.inference import InputImage, predict
from models.smp_networks import network_config
from models.state_dicts import load_state, save_state
from models.weights import file_digest
from models.zoo import build_network, check_classes, load_model, save_version, version_spec
from tasks.errors import DataError
from tests.lib.small_networks import ARGUMENTS, ENCODER, small_folder, small_network

NAMES = ("sky", "road", "car")
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
INPUT = InputImage(IMAGE, "0" * 64, "frame")


def _state_dict_spec(folder: Path, **changes: object) -> SmpStateDict:
    save_state(small_network(), folder / "w.safetensors")
    spec = SmpStateDict(
        name="plain",
        architecture="unet",
        encoder=ENCODER,
        arguments={**ARGUMENTS, "classes": 3},
        weights=folder / "w.safetensors",
    )
    return spec.model_copy(update=changes)


def test_both_kinds_of_spec_give_the_same_network(tmp_path: Path) -> None:
    folder, plain = small_folder(tmp_path / "folder"), _state_dict_spec(tmp_path)
    maps = [
        predict(load_model(spec, NAMES), INPUT, height=40, width=56).label_map for spec in (folder, plain)
    ]
    assert len(np.unique(maps[0])) > 1
    assert maps[0].tolist() == maps[1].tolist()


@pytest.mark.parametrize("kind", ["folder", "state_dict"])
def test_a_saved_version_of_either_kind_gives_equal_maps(tmp_path: Path, kind: str) -> None:
    spec = small_folder(tmp_path / "a") if kind == "folder" else _state_dict_spec(tmp_path)
    spec = spec.model_copy(update={"input_size": (48, 48), "mean": (0.1, 0.2, 0.3)})
    save_version(build_network(spec), tmp_path / "version")
    version = version_spec(spec, tmp_path / "version", "version-1")
    assert (version.input_size, version.mean, version.name) == ((48, 48), (0.1, 0.2, 0.3), "version-1")
    assert version.digest == file_digest(tmp_path / "version" / "model.safetensors")
    before, after = (predict(load_model(s, NAMES), INPUT, height=20, width=28) for s in (spec, version))
    assert before.label_map.tolist() == after.label_map.tolist()
    assert before.entropy_mean == after.entropy_mean


def test_a_saved_version_is_what_the_library_itself_can_load(tmp_path: Path) -> None:
    network = small_network()
    save_version(network, tmp_path)
    with torch.random.fork_rng(devices=[]):
        loaded = smp.from_pretrained(str(tmp_path)).eval()
    image = torch.zeros(1, 3, 32, 32)
    assert torch.equal(network(image), loaded(image))


def test_what_the_library_itself_saved_can_be_loaded_without_fetching_encoder_weights(tmp_path: Path) -> None:
    small_network().save_pretrained(tmp_path)  # type: ignore[operator]
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "encoder_weights": "imagenet"}))
    network = build_network(SmpFolder(name="m", path=str(tmp_path)))
    assert network_config(network)["encoder_weights"] is None
    assert not network.training


def test_an_activation_is_left_off_so_that_outputs_are_logits(tmp_path: Path) -> None:
    spec = small_folder(tmp_path)
    image = torch.ones(1, 3, 32, 32)
    expected = build_network(spec)(image)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "activation": "softmax2d"}))
    assert torch.equal(expected, build_network(spec)(image))


def test_half_precision_weights_give_a_float32_network(tmp_path: Path) -> None:
    spec = small_folder(tmp_path)
    path = tmp_path / "model.safetensors"
    state = {name: t.half() if t.is_floating_point() else t for name, t in load_state(path).items()}
    safetensors.torch.save_file(state, path)
    assert {p.dtype for p in build_network(spec).parameters()} == {torch.float32}


def test_weights_of_another_digest_are_refused(tmp_path: Path) -> None:
    spec = small_folder(tmp_path)
    right = file_digest(tmp_path / "model.safetensors")
    build_network(spec.model_copy(update={"digest": right}))
    with pytest.raises(DataError, match=f"needs weights with SHA-256 {'0' * 64}, but .* has {right}"):
        build_network(spec.model_copy(update={"digest": "0" * 64}))


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    spec = small_folder(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(DataError, match=missing):
        build_network(spec)


def test_a_path_that_is_no_directory_is_not_taken_for_a_hub_id() -> None:
    with pytest.raises(DataError, match="from_hub"):
        build_network(SmpFolder(name="m", path="somebody/model"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("not json", "cannot be read"),
        ("[]", "_model_class"),
        ('{"_model_class": "Transformer9"}', "must be one of"),
        ('{"_model_class": "Unet", "encoder_name": "resnet999"}', "resnet999"),
        ('{"_model_class": "FPN", "encoder_depth": 2}', "depth"),
    ],
)
def test_a_wrong_config_is_told_with_its_file(tmp_path: Path, config: str, message: str) -> None:
    spec = small_folder(tmp_path)
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(DataError, match=message) as caught:
        build_network(spec)
    assert "config.json" in str(caught.value)


def test_weights_that_do_not_fit_the_architecture_are_told_with_the_tensor(tmp_path: Path) -> None:
    spec = _state_dict_spec(tmp_path, arguments={**ARGUMENTS, "classes": 4})
    with pytest.raises(DataError, match=r"w\.safetensors: .*segmentation_head"):
        build_network(spec)


def test_construction_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    build_network(small_folder(tmp_path))
    assert torch.equal(before, torch.get_rng_state())


def test_channels_must_be_the_classes() -> None:
    spec = SmpFolder(name="m", path="x")
    check_classes(3, spec, 3)
    with pytest.raises(DataError, match=r"gives 3 channel\(s\), but the campaign has 4 classes"):
        check_classes(3, spec, 4)


def test_one_sigmoid_channel_is_for_two_classes() -> None:
    spec = SmpFolder(name="m", path="x", threshold=0.5)
    check_classes(1, spec, 2)
    for channels, classes in ((1, 3), (2, 2)):
        with pytest.raises(DataError, match="threshold"):
            check_classes(channels, spec, classes)


def test_a_class_map_needs_keys_that_are_channels() -> None:
    check_classes(3, SmpFolder(name="m", path="x", class_map={2: "car"}), 7)
    with pytest.raises(DataError, match=r"names channel\(s\) \[3\]"):
        check_classes(3, SmpFolder(name="m", path="x", class_map={3: "car"}), 7)
