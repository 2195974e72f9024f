"""The networks of the embedded data set: the same weights every time, loadable by their specs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from configs.load import load_campaign
from configs.model_specs import SmpFolder
from infra.digit_scenes.generator import CLASSES, SceneSettings, generate
from infra.digit_scenes.networks import DESIGNS, _load, _train, train_networks
from models.inference import InputImage, predict
from models.zoo import load_model, save_version
from tasks.errors import DataError

PRESET = Path(__file__).parents[3] / "configs" / "presets" / "demo.yaml"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes")
    generate(root / "demo", root / "truth", SceneSettings(training=8, familiar_test=1, pool=1, held_out=1))
    return root / "demo"


@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.name)
def test_every_design_trains_to_the_same_weights_twice_and_gives_maps(
    design: object, data: Path, tmp_path: Path
) -> None:
    short = dataclasses.replace(design, epochs=1)  # type: ignore[type-var]
    scenes = _load(data / "training")
    first, second = _train(short, scenes), _train(short, scenes)
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    save_version(first, tmp_path)
    spec = SmpFolder(name="m", path=str(tmp_path), input_size=(short.input_px, short.input_px))
    result = predict(
        load_model(spec, CLASSES.names), InputImage(scenes.images[0], "0" * 64, "scene"), height=96, width=96
    )
    assert result.label_map.shape == (96, 96)


def test_data_that_is_not_there_in_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Generate them first"):
        train_networks(tmp_path, tmp_path / "models")


def test_the_preset_names_the_classes_and_networks_that_are_made() -> None:
    campaign = load_campaign(PRESET, with_people=True)
    assert campaign.classes == CLASSES
    specs = [campaign.target, *campaign.competitors]
    expected = [(design.name, (design.input_px, design.input_px)) for design in DESIGNS]
    assert [(spec.name, spec.input_size) for spec in specs] == expected
