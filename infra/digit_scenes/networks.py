"""The target and three competitors of `digit scenes`: small networks of different design, from scratch.

They see only S(0), the clean scenes: each is good on T(0) and fails on much of the pool, in its own way.
"""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from configs.classes import MaskEncoding
from configs.model_specs import Network
from infra.digit_scenes.generator import CLASSES, MARKER
from infra.digit_scenes.scenes import SCENE_PX
from models.decoding import read_image, read_mask
from models.inference import set_threads
from models.preprocess import to_input
from models.torch_networks import forward_logits
from models.training import resample_mask
from models.weights import write_atomically
from models.zoo import save_version
from tasks.errors import DataError

NETWORKS_MARKER = "networks.json"
NETWORKS_VERSION = 1  # raised with every change that alters a weight
HALF = (0.5, 0.5, 0.5)  # mean and standard deviation that bring 0..1 to -1..1

_BATCH = 8
_PEAK_RATE = 4e-3
_WEIGHT_DECAY = 1e-2
_SMALLEST_WINDOW_PX = 80  # mild augmentation: a window of at least this size, enlarged to the whole


@dataclass(frozen=True)
class Design:
    """One network to train.

    Attributes:
        name: of its folder, and of the model in the campaign.
        architecture: smp architecture.
        input_px: side of the square the network sees.
        epochs: passes over S(0).
        arguments: further arguments of the architecture.
        encoder: smp encoder.
        seed: of its first weights and of its training.
    """

    name: str
    architecture: str
    input_px: int
    epochs: int
    arguments: dict[str, Any] = field(default_factory=dict)
    encoder: str = "tu-test_resnet"  # the smallest residual encoder, well below a million weights
    seed: int = 0


# The first is the target. Less than half the scene's size suffices: the source digits have 8 x 8 pixels.
DESIGNS = (
    Design("unet_48", "unet", 48, 30, {"encoder_depth": 3, "decoder_channels": [64, 32, 16]}),
    Design(
        "fpn_48",
        "fpn",
        48,
        40,
        {
            "encoder_depth": 4,
            "decoder_pyramid_channels": 48,
            "decoder_segmentation_channels": 32,
            "upsampling": 2,
        },
        seed=1,
    ),
    Design("linknet_48", "linknet", 48, 45, {"encoder_depth": 3}, seed=2),
    Design(
        "deeplabv3plus_64",
        "deeplabv3plus",
        64,
        30,
        {"encoder_depth": 4, "decoder_channels": 48, "encoder_output_stride": 16},
        seed=3,
    ),
)


@dataclass(frozen=True)
class _Scenes:
    """Labelled scenes in memory: images uint8 (N, 96, 96, 3), masks uint8 (N, 96, 96)."""

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]


def train_networks(data: Path, output: Path, *, workers: int = 2, progress: bool = False) -> bool:
    """Whether the networks were trained now; False if they were already there.

    Args:
        data: the OUTPUT folder of `generator.generate`; only its training part is read.
        output: gets one folder per design, in smp's `from_pretrained` format.
        workers: networks trained at a time, each on one thread, so that their number changes no bit.
        progress: whether to show a progress bar.

    Raises:
        DataError: `data` is not there in whole, or `output` holds networks of other data or designs.
    """
    if not (data / MARKER).is_file():
        raise DataError(f"{data} must hold digit scenes, but {MARKER} is not there. Generate them first.")
    marker = {
        "version": NETWORKS_VERSION,
        "data": json.loads((data / MARKER).read_text(encoding="utf-8")),
        "designs": [asdict(design) for design in DESIGNS],
    }
    if _is_complete(output / NETWORKS_MARKER, marker):
        return False
    # Single-threaded processes beside each other: layers this small lose more by sharing than they gain.
    # Spawned, because a fork of a process that has used torch's threads may hang.
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(workers, mp_context=context) as executor,
        tqdm(
            total=sum(d.epochs for d in DESIGNS), unit="epoch", desc="networks", disable=not progress
        ) as bar,
    ):
        running = {executor.submit(_train_and_save, d, data, output / d.name): d for d in DESIGNS}
        for done in as_completed(running):
            done.result()
            bar.update(running[done].epochs)
    write_atomically(output / NETWORKS_MARKER, json.dumps(marker, sort_keys=True, indent=2).encode())
    return True


def _train_and_save(design: Design, data: Path, folder: Path) -> None:
    """Train one network in this process, on one thread, and write it to `folder`."""
    set_threads(1)
    save_version(_train(design, _load(data / "training")), folder)


def _is_complete(path: Path, marker: dict[str, Any]) -> bool:
    if not path.is_file():
        return False
    if json.loads(path.read_text(encoding="utf-8")) != marker:
        raise DataError(
            f"{path.parent} holds networks of other data or designs than asked for. Remove the "
            f"folder, or give another one."
        )
    return True


def _load(folder: Path) -> _Scenes:
    paths = sorted((folder / "images").glob("*.png"))
    masks = [read_mask(folder / "masks" / path.name, MaskEncoding(), CLASSES) for path in paths]
    return _Scenes(np.stack([read_image(path) for path in paths]), np.stack(masks))


def _train(design: Design, scenes: _Scenes) -> torch.nn.Module:
    """The trained network of `design`: AdamW, one cycle of the rate, cross-entropy."""
    rng = np.random.default_rng(design.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(design.seed)  # first weights and dropout
        network: torch.nn.Module = smp.create_model(
            design.architecture,
            encoder_name=design.encoder,
            encoder_weights=None,
            classes=CLASSES.count,
            **design.arguments,
        ).to(memory_format=torch.channels_last)
        optimiser = torch.optim.AdamW(network.parameters(), lr=_PEAK_RATE, weight_decay=_WEIGHT_DECAY)
        n_batches = len(scenes.images) // _BATCH
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, _PEAK_RATE, total_steps=design.epochs * n_batches, pct_start=0.2
        )
        network.train()
        for _ in range(design.epochs):
            order = rng.permutation(len(scenes.images))[: n_batches * _BATCH]
            for batch in order.reshape(n_batches, _BATCH):
                inputs, masks = _batch(design, scenes, batch, rng)
                loss = functional.cross_entropy(forward_logits(network, inputs), masks)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
    return network.eval()


def _batch(
    design: Design, scenes: _Scenes, batch: NDArray[np.int64], rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Inputs (B, 3, s, s) and masks (B, s, s) of a random window of each scene, s = `design.input_px`."""
    size = (design.input_px, design.input_px)
    spec = Network(name=design.name, input_size=size, mean=HALF, std=HALF)
    inputs, masks = [], []
    for index in batch:
        window = int(rng.integers(_SMALLEST_WINDOW_PX, SCENE_PX + 1))
        top, left = rng.integers(SCENE_PX - window + 1, size=2)
        rows, columns = slice(top, top + window), slice(left, left + window)
        inputs.append(to_input(scenes.images[index, rows, columns], spec)[0])
        mask = resample_mask(scenes.masks[index, rows, columns], size, rng=rng)
        masks.append(torch.from_numpy(mask.astype(np.int64)))
    return torch.stack(inputs), torch.stack(masks)
