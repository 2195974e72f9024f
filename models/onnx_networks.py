"""ONNX files run by ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as states
from torch import Tensor

from models.torch_networks import at_input_size
from tasks.errors import DataError, first_line

_FLOAT = "tensor(float)"
# ONNX Runtime's errors have no base class of their own.
_REFUSALS = (
    states.EPFail,
    states.Fail,
    states.InvalidArgument,
    states.InvalidGraph,
    states.InvalidProtobuf,
    states.NotImplemented,
    states.RuntimeException,
    RuntimeError,
    UnicodeDecodeError,  # a damaged name inside the file
)


class OnnxNetwork:
    """An ONNX graph that turns one image into logits: float32 (1, 3, h, w) -> float32 (1, C, h', w').

    The file must hold its weights itself: the session is made from its bytes, so that no other file is read
    and one digest says what runs.

    Attributes:
        channels: C.
        divisor: what height and width of an input must be multiples of.
        input_size: height and width that the graph was made for; None for any.
    """

    def __init__(
        self, source: Path | bytes, threads: int = 1, *, divisor: int = 1, output: str | None = None
    ) -> None:
        """Open a session.

        Args:
            source: path or content of an ONNX file.
            threads: CPU threads of one run, >= 1.
            divisor: what the graph's strides need; 1 when unknown or without meaning.
            output: name of the output that holds the logits; default: the only one there is.

        Raises:
            DataError: the file is missing, is not an ONNX file that this ONNX Runtime can run, or its input
                and output are not one image and its logits.
        """
        self.divisor = divisor
        self._where = str(source) if isinstance(source, Path) else "the exported network"
        self._session = _session(_content(source), threads, self._where)
        self._input, self.input_size = self._image_input()
        self._output, channels = self._logits_output(output)
        # A graph may leave its number of channels open: then one run says it.
        self.channels = channels or int(self.forward(self._blank()).shape[1])

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (1, C, h', w') of `inputs` (1, 3, h, w), float32, as the graph gives them, on the CPU.

        Raises:
            DataError: the graph cannot run on inputs of this size, or gives something else than logits.
        """
        feed = {self._input: np.ascontiguousarray(inputs.detach().cpu().numpy())}
        try:
            output: Any = self._session.run([self._output], feed)[0]
        except _REFUSALS as error:
            raise DataError(
                f"{self._where}: the graph cannot run on an input of shape {tuple(inputs.shape)}: "
                f"{first_line(error)}. Set the model's `input_size` to the size that it was exported for."
            ) from error
        if output.ndim != 4 or output.shape[0] != 1 or 0 in output.shape:
            raise DataError(
                f"{self._where}: logits of shape (1, C, h, w) are required, but output {self._output!r} has "
                f"the shape {output.shape}. Export the network's logits, before any argmax."
            )
        return torch.from_numpy(output)

    def logits(self, inputs: Tensor) -> Tensor:
        """Logits (1, C, h, w) at the inputs' h and w; see `models.torch_networks.at_input_size`."""
        return at_input_size(self.forward, inputs, self.divisor)

    def _blank(self) -> Tensor:
        return torch.zeros(1, 3, *(self.input_size or (64, 64)))

    def _image_input(self) -> tuple[str, tuple[int, int] | None]:
        """Name of the one input, and its size if that is fixed."""
        inputs = self._session.get_inputs()
        shapes = [(i.name, i.type, i.shape) for i in inputs]
        if len(inputs) != 1 or inputs[0].type != _FLOAT or not _fits(inputs[0].shape, (1, 3, None, None)):
            raise DataError(
                f"{self._where}: one input is required, a float32 image of shape (1, 3, h, w), but the graph "
                f"has {shapes}. Export the network with one such input."
            )
        height, width = inputs[0].shape[2:]
        if isinstance(height, int) and isinstance(width, int):
            return inputs[0].name, (height, width)
        return inputs[0].name, None

    def _logits_output(self, name: str | None) -> tuple[str, int | None]:
        """Name of the output with the logits, and its number of channels if the graph says it."""
        outputs = {o.name: o for o in self._session.get_outputs()}
        if name is None and len(outputs) == 1:
            name = next(iter(outputs))
        if name is None or name not in outputs:
            raise DataError(
                f"{self._where}: the graph has the outputs {list(outputs)}; `output` must name the one with "
                f"the logits, got {name!r}."
            )
        output = outputs[name]
        if output.type != _FLOAT or (output.shape and not _fits(output.shape, (1, None, None, None))):
            raise DataError(
                f"{self._where}: output {name!r} must be logits, float32 of shape (1, C, h, w), but it is "
                f"{output.type} of shape {output.shape}. Export the network's logits, before any argmax."
            )
        channels = output.shape[1] if output.shape else None
        return name, channels if isinstance(channels, int) else None


def _content(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        return source.read_bytes()
    except OSError as error:
        raise DataError(
            f"An ONNX file was required at {source}, but it cannot be read: {error.strerror}. Correct the "
            f"model's path."
        ) from error


def _session(content: bytes, threads: int, where: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Threads that spin between two images take the cores from whoever decodes the next one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what goes wrong comes as an exception
    try:
        return onnxruntime.InferenceSession(
            content,
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=False,  # there is nothing to fall back to, and trying prints to the terminal
        )
    except _REFUSALS as error:
        raise DataError(
            f"{where}: an ONNX file with its weights inside was required that ONNX Runtime "
            f"{onnxruntime.__version__} can run, but it refuses this one: {first_line(error)}. Export the "
            f"network again; weights in a file beside it go inside with onnx.save(onnx.load(path), path)."
        ) from error


def _fits(shape: list[Any], wanted: tuple[int | None, ...]) -> bool:
    """Whether a graph's shape, in which names and None stand for any number, allows the wanted one."""
    return len(shape) == len(wanted) and all(
        want is None or not isinstance(has, int) or has == want
        for has, want in zip(shape, wanted, strict=True)
    )
