"""From an image to label maps with their uncertainty.

Letters: C channels of the network; H, W height and width of the image; h, w of a map, in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.preprocess import to_input
from models.zoo import LoadedModel
from tasks.core.label_maps import VOID


@dataclass(frozen=True)
class Prediction:
    """A model's map of one image, and how unsure the model was of it.

    Attributes:
        label_map: class indices, 255 for void, uint8, shape (h, w).
        entropy_mean: mean over pixels of the entropy of the class probabilities, in nats, 0..ln C.
        entropy_p95: its 95th percentile over pixels.
        uncertainty_mean: mean over pixels of 1 - the largest class probability, 0..1.
        uncertainty_p95: its 95th percentile over pixels.
    """

    label_map: NDArray[np.uint8]
    entropy_mean: float
    entropy_p95: float
    uncertainty_mean: float
    uncertainty_p95: float


def predict(model: LoadedModel, image: NDArray[np.uint8], *, height: int, width: int) -> Prediction:
    """The model's map of `image` at `height` x `width` pixels.

    Args:
        model: from `models.zoo.load_model`.
        image: RGB, uint8, shape (H, W, 3).
        height: of the map, in pixels, >= 1.
        width: of the map, in pixels, >= 1.

    Raises:
        ValueError: `image` or the size is not as described.
    """
    return predict_sizes(model, image, [(height, width)])[0]


def predict_sizes(
    model: LoadedModel, image: NDArray[np.uint8], sizes: Sequence[tuple[int, int]]
) -> list[Prediction]:
    """The model's maps of `image` at several sizes (height, width) in pixels, from one forward pass.

    Logits are resized bilinearly (align_corners=False) before the argmax. With `class_map` the argmax is
    taken over the model's own channels and then renamed, unnamed channels becoming void; entropies are those
    of the model's own channels. With `threshold`, the one channel's sigmoid is the probability of class 1.

    Raises:
        ValueError: `image` or a size is not as described.
    """
    if any(min(size) < 1 for size in sizes):
        raise ValueError(f"`sizes` must be at least 1 x 1 pixel, got {list(sizes)}")
    with torch.inference_mode():
        # Always one image: batches are slower on the CPU (measured), and this way no map depends on which
        # images happened to share a batch.
        logits = forward_logits(model.network, to_input(image, model.spec).to(model.device))
        return [_prediction(model, _at_size(logits, size)) for size in sizes]


def forward_logits(network: torch.nn.Module, inputs: Tensor) -> Tensor:
    """Logits (N, C, h, w) of `inputs` (N, 3, h, w) for any h and w.

    Inputs that the network's strides do not divide are padded at the bottom and the right with their border
    pixels, and the logits cut back. Logits that come at another scale, as from a feature pyramid of unusual
    depth, are brought to the input's first.
    """
    height, width = inputs.shape[-2:]
    divisor = int(network.encoder.output_stride)  # type: ignore[union-attr, arg-type]
    below, right = -height % divisor, -width % divisor
    if below or right:
        inputs = functional.pad(inputs, (0, right, 0, below), mode="replicate")
    output = network(inputs.contiguous(memory_format=torch.channels_last))
    # Networks with an auxiliary classification head give (maps, image labels).
    logits: Tensor = output[0] if isinstance(output, tuple) else output
    if logits.shape[-2:] != inputs.shape[-2:]:
        logits = functional.interpolate(logits, inputs.shape[-2:], mode="bilinear", align_corners=False)
    return logits[..., :height, :width]


def set_threads(threads: int) -> None:
    """Let torch use `threads` CPU threads in this process; part of what makes results bit-equal."""
    torch.set_num_threads(threads)


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
        label_map = _channel_classes(model)[logits.argmax(dim=0).cpu().numpy()]
    log_probabilities = torch.log_softmax(logits, dim=0)
    probabilities = log_probabilities.exp()
    entropy = -(probabilities * log_probabilities).sum(dim=0).cpu().numpy()
    uncertainty = 1 - probabilities.amax(dim=0).cpu().numpy()
    return Prediction(
        label_map=label_map,
        entropy_mean=_mean(entropy),
        entropy_p95=float(np.percentile(entropy, 95)),
        uncertainty_mean=_mean(uncertainty),
        uncertainty_p95=float(np.percentile(uncertainty, 95)),
    )


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
