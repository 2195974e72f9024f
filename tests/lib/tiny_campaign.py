"""A whole campaign in miniature: coloured shapes on noise, three small networks, truth beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import segmentation_models_pytorch as smp
import torch
import yaml
from numpy.typing import NDArray

from configs.model_specs import SmpFolder
from models.training import fine_tune
from models.training_records import TrainingSample, TrainingSettings
from models.zoo import save_version

SIZE = 64
CLASSES = ("ground", "disc", "square")
COLOURS = ((90, 90, 90), (220, 60, 60), (60, 90, 220))
NETWORKS = {"target": ("unet", 1), "rival-a": ("fpn", 2), "rival-b": ("linknet", 3)}


@dataclass(frozen=True)
class TinyCampaign:
    """Where everything of a tiny campaign is.

    Attributes:
        config: campaign file.
        truth: folder of the pool's true masks, outside of what the pipeline is told.
    """

    config: Path
    truth: Path


def draw_scene(rng: np.random.Generator, *, is_wild: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """An image (64, 64, 3) and its mask; a wild one has odd colours and much noise."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    image = np.full((SIZE, SIZE, 3), 90, np.float64)
    for _ in range(int(rng.integers(1, 4))):
        label = int(rng.integers(1, 3))
        centre = tuple(int(v) for v in rng.integers(12, SIZE - 12, 2))
        reach = int(rng.integers(6, 14))
        shape = np.zeros_like(mask)
        if label == 1:
            cv2.circle(shape, centre, reach, 1, -1)
        else:
            cv2.rectangle(
                shape, (centre[0] - reach, centre[1] - reach), (centre[0] + reach, centre[1] + reach), 1, -1
            )
        mask[shape > 0] = label
        tint = rng.uniform(-90, 90, 3) if is_wild else rng.uniform(-10, 10, 3)
        image[shape > 0] = np.array(COLOURS[label]) + tint
    image += rng.normal(0, 35 if is_wild else 8, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8), mask


def write_split(
    folder: Path, count: int, rng: np.random.Generator, *, is_wild: bool, masks: Path
) -> list[TrainingSample]:
    """Draw and write `count` scenes; returns them as samples."""
    samples = []
    for directory in (folder, masks):
        directory.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image, mask = draw_scene(rng, is_wild=is_wild)
        cv2.imwrite(str(folder / f"scene{number:03d}.png"), image[:, :, ::-1])
        cv2.imwrite(str(masks / f"scene{number:03d}.png"), mask)
        samples.append(TrainingSample(image, mask))
    return samples


def train_network(name: str, samples: list[TrainingSample], folder: Path) -> None:
    """A small network, trained for a moment, in smp's folder format."""
    architecture, seed = NETWORKS[name]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = smp.create_model(
            architecture,
            encoder_name="tu-mobilenetv3_small_050",
            encoder_weights=None,
            classes=len(CLASSES),
        )
    spec = SmpFolder(name=name, path=str(folder))
    settings = TrainingSettings(
        learning_rate=0.05,
        epochs=6,
        batch_size=4,
        crop=(SIZE, SIZE),
        batch_norm="running",
        seed=seed,
        threads=1,
    )
    fine_tune(network, spec, samples, settings)
    save_version(network, folder)


def make_tiny_campaign(root: Path, *, pool: int = 40) -> TinyCampaign:
    """Write data, models and the campaign file below `root`."""
    rng = np.random.default_rng(7)
    training = write_split(root / "training/images", 24, rng, is_wild=False, masks=root / "training/masks")
    write_split(root / "familiar/images", 12, rng, is_wild=False, masks=root / "familiar/masks")
    write_split(root / "pool", pool, rng, is_wild=True, masks=root / "truth/masks")
    (root / "truth/out_of_domain.txt").write_text("scene001\n", encoding="utf-8")
    for name in NETWORKS:
        train_network(name, training, root / "models" / name)
    config = root / "tiny.yaml"
    config.write_text(yaml.safe_dump(tiny_config()), encoding="utf-8")
    return TinyCampaign(config, root / "truth")


def tiny_config() -> dict[str, object]:
    """The campaign file as plain values."""
    models = [{"kind": "smp_folder", "name": name, "path": f"models/{name}"} for name in NETWORKS]
    return {
        "name": "tiny", "seed": 3, "rounds": 1,
        "classes": {"names": list(CLASSES), "colours": [list(c) for c in COLOURS], "background": "ground"},
        "pool": {"images": "pool"},
        "training_set": {"images": "training/images", "masks": "training/masks"},
        "familiar_test_set": {"images": "familiar/images", "masks": "familiar/masks"},
        "target": models[0], "competitors": models[1:],
        "predictions": {"shard_size": 16, "threads": 1, "processes": 1, "engine": "torch"},
        "candidates": {"quota": 2},
        "ratings": {"raters": ["rater-1", "rater-2"]},
        "test_set": {"size": 4},
        "failures": {"size": 4, "failure_below": 4.5},
        "finetuning": {"learning_rates": [1e-3], "epochs": 2, "crop": [64, 64]},
        "simulated_people": {"truth": "truth/masks", "out_of_domain": "truth/out_of_domain.txt", "seed": 1},
    }  # fmt: skip
