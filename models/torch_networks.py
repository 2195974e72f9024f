"""Torch networks of any library, run alike: an image in, logits of the image's size out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


class AdaptedNetwork(torch.nn.Module):
    """Base of the networks of other libraries than smp, which are wrapped to look like smp's.

    Attributes:
        network: the library's own module; its state dict is what weight files hold.
        channels: C.
        divisor: what height and width of an input must be multiples of.
    """

    def __init__(self, network: torch.nn.Module, channels: int, divisor: int = 1) -> None:
        super().__init__()
        self.network = network
        self.channels = channels
        self.divisor = divisor


@dataclass(frozen=True)
class TorchNetwork:
    """A torch module as an engine.

    Attributes:
        module: in eval mode, float32, on its device.
        divisor: what height and width of an input must be multiples of; others are padded.
    """

    module: torch.nn.Module
    divisor: int

    @property
    def channels(self) -> int:
        """Number of channels C of the logits."""
        return output_channels(self.module)

    def logits(self, inputs: Tensor) -> Tensor:
        """Logits (1, C, h, w) of `inputs` (1, 3, h, w), without a graph of gradients."""
        with torch.inference_mode():
            return at_input_size(lambda padded: _forward(self.module, padded), inputs, self.divisor)


def forward_logits(network: torch.nn.Module, inputs: Tensor) -> Tensor:
    """Logits (N, C, h, w) of `inputs` (N, 3, h, w) for any h and w; gradients flow, as training needs.

    See `at_input_size` for sizes that the network's strides do not divide.
    """
    return at_input_size(lambda padded: _forward(network, padded), inputs, input_divisor(network))


def at_input_size(forward: Callable[[Tensor], Tensor], inputs: Tensor, divisor: int) -> Tensor:
    """The logits (N, C, h, w) that `forward` gives for `inputs` (N, 3, h, w), at the inputs' h and w.

    Inputs whose sides `divisor` does not divide are padded at the bottom and the right with their border
    pixels, and the logits cut back. Logits that come at another scale, as from a feature pyramid of unusual
    depth or at a quarter of the size, are brought to the input's first, bilinearly (align_corners=False).
    """
    height, width = inputs.shape[-2:]
    below, right = -height % divisor, -width % divisor
    if below or right:
        inputs = functional.pad(inputs, (0, right, 0, below), mode="replicate")
    logits = forward(inputs)
    if logits.shape[-2:] != inputs.shape[-2:]:
        logits = functional.interpolate(logits, inputs.shape[-2:], mode="bilinear", align_corners=False)
    return logits[..., :height, :width]


def input_divisor(network: torch.nn.Module) -> int:
    """What the height and width of the network's inputs must be multiples of."""
    if isinstance(network, AdaptedNetwork):
        return network.divisor
    return int(network.encoder.output_stride)  # type: ignore[union-attr, arg-type]


def output_channels(network: torch.nn.Module) -> int:
    """Number of channels that the network gives per pixel."""
    if isinstance(network, AdaptedNetwork):
        return network.channels
    return int(network.segmentation_head[0].out_channels)  # type: ignore[index, union-attr]


def _forward(network: torch.nn.Module, inputs: Tensor) -> Tensor:
    output = network(inputs.contiguous(memory_format=torch.channels_last))
    # Networks with an auxiliary classification head give (maps, image labels).
    logits: Tensor = output[0] if isinstance(output, tuple) else output
    return logits
