"""Weights that torchvision publishes: found in torch hub's folder, or downloaded there."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import httpx
import torch
from torchvision.models import get_model_weights

from configs.model_specs import Torchvision
from tasks.errors import DataError

_TIMEOUT_S = 20.0  # for a connection, and between two pieces of a file


def published_file(spec: Torchvision) -> Path:
    """The file with the weights that torchvision publishes under `spec.published`, downloaded if need be.

    The name of such a file ends in the first characters of its SHA-256, which are checked each time. The
    folder is that of torch hub: `$TORCH_HOME/hub/checkpoints`, by default below `~/.cache/torch`.

    Raises:
        DataError: the file is not there and cannot be downloaded, or it is damaged.
    """
    weights = get_model_weights(spec.architecture)[spec.published]
    url, size_mb = str(weights.url), float(weights.meta["_file_size"])
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    begin = path.stem.rsplit("-", 1)[1]
    wanted = f"{path.name} ({size_mb:.0f} MB, SHA-256 beginning with {begin})"
    if path.is_file():
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if not found.startswith(begin):
            raise DataError(
                f"Model {spec.name!r} needs the file {wanted}, but the one in {path.parent} has the SHA-256 "
                f"{found}. Remove it, and it is downloaded again from {url}."
            )
        return path
    try:
        _download(url, path, begin)
    except (httpx.HTTPError, OSError, ValueError) as error:
        raise DataError(
            f"Model {spec.name!r} needs the file {wanted}, which is not in {path.parent} and cannot be "
            f"downloaded from {url}: {str(error) or type(error).__name__}. Put the file into that folder, or "
            f"give a file as `weights` instead of `published`."
        ) from error
    return path


def _download(url: str, path: Path, begin: str) -> None:
    """Fetch `url` to `path`, which appears in whole and with the right content or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
        with (
            (Path(scratch) / path.name).open("wb") as file,
            httpx.stream("GET", url, timeout=_TIMEOUT_S, follow_redirects=True) as response,
        ):
            response.raise_for_status()
            for piece in response.iter_bytes():
                digest.update(piece)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        if not digest.hexdigest().startswith(begin):
            raise ValueError(f"what came has the SHA-256 {digest.hexdigest()}")
        (Path(scratch) / path.name).replace(path)
