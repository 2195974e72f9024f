"""Weight files: reading them without unpickling, writing them atomically, and the digests that name them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from huggingface_hub import hf_hub_download
from torch import Tensor

from configs.schema import Network, SmpFolder, SmpStateDict
from tasks.errors import DataError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"


def weight_file(spec: SmpFolder | SmpStateDict) -> Path:
    """The existing file that holds the state dict of `spec`.

    Only a spec with `from_hub` may reach the network; everything else is read from disk or refused.

    Raises:
        DataError: the file or its directory is missing.
    """
    return _existing(spec.weights, spec) if isinstance(spec, SmpStateDict) else _in_folder(spec, WEIGHTS_FILE)


def config_file(spec: SmpFolder) -> Path:
    """The existing config.json of `spec`; as `weight_file`."""
    return _in_folder(spec, CONFIG_FILE)


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of the bytes of the file at `path`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_digest(spec: SmpFolder | SmpStateDict) -> str:
    """SHA-256 (hex) over what makes the network: its weights and its architecture.

    Hashed are, in this order, the SHA-256 of the weight file's bytes, and then for an `SmpFolder` the bytes
    of its config.json, for an `SmpStateDict` the canonical JSON of `architecture`, `encoder` and `arguments`.
    Neither the place of the files nor the name of the model counts.

    Raises:
        DataError: a file is missing.
    """
    if isinstance(spec, SmpStateDict):
        design = {"architecture": spec.architecture, "encoder": spec.encoder, "arguments": spec.arguments}
        architecture = _canonical(design).encode()
    else:
        architecture = config_file(spec).read_bytes()
    return hashlib.sha256(file_digest(weight_file(spec)).encode() + b"\n" + architecture).hexdigest()


def model_digest(spec: SmpFolder | SmpStateDict, class_names: Sequence[str]) -> str:
    """SHA-256 (hex) over everything that decides a model's maps: the key of the prediction cache.

    That is `weights_digest` and the spec's input_size, resampler, antialias, mean, std, threshold and
    class_map, the last as class indices, because those are what a map holds.

    Args:
        spec: the model.
        class_names: class names of the campaign, index 0 first.

    Raises:
        DataError: a file is missing.
    """
    fields = spec.model_dump(mode="json", include=set(Network.model_fields) - {"name", "digest", "class_map"})
    if spec.class_map is not None:
        fields["class_map"] = sorted((c, list(class_names).index(name)) for c, name in spec.class_map.items())
    fields["weights"] = weights_digest(spec)
    return hashlib.sha256(_canonical(fields).encode()).hexdigest()


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
    try:
        if path.suffix == ".safetensors":
            state: Any = safetensors.torch.load_file(path)
        elif path.suffix in (".pt", ".pth"):
            with warnings.catch_warnings():
                # An unusual pickle protocol either loads or is refused below; both need no warning.
                warnings.simplefilter("ignore", UserWarning)
                state = torch.load(path, map_location="cpu", weights_only=True)
        else:
            raise DataError(
                f"{path}: weights must be a .safetensors file, or a .pt/.pth file that holds only tensors; "
                f"got {path.suffix or 'no suffix'!r}. Use safetensors.torch.save_file(state_dict, path)."
            )
    except (safetensors.SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise DataError(
            f"{path}: a state dict of tensors was required, but the file cannot be read as one "
            f"({str(error).splitlines()[0]}). Save it with safetensors.torch.save_file(state_dict, path)."
        ) from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    return _checked_state(state, path)


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


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that the file is there in whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def _in_folder(spec: SmpFolder, name: str) -> Path:
    if spec.from_hub:
        return Path(hf_hub_download(spec.path, name))
    folder = Path(spec.path)
    if not folder.is_dir():
        raise DataError(
            f"Model {spec.name!r} needs a directory with {CONFIG_FILE} and {WEIGHTS_FILE} as its `path`, but "
            f"{folder} is not a directory. Correct `path`; set `from_hub: true` if it is meant as a hub id."
        )
    return _existing(folder / name, spec)


def _existing(path: Path, spec: Network) -> Path:
    if not path.is_file():
        raise DataError(
            f"Model {spec.name!r} needs the file {path}, but there is none. Correct the model's path, or put "
            f"the file there."
        )
    return path


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


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
