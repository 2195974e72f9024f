"""The files behind a model spec, and the digests that name a model."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download

from configs.model_specs import (
    HuggingFace,
    LabelMaps,
    ModelSpec,
    Network,
    NetworkSpec,
    Onnx,
    SmpFolder,
    SmpStateDict,
    Torchvision,
)
from models.published_weights import published_file
from tasks.errors import DataError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"


def weight_file(spec: NetworkSpec) -> Path:
    """The existing file that holds the weights of `spec`.

    Only a spec with `from_hub` or `published` may reach the network; everything else is read from disk or
    refused.

    Raises:
        DataError: the file or its directory is missing, or cannot be downloaded.
    """
    match spec:
        case SmpStateDict():
            return _existing(spec.weights, spec)
        case Torchvision(weights=None):
            return published_file(spec)
        case Torchvision():
            return _existing(spec.weights or Path(), spec)
        case Onnx():
            return _existing(spec.path, spec)
        case _:
            return _in_folder(spec, WEIGHTS_FILE)


def config_file(spec: SmpFolder | HuggingFace) -> Path:
    """The existing config.json of `spec`; as `weight_file`."""
    return _in_folder(spec, CONFIG_FILE)


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of the bytes of the file at `path`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_digest(spec: NetworkSpec) -> None:
    """Check that the weight file is the one that `spec.digest` names, if it names one.

    Raises:
        DataError: it is missing or another one.
    """
    weights = weight_file(spec)
    if spec.digest is not None and (found := file_digest(weights)) != spec.digest:
        raise DataError(
            f"Model {spec.name!r} needs weights with SHA-256 {spec.digest}, but {weights} has {found}. "
            f"Put the right file there, or correct `digest`."
        )


def weights_digest(spec: NetworkSpec) -> str:
    """SHA-256 (hex) over what makes the network: its weights and its architecture.

    Hashed are, in this order, the SHA-256 of the weight file's bytes, and then the architecture: the bytes of
    a folder's config.json, or the canonical JSON of the fields that describe it. Neither the place of the
    files nor the name of the model counts.

    Raises:
        DataError: a file is missing.
    """
    match spec:
        case SmpStateDict():
            architecture = _canonical(
                spec.model_dump(include={"architecture", "encoder", "arguments"})
            ).encode()
        case Torchvision():
            architecture = _canonical({"torchvision": spec.architecture}).encode()
        case Onnx():
            architecture = _canonical({"output": spec.output}).encode()
        case _:
            architecture = config_file(spec).read_bytes()
    return hashlib.sha256(file_digest(weight_file(spec)).encode() + b"\n" + architecture).hexdigest()


def model_digest(spec: ModelSpec, class_names: Sequence[str]) -> str:
    """SHA-256 (hex) over everything that decides a model's maps: the key of the prediction cache.

    For a network that is `weights_digest` and the spec's input_size, resampler, antialias, mean, std,
    threshold and class_map, the last as class indices, because those are what a map holds. For finished label
    maps it is names and contents of all maps of the folder, and the index of void.

    Args:
        spec: the model.
        class_names: class names of the campaign, index 0 first.

    Raises:
        DataError: a file is missing.
    """
    if isinstance(spec, LabelMaps):
        fields: dict[str, Any] = {"void": spec.void, "maps": _folder_digests(spec)}
        return hashlib.sha256(_canonical(fields).encode()).hexdigest()
    fields = spec.model_dump(mode="json", include=set(Network.model_fields) - {"name", "digest", "class_map"})
    if spec.class_map is not None:
        fields["class_map"] = sorted((c, list(class_names).index(name)) for c, name in spec.class_map.items())
    fields["weights"] = weights_digest(spec)
    return hashlib.sha256(_canonical(fields).encode()).hexdigest()


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


def _folder_digests(spec: LabelMaps) -> list[tuple[str, str]]:
    """Name and SHA-256 of every map of the folder, in the order of the names."""
    if not spec.path.is_dir():
        raise DataError(
            f"Model {spec.name!r} needs a folder of label maps as its `path`, but {spec.path} is none. "
            f"Correct `path`."
        )
    files = sorted(spec.path.glob("*.png"))
    return [(file.name, _unchanged_digest(file, *_stamp(file))) for file in files]


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@functools.cache
def _unchanged_digest(path: Path, _size: int, _changed_ns: int) -> str:
    """As `file_digest`, once a process for a file that keeps its size and time: folders may be large."""
    return file_digest(path)


def _in_folder(spec: SmpFolder | HuggingFace, name: str) -> Path:
    if isinstance(spec, SmpFolder) and spec.from_hub:
        return Path(hf_hub_download(spec.path, name))
    folder = Path(spec.path)
    if not folder.is_dir():
        hub = "; set `from_hub: true` if it is meant as a hub id" if isinstance(spec, SmpFolder) else ""
        raise DataError(
            f"Model {spec.name!r} needs a directory with {CONFIG_FILE} and {WEIGHTS_FILE} as its `path`, but "
            f"{folder} is not a directory. Correct `path`{hub}."
        )
    return _existing(folder / name, spec)


def _existing(path: Path, spec: Network) -> Path:
    if not path.is_file():
        raise DataError(
            f"Model {spec.name!r} needs the file {path}, but there is none. Correct the model's path, or put "
            f"the file there."
        )
    return path


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
