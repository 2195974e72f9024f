"""State dicts: reading them without unpickling, fitting them to a network, writing them atomically."""

from __future__ import annotations

import pickle
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from models.weights import write_atomically
from tasks.errors import DataError, first_line

# The restricted unpickler checks what it may run, not that its stack, memo and buffers hold what it takes.
_OF_DAMAGED_FILES = (
    safetensors.SafetensorError,
    pickle.UnpicklingError,
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def load_state(path: Path) -> dict[str, Tensor]:
    """The state dict in the file at `path`, floating-point tensors as float32 on the CPU.

    Args:
        path: a .safetensors file, or a .pt/.pth file, which is read with `weights_only=True`; a state dict
            under the single further key "state_dict" is found too.

    Raises:
        DataError: the file is missing, of another kind, damaged, or holds something else than tensors.
    """
    if not path.is_file():
        raise DataError(f"A weight file was required at {path}, but there is none. Correct the model's path.")
    if path.suffix not in (".safetensors", ".pt", ".pth"):
        raise DataError(
            f"{path}: weights must be a .safetensors file, or a .pt/.pth file that holds only tensors; "
            f"got {path.suffix or 'no suffix'!r}. Use safetensors.torch.save_file(state_dict, path)."
        )
    try:
        state: Any = safetensors.torch.load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except _OF_DAMAGED_FILES as error:
        raise DataError(
            f"{path}: a state dict of tensors was required, but the file cannot be read as one "
            f"({type(error).__name__}: {first_line(error)}). Save it with "
            "safetensors.torch.save_file(state_dict, path)."
        ) from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    return _checked_state(state, path)


def _unpickled(path: Path) -> Any:
    """What a .pt/.pth file holds, read by torch's restricted unpickler."""
    with warnings.catch_warnings():
        # An unusual pickle protocol either loads or is refused; both need no warning.
        warnings.simplefilter("ignore", UserWarning)
        return torch.load(path, map_location="cpu", weights_only=True)


def fit(network: torch.nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Load `state` into `network`, every tensor accounted for; `where` names the weights in errors.

    Raises:
        DataError: the state dict does not fit the architecture.
    """
    try:
        network.load_state_dict(state, strict=True)
    except RuntimeError as error:
        # torch's message has a headline and then one line per kind of misfit, of any length.
        causes = "; ".join(line.strip()[:200] for line in str(error).splitlines()[1:4])
        raise DataError(
            f"{where} do not fit the architecture {type(network).__name__} that the model's spec describes: "
            f"{causes}. Give the weights of this architecture, encoder and number of classes."
        ) from error


def save_state(network: torch.nn.Module, path: Path) -> None:
    """Write the network's state dict to `path` as safetensors: atomically, equal weights as equal bytes."""
    save_tensors(network.state_dict(), path)


def save_tensors(tensors: Mapping[str, Tensor], path: Path, note: str = "pt") -> None:
    """Write `tensors` to `path` as safetensors, with `note` as the metadata entry "format", atomically."""
    # Cloned because safetensors refuses tensors that share memory. One metadata entry only: with several
    # their order in the file is not fixed.
    plain = {
        name: t.detach().to("cpu").clone(memory_format=torch.contiguous_format) for name, t in tensors.items()
    }
    write_atomically(path, safetensors.torch.save(plain, metadata={"format": note}))


def _checked_state(state: Any, path: Path) -> dict[str, Tensor]:
    """`state` as a dict of tensors, half precision widened."""
    wrong = (
        "no mapping"
        if not isinstance(state, Mapping)
        else next((f"{k!r}: {type(v).__name__}" for k, v in state.items() if not isinstance(v, Tensor)), None)
    )
    if wrong is not None:
        raise DataError(
            f"{path}: a state dict (names to tensors) was required, got {wrong}. "
            f"Save `network.state_dict()` instead of the network or a checkpoint."
        )
    return {name: t.float() if t.is_floating_point() else t for name, t in state.items()}
