"""Checkpoints of `transformers`: the same logits as by the library alone, versions, wrong folders."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch.nn import functional
from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerModel

from configs.model_specs import HuggingFace
from models.inference import InputImage, predict
from models.preprocess import to_input
from models.training import fine_tune
from models.training_records import TrainingSample, TrainingSettings
from models.weights import model_digest
from models.zoo import build_network, load_model, save_version, version_spec
from tasks.errors import ConfigError, DataError

NAMES = ("sky", "road", "car")
IMAGE = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
INPUT = InputImage(IMAGE, "0" * 64, "frame")


def _config() -> SegformerConfig:
    return SegformerConfig(
        num_labels=3, depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 16, 16], num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
    )  # fmt: skip


def _spec(folder: Path, kind: type = SegformerForSemanticSegmentation) -> HuggingFace:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        kind(_config()).eval().save_pretrained(folder)
    return HuggingFace(name="m", path=folder)


def test_logits_are_those_of_the_library(tmp_path: Path) -> None:
    spec = _spec(tmp_path)
    alone = SegformerForSemanticSegmentation.from_pretrained(tmp_path, local_files_only=True).eval()
    inputs = to_input(IMAGE, spec)
    with torch.inference_mode():
        small = alone(pixel_values=inputs).logits
    assert tuple(small.shape) == (1, 3, 13, 18), "a quarter of the size"
    expected = functional.interpolate(small, (50, 70), mode="bilinear", align_corners=False)
    model = load_model(spec, NAMES)
    torch.testing.assert_close(expected, model.engine.logits(inputs), rtol=1e-4, atol=1e-5)
    result = predict(model, INPUT, height=50, width=70)
    assert result.label_map.tolist() == model.engine.logits(inputs)[0].argmax(0).tolist()


def test_a_trained_version_is_saved_and_read_by_madloop_and_by_the_library(tmp_path: Path) -> None:
    spec = _spec(tmp_path / "base")
    network = build_network(spec)
    samples = [TrainingSample(IMAGE, np.full((50, 70), 2, np.uint8))] * 2
    settings = TrainingSettings(learning_rate=0.05, epochs=3, batch_size=2, crop=(64, 64))
    records = fine_tune(network, spec, samples, settings)
    assert records[-1].loss < records[0].loss
    for name in ("a", "b"):
        save_version(network, tmp_path / name)
    for file in ("config.json", "model.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    version = version_spec(spec, tmp_path / "a", "m-v1")
    assert isinstance(version, HuggingFace)
    inputs = to_input(IMAGE, spec)
    with torch.inference_mode():
        expected = network(inputs)
        alone = SegformerForSemanticSegmentation.from_pretrained(tmp_path / "a", local_files_only=True).eval()
        torch.testing.assert_close(expected, alone(pixel_values=inputs).logits)
        torch.testing.assert_close(expected, build_network(version)(inputs))


def test_a_checkpoint_without_its_head_is_refused(tmp_path: Path) -> None:
    spec = _spec(tmp_path, SegformerModel)
    with pytest.raises(DataError, match=r"weight\(s\) are missing or of another shape.*decode_head"):
        build_network(spec)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "garbage"])
def test_a_damaged_folder_is_refused(tmp_path: Path, file: str, damage: str) -> None:
    spec = _spec(tmp_path)
    whole = (tmp_path / file).read_bytes()
    if damage == "missing":
        (tmp_path / file).unlink()
    else:
        content = {"empty": b"", "cut": whole[: len(whole) // 2], "garbage": b"\xff" * 64}[damage]
        (tmp_path / file).write_bytes(content)
    with pytest.raises(DataError, match=str(tmp_path)):
        build_network(spec)


def test_damaged_configs_are_refused_or_make_a_network(tmp_path: Path) -> None:
    spec = _spec(tmp_path)
    whole = (tmp_path / "config.json").read_bytes()
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        for position in rng.integers(0, len(whole), 2):
            damaged[int(position)] = int(rng.choice(np.frombuffer(b'0127,:"[]{}x\xff', np.uint8)))
        (tmp_path / "config.json").write_bytes(bytes(damaged))
        try:
            build_network(spec)
        except DataError:
            refused += 1
    assert refused >= 20


def test_a_model_for_another_task_is_refused(tmp_path: Path) -> None:
    spec = _spec(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "bert"}))
    with pytest.raises(DataError, match="semantic-segmentation checkpoint"):
        build_network(spec)


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    spec = _spec(tmp_path)
    torch.save(safetensors.torch.load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"needs the file .*model\.safetensors"):
        build_network(spec)


def test_code_beside_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    spec = _spec(tmp_path / "model")
    config = json.loads((tmp_path / "model/config.json").read_text())
    config |= {
        "model_type": "evil",
        "auto_map": {"AutoConfig": "evil.Evil", "AutoModelForSemanticSegmentation": "evil.Evil"},
    }
    (tmp_path / "model/config.json").write_text(json.dumps(config))
    (tmp_path / "model/evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    with pytest.raises(DataError, match="semantic-segmentation checkpoint"):
        build_network(spec)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("said", "required"),
    [
        (
            {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]},
            r"`mean: \[0\.5, 0\.5, 0\.5\]`, `std",
        ),
        ({"do_normalize": False}, r"`mean: \[0\.0, 0\.0, 0\.0\]`, `std: \[1\.0, 1\.0, 1\.0\]`"),
        ({"do_rescale": False}, "do_rescale"),
    ],
)
def test_a_preprocessor_that_wants_something_else_is_refused(
    tmp_path: Path, said: dict[str, object], required: str
) -> None:
    spec = _spec(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    with pytest.raises(DataError, match=required):
        build_network(spec)


def test_the_spec_that_the_preprocessor_wants_is_accepted(tmp_path: Path) -> None:
    spec = _spec(tmp_path).model_copy(update={"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)})
    said = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"height": 512, "width": 512}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    build_network(spec)
    (tmp_path / "preprocessor_config.json").write_text("[")
    with pytest.raises(DataError, match="a preprocessor's JSON was required"):
        build_network(spec)


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = _spec(tmp_path)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"optional extra: `pip install .*\[huggingface\]"):
        build_network(spec)


def test_the_digest_follows_weights_and_config(tmp_path: Path) -> None:
    spec, same = _spec(tmp_path / "a"), _spec(tmp_path / "b")
    digest = model_digest(spec, NAMES)
    assert model_digest(same, NAMES) == digest
    assert model_digest(spec.model_copy(update={"std": (1.0, 1.0, 1.0)}), NAMES) != digest
    config = json.loads((tmp_path / "b/config.json").read_text())
    (tmp_path / "b/config.json").write_text(json.dumps({**config, "layer_norm_eps": 0.1}))
    assert model_digest(same, NAMES) != digest
