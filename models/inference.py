"""From an image to label maps with their uncertainty.

Letters: C channels of the network; H, W height and width of the image; h, w of a map, in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.finished_maps import FinishedMaps
from models.preprocess import to_input
from models.zoo import AnyModel, LoadedModel
from tasks.core.label_maps import VOID, resized_map


@dataclass(frozen=True)
class InputImage:
    """An image and what it is known by.

    Attributes:
        pixels: RGB, uint8, shape (H, W, 3).
        image_id: SHA-256 (hex) of the image file.
        stem: name of the image file without its suffix.
    """

    pixels: NDArray[np.uint8]
    image_id: str
    stem: str


@dataclass(frozen=True)
class Prediction:
    """A model's map of one image, and how unsure the model was of it.

    Attributes:
        label_map: class indices, 255 for void, uint8, shape (h, w).
        entropy_mean: mean over pixels of the entropy of the class probabilities, in nats, 0..ln C.
        entropy_p95: its 95th percentile over pixels.
        uncertainty_mean: mean over pixels of 1 - the largest class probability, 0..1.
        uncertainty_p95: its 95th percentile over pixels.

    The four numbers are NaN for models that give labels only.
    """

    label_map: NDArray[np.uint8]
    entropy_mean: float
    entropy_p95: float
    uncertainty_mean: float
    uncertainty_p95: float


def predict(model: AnyModel, image: InputImage, *, height: int, width: int) -> Prediction:
    """The model's map of `image` at `height` x `width` pixels.

    Args:
        model: from `models.zoo.load_model`.
        image: the image.
        height: of the map, in pixels, >= 1.
        width: of the map, in pixels, >= 1.

    Raises:
        DataError: the model has finished maps, and none that fits this image; or an ONNX graph cannot run on
            images of this size.
        ValueError: `image` or the size is not as described.
    """
    return predict_sizes(model, image, [(height, width)])[0]


def predict_sizes(model: AnyModel, image: InputImage, sizes: Sequence[tuple[int, int]]) -> list[Prediction]:
    """The model's maps of `image` at several sizes (height, width) in pixels, from one forward pass.

    Logits are resized bilinearly (align_corners=False) before the argmax. With `class_map` the argmax is
    taken over the model's own channels and then renamed, unnamed channels becoming void; entropies are those
    of the model's own channels. With `threshold`, the one channel's sigmoid is the probability of class 1.
    Finished maps are resized by taking the pixel under each centre, and their uncertainties are NaN.

    Raises:
        DataError: as `predict`.
        ValueError: `image` or a size is not as described.
    """
    if any(min(size) < 1 for size in sizes):
        raise ValueError(f"`sizes` must be at least 1 x 1 pixel, got {list(sizes)}")
    if isinstance(model, FinishedMaps):
        shape = (image.pixels.shape[0], image.pixels.shape[1])
        stored = model.label_map(image.image_id, image.stem, shape)
        return [Prediction(resized_map(stored, *size), *[math.nan] * 4) for size in sizes]
    with torch.inference_mode():
        # Always one image: batches are slower on the CPU (measured), and this way no map depends on which
        # images happened to share a batch.
        logits = model.engine.logits(to_input(image.pixels, model.spec).to(model.device))
        return [_prediction(model, _at_size(logits, size)) for size in sizes]


def set_threads(threads: int) -> None:
    """Let torch use `threads` CPU threads in this process; part of what makes results bit-equal."""
    torch.set_num_threads(threads)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one CPU thread inside; the number is put back afterwards."""
    before = torch.get_num_threads()
    set_threads(1)
    try:
        yield
    finally:
        set_threads(before)


def _at_size(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """`logits` (1, C, h, w) as (C, height, width) at `size`."""
    if tuple(logits.shape[-2:]) != size:
        logits = functional.interpolate(logits, size, mode="bilinear", align_corners=False)
    return logits[0]


def _prediction(model: LoadedModel, logits: Tensor) -> Prediction:
    """The map and the uncertainties of `logits` (C, h, w)."""
    threshold = model.spec.threshold
    if threshold is not None:
        positive = torch.sigmoid(logits[0])
        label_map = (positive >= threshold).to(torch.uint8).cpu().numpy()
        logits = torch.stack(
            (torch.zeros_like(logits[0]), logits[0])
        )  # the same two probabilities, by softmax
    else:
        # `max` names the same channel as `argmax`, which is ten times slower along this axis on the CPU.
        label_map = _channel_classes(model)[logits.max(dim=0).indices.cpu().numpy()]
    entropy, uncertainty = (values.cpu().numpy() for values in _uncertainties(logits))
    return Prediction(
        label_map=label_map,
        entropy_mean=_mean(entropy),
        entropy_p95=float(np.percentile(entropy, 95)),
        uncertainty_mean=_mean(uncertainty),
        uncertainty_p95=float(np.percentile(uncertainty, 95)),
    )


def _uncertainties(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Entropy in nats and 1 - largest probability of the softmax of `logits` (C, h, w), each (h, w).

    With z the logits minus their maximum and s the sum of exp(z), the entropy is ln s - sum(z exp(z)) / s,
    and the largest probability 1 / s: one exponential per logit.
    """
    shifted = logits - logits.amax(dim=0)
    exponentials = shifted.exp()
    total = exponentials.sum(dim=0)
    # A logit of -inf has probability 0 and adds nothing; 0 * inf would be NaN.
    weighted = torch.nan_to_num_(shifted, neginf=0.0).mul_(exponentials).sum(dim=0)
    return (total.log() - weighted / total).clamp_(min=0), 1 - 1 / total


def _channel_classes(model: LoadedModel) -> NDArray[np.uint8]:
    """Class index of each output channel, shape (256,); void where `class_map` names none."""
    if model.spec.class_map is None:
        return np.arange(256, dtype=np.uint8)
    table = np.full(256, VOID, dtype=np.uint8)
    for channel, name in model.spec.class_map.items():
        table[channel] = model.class_names.index(name)
    return table


def _mean(values: NDArray[np.float32]) -> float:
    return float(values.mean(dtype=np.float64))
