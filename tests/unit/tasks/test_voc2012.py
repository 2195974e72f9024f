"""The preset `voc2012`: it is the paper's setting, and its networks mine, here with weights of chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from PIL import Image
from torchvision.models import get_model_weights

from configs.load import load_campaign, parse_campaign
from configs.model_specs import Torchvision
from configs.schema import Campaign
from models.inference import set_threads
from tasks.candidates import choose_candidates
from tasks.core.ranking import upper_bound
from tasks.core.records import DRAWING_ORDER, IMAGES, PREDICTIONS, REJECTS
from tasks.discrepancies import compute_discrepancies
from tasks.engines import choose_engines
from tasks.errors import DataError
from tasks.maps import draw_maps
from tasks.pool import list_images
from tasks.predictions import check_models, predict_pool
from tasks.rounds import Round
from tests.lib.small_networks import torchvision_network

PRESET = Path("configs/presets/voc2012.yaml")
SIDE = 65


def test_the_preset_is_the_papers_setting() -> None:
    campaign = load_campaign(PRESET)
    specs = [campaign.target, *campaign.competitors]
    assert [spec.name for spec in specs] == [
        "deeplabv3_resnet101", "deeplabv3_resnet50", "deeplabv3_mobilenet_v3_large", "fcn_resnet101",
        "fcn_resnet50", "lraspp_mobilenet_v3_large",
    ]  # fmt: skip
    for spec in specs:
        assert isinstance(spec, Torchvision)
        assert (spec.name, spec.input_size) == (spec.architecture, (513, 513))
        published = get_model_weights(spec.architecture)[spec.published]
        categories = [name.removeprefix("__").removesuffix("__") for name in published.meta["categories"]]
        assert categories == list(campaign.classes.names)
    assert (campaign.candidates.quota, campaign.failures.size, campaign.rounds) == (25, 100, 2)
    assert (campaign.failures.failure_below, len(campaign.ratings.raters)) == (None, 3)
    assert campaign.predictions.comparison_size == 513
    assert upper_bound(len(campaign.competitors), len(campaign.classes.subgroup_indices), 25) == 5000


def test_the_colours_are_those_of_voc() -> None:
    for index, colour in enumerate(load_campaign(PRESET).classes.colours):
        # The colour map of VOC deals the bits of the index in turn to red, green and blue, highest first.
        bits = [sum(((index >> (3 * j + c)) & 1) << (7 - j) for j in range(8)) for c in range(3)]
        assert tuple(bits) == colour


def test_without_a_way_to_the_weights_the_first_missing_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    campaign = load_campaign(PRESET)
    with pytest.raises(DataError) as caught:
        check_models.fn(Round(campaign, 1, str(tmp_path / "store")), [campaign.target])
    text = str(caught.value)
    assert "deeplabv3_resnet101_coco-586e9e4e.pth (233 MB, SHA-256 beginning with 586e9e4e)" in text
    assert str(tmp_path / "checkpoints") in text


def _write_images(folder: Path, count: int, seed: int, *, masks: Path | None = None) -> None:
    rng = np.random.default_rng(seed)
    for place in (folder, *([masks] if masks else [])):
        place.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        coarse = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((SIDE + 15, SIDE)).save(folder / f"image{seed}_{number}.jpg")
        if masks is not None:
            labels = rng.choice(np.array([0, 1, 15, 255], np.uint8), (SIDE, SIDE + 15))
            mask = Image.fromarray(labels).convert("P")
            mask.save(masks / f"image{seed}_{number}.png")


def _small(root: Path) -> Campaign:
    """The preset at small size on generated images, with weights of chance in files."""
    values: dict[str, Any] = yaml.safe_load(PRESET.read_text(encoding="utf-8"))
    _write_images(root / "pool", 3, 1)
    _write_images(root / "training", 2, 2, masks=root / "masks")
    _write_images(root / "familiar", 2, 3, masks=root / "masks")
    values["pool"] = {"images": "pool"}
    values["training_set"] = {"images": "training", "masks": "masks"}
    values["familiar_test_set"] = {"images": "familiar", "masks": "masks"}
    values["predictions"] = {"comparison_size": SIDE, "threads": 1, "processes": 1, "engine": "torch"}
    values["candidates"] = {"quota": 2, "windows": {n: [0, 1] for n in values["classes"]["names"][1:]}}
    for number, spec in enumerate([values["target"], *values["competitors"]]):
        network = torchvision_network(spec["architecture"], 21, seed=number)
        path = root / f"{spec['name']}.safetensors"
        safetensors.torch.save_file(network.state_dict(), path)
        del spec["published"]
        spec.update(weights=str(path), input_size=[SIDE, SIDE])
    return parse_campaign(values, base=root, where="the test")


def test_weights_of_chance_go_through_mining(tmp_path: Path) -> None:
    campaign = _small(tmp_path)
    set_threads(1)
    round_ = Round(campaign, 1, str(tmp_path / "store"))
    store, specs = round_.open_store(), [campaign.target, *campaign.competitors]
    pool = list_images.fn(round_)
    assert len([row for row in store.rows(pool, IMAGES) if row["dataset"] == "pool"]) == 3
    assert store.rows(pool, REJECTS) == []
    maps = predict_pool.fn(round_, specs, choose_engines.fn(round_, specs, pool), pool)
    for name in maps:
        assert len(store.rows(maps[name], PREDICTIONS)) == 3
        assert store.rows(maps[name], REJECTS) == []
    discrepancies = {
        spec.name: compute_discrepancies.fn(round_, spec.name, maps[campaign.target.name], maps[spec.name])
        for spec in campaign.competitors
    }
    candidates = choose_candidates.fn(round_, pool, discrepancies, [])
    order = store.rows(candidates, DRAWING_ORDER)
    assert 1 <= len(order) <= 3
    draw_maps.fn(round_, campaign.target, pool, candidates)
