"""A torch network as an ONNX graph, which ONNX Runtime computes faster on the CPU."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import onnx
import torch

from models.onnx_networks import OnnxNetwork
from models.torch_networks import TorchNetwork
from models.zoo import LoadedModel
from tasks.errors import DataError, first_line

_EXAMPLE_SIDE = 3  # times the divisor; sides that are equal or 1 would be taken for constants
_LARGEST_SIDE = 512  # times the divisor


def export_onnx(model: LoadedModel) -> bytes:
    """The model's network as an ONNX file, weights inside: float32 image in, float32 logits out.

    The graph takes images of the spec's `input_size`, padded to the network's strides; without `input_size`,
    of any size that the strides divide.

    Args:
        model: from `models.zoo.load_model`, its engine a `TorchNetwork`.

    Raises:
        DataError: torch cannot export this network; the message is torch's first line.
    """
    if not isinstance(model.engine, TorchNetwork):
        raise TypeError(f"`model` must run in torch to be exported, {model.spec.name!r} does not")
    divisor = model.engine.divisor
    size = getattr(model.spec, "input_size", None)
    if size is None:
        height, width = _EXAMPLE_SIDE * divisor, (_EXAMPLE_SIDE + 1) * divisor
        open_sides = {
            axis: torch.export.Dim(f"blocks_{axis}", min=1, max=_LARGEST_SIDE) * divisor for axis in (2, 3)
        }
    else:
        height, width = (-(-side // divisor) * divisor for side in size)
        open_sides = None
    example = torch.zeros(1, 3, height, width)
    try:
        with _quiet():
            program = torch.onnx.export(
                model.engine.module.to(memory_format=torch.contiguous_format),
                (example,),
                dynamo=True,
                input_names=["image"],
                output_names=["logits"],
                dynamic_shapes=None if open_sides is None else (open_sides,),
                verbose=False,
            )
            content: bytes = program.model_proto.SerializeToString()  # type: ignore[union-attr]
            onnx.checker.check_model(content)
    except (RuntimeError, ValueError, TypeError, NotImplementedError, onnx.checker.ValidationError) as error:
        raise DataError(
            f"The network of {model.spec.name!r} cannot be exported to ONNX: "
            f"{type(error).__name__}: {first_line(error)}"
        ) from error
    finally:
        model.engine.module.to(memory_format=torch.channels_last)
    return content


def with_onnx(model: LoadedModel, content: bytes) -> LoadedModel:
    """`model` with its engine replaced by ONNX Runtime on the graph in `content`, one thread.

    Raises:
        DataError: ONNX Runtime cannot run the graph, or it gives another number of channels.
    """
    channels = model.engine.channels
    network = OnnxNetwork(content, 1, divisor=getattr(model.engine, "divisor", 1))
    if network.channels != channels:
        raise DataError(
            f"The exported network of {model.spec.name!r} must give {channels} channels, it gives "
            f"{network.channels}."
        )
    return LoadedModel(network, model.spec, model.class_names, "cpu")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks, which are for its developers, away from the terminal."""
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
