"""Fine-tuning a network on labelled images, bit-equal when repeated and when resumed.

All chance of an epoch comes from (seed, epoch): the order of the samples, crops, flips and dropout. So a run
that is resumed after an epoch needs only weights, momentum and the epoch's number to end in the same weights.
Equal bits are promised on the same machine with the same number of CPU threads.

Letters: N samples; H, W height and width of an image; h, w of a crop, in pixels.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from configs.model_specs import Network
from models.checkpoints import load_checkpoint, run_fingerprint, save_checkpoint
from models.inference import set_threads
from models.preprocess import to_input
from models.torch_networks import forward_logits, output_channels
from models.training_records import EpochRecord, NonFiniteLossError, TrainingSample, TrainingSettings
from tasks.core.label_maps import VOID, LabelMap
from tasks.errors import DataError


def fine_tune(
    network: torch.nn.Module,
    spec: Network,
    samples: Sequence[TrainingSample],
    settings: TrainingSettings,
    *,
    weights: NDArray[np.float64] | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    checkpoint: Path | None = None,
) -> list[EpochRecord]:
    """The records of the epochs in which `network` was trained, in place, on `samples`; it ends in eval mode.

    SGD with momentum and poly decay per step; cross-entropy over the labelled pixels of a batch (binary for
    one sigmoid channel); random crops at the network's input scale, filled up with void where a sample is
    smaller.

    Args:
        network: from `models.zoo.build_network`.
        spec: its spec, for the preprocessing; it may not have a `class_map`.
        samples: may load lazily in `__getitem__`; every sample is read once per epoch.
        settings: the numbers.
        weights: sampling weight of each sample, shape (N,), >= 0: N samples an epoch are drawn with
            replacement by them. Default: each sample exactly once an epoch.
        on_epoch: called after each epoch that was trained in this call.
        checkpoint: file that holds the state after the last whole epoch; if it is there, training goes on
            from it. The caller removes it.

    Raises:
        DataError: a model with a `class_map`, no samples, a mask of another size than its image or with a
            value that is no channel, or a checkpoint of another run.
        NonFiniteLossError: training diverged.
    """
    if spec.class_map is not None:
        raise DataError(
            f"Model {spec.name!r} has a `class_map`: its channels are another label set than the masks and "
            f"cannot be trained on them. Give a target with the campaign's own classes."
        )
    if len(samples) == 0:
        raise DataError(f"Fine-tuning {spec.name!r} needs at least one labelled image, got none.")
    device = torch.device(settings.device)
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.SGD(
        network.parameters(),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
    fingerprint = run_fingerprint(network, spec, settings, len(samples), weights)
    records = []
    if checkpoint is not None and checkpoint.is_file():
        records = [
            EpochRecord(**fields) for fields in load_checkpoint(checkpoint, fingerprint, network, optimiser)
        ]
    run = _Run(network, optimiser, spec, settings)
    with _training_mode(network, settings):
        for epoch in range(len(records) + 1, settings.epochs + 1):
            records.append(_epoch(run, samples, weights, epoch))
            if checkpoint is not None:
                save_checkpoint(checkpoint, fingerprint, network, optimiser, records)
            if on_epoch is not None:
                on_epoch(records[-1])
    return records


@dataclass(frozen=True)
class _Run:
    """What stays the same through a training run."""

    network: torch.nn.Module
    optimiser: torch.optim.Optimizer
    spec: Network
    settings: TrainingSettings


@contextlib.contextmanager
def _training_mode(network: torch.nn.Module, settings: TrainingSettings) -> Iterator[None]:
    """Threads and train mode as `settings` say, then as before; torch's global generator is not moved."""
    threads_before = torch.get_num_threads()
    on_gpu = [torch.device(settings.device)] if settings.device.startswith("cuda") else []
    set_threads(settings.threads)
    network.train()
    if settings.batch_norm == "frozen":
        for module in network.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.eval()  # statistics stay; scale and shift are still trained
    try:
        with torch.random.fork_rng(devices=on_gpu):  # dropout draws from torch's global generator
            yield
    finally:
        network.eval()
        set_threads(threads_before)


def _epoch(
    run: _Run, samples: Sequence[TrainingSample], weights: NDArray[np.float64] | None, epoch: int
) -> EpochRecord:
    """Train one epoch."""
    started = time.perf_counter()
    settings = run.settings
    rng = np.random.default_rng([settings.seed, epoch])
    torch.manual_seed(int(rng.integers(2**63)))
    batches = _batches(len(samples), weights, settings.batch_size, rng)
    losses = []
    for number, batch in enumerate(batches):
        done = ((epoch - 1) * len(batches) + number) / (settings.epochs * len(batches))
        rate = settings.learning_rate * (1 - done) ** settings.poly_power
        for group in run.optimiser.param_groups:
            group["lr"] = rate
        loss = _step(run, [_crop(samples[int(index)], int(index), run, rng) for index in batch])
        if not math.isfinite(loss):
            raise NonFiniteLossError(epoch=epoch, step=number + 1, loss=loss, learning_rate=rate)
        losses.append(loss)
    return EpochRecord(epoch, math.fsum(losses) / len(losses), rate, time.perf_counter() - started)


def _batches(
    n: int, weights: NDArray[np.float64] | None, batch_size: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Sample indices of an epoch's batches: each index once, or N draws by `weights`."""
    if weights is None:
        order = rng.permutation(n)
    else:
        if weights.shape != (n,) or not np.isfinite(weights).all() or weights.min() < 0 or weights.sum() <= 0:
            raise ValueError(f"`weights` must be {n} finite numbers >= 0, not all 0, got {weights!r}")
        order = rng.choice(n, size=n, p=weights / weights.sum())
    batches = [order[start : start + batch_size] for start in range(0, n, batch_size)]
    if len(batches) > 1 and len(batches[-1]) == 1:
        # Batch statistics of a single image are unusable, so a single left-over image joins its neighbours.
        batches[-2:] = [np.concatenate(batches[-2:])]
    return batches


def _step(run: _Run, crops: Sequence[tuple[Tensor, Tensor]]) -> float:
    """One optimiser step on a batch of (input, mask) crops; its loss."""
    inputs, masks = (torch.stack(part).to(run.settings.device) for part in zip(*crops, strict=True))
    run.optimiser.zero_grad(set_to_none=True)
    loss = _loss(forward_logits(run.network, inputs), masks)
    loss.backward()  # type: ignore[no-untyped-call]
    value = float(loss.detach())
    if math.isfinite(value):
        run.optimiser.step()
    return value


def _loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Mean cross-entropy over labelled pixels; 0 where a batch has none, as a crop may be void throughout.

    Args:
        logits: (B, C, h, w); C = 1 means one sigmoid channel for class 1.
        masks: (B, h, w), int64, 255 for void.
    """
    labelled = masks != VOID
    if logits.shape[1] == 1:
        truth = (masks == 1).to(logits.dtype)
        pixels = functional.binary_cross_entropy_with_logits(logits[:, 0], truth, reduction="none")
        total = (pixels * labelled).sum()
    else:
        total = functional.cross_entropy(logits, masks, ignore_index=VOID, reduction="sum")
    return total / labelled.sum().clamp(min=1)


def _crop(sample: TrainingSample, index: int, run: _Run, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A random crop of a sample: input (3, h, w) float32 and mask (h, w) int64."""
    _check_sample(sample, index, run)
    inputs = to_input(sample.image, run.spec)[0]
    height, width = inputs.shape[-2:]
    mask = torch.from_numpy(resample_mask(sample.mask, (height, width), rng=rng).astype(np.int64))
    crop_height, crop_width = run.settings.crop
    top = int(rng.integers(max(0, height - crop_height) + 1))
    left = int(rng.integers(max(0, width - crop_width) + 1))
    inputs = inputs[:, top : top + crop_height, left : left + crop_width]
    mask = mask[top : top + crop_height, left : left + crop_width]
    if run.settings.flip and rng.random() < 0.5:
        inputs, mask = inputs.flip(-1), mask.flip(-1)
    filling = (0, crop_width - mask.shape[1], 0, crop_height - mask.shape[0])
    return functional.pad(inputs, filling), functional.pad(mask, filling, value=VOID)


def resample_mask(mask: LabelMap, size: tuple[int, int], *, rng: np.random.Generator) -> LabelMap:
    """`mask` (H, W) at `size` (height, width) in pixels: each pixel one that it covers, at a random phase.

    A fixed phase, as nearest-neighbour resizing has, moves every border by up to half a pixel of the mask
    the same way (by exactly that at 2:1), and a network trained on it learns the shift. At its own size a
    mask stays as it is.
    """
    rows, columns = (
        np.floor((np.arange(new) + rng.random()) * (old / new)).astype(np.int64).clip(max=old - 1)
        for new, old in zip(size, mask.shape, strict=True)
    )
    return mask[np.ix_(rows, columns)]


def _check_sample(sample: TrainingSample, index: int, run: _Run) -> None:
    if sample.mask.shape != sample.image.shape[:2]:
        raise DataError(
            f"Training sample {index}: the mask must have the image's size {sample.image.shape[:2]}, got "
            f"{sample.mask.shape}. Export the mask at the image's own size."
        )
    classes = max(2, output_channels(run.network))  # one sigmoid channel stands for two classes
    wrong = np.unique(sample.mask[(sample.mask >= classes) & (sample.mask != VOID)])
    if wrong.size:
        raise DataError(
            f"Training sample {index}: mask values must be 0..{classes - 1} or {VOID} (void) for model "
            f"{run.spec.name!r}, got {wrong.tolist()}. Correct the mask or its `mask_encoding`."
        )
