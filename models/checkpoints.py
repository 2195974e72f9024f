"""The state of a training run after a whole epoch, in one safetensors file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from numpy.typing import NDArray

from configs.model_specs import Network
from models.state_dicts import save_tensors
from models.training_records import EpochRecord, TrainingSettings
from tasks.errors import DataError

_WEIGHT = "network."
_MOMENTUM = "momentum."


def run_fingerprint(
    network: torch.nn.Module,
    spec: Network,
    settings: TrainingSettings,
    n_samples: int,
    weights: NDArray[np.float64] | None,
) -> str:
    """SHA-256 (hex) of what a run starts from: a checkpoint is good only for the run with the same one.

    The samples count by their number only; whoever names the file puts their digests into its name.
    """
    plain = {
        "spec": spec.model_dump(mode="json", include=set(Network.model_fields) - {"name", "digest"}),
        "settings": dataclasses.asdict(settings),
        "samples": n_samples,
        "weights": None if weights is None else weights.tolist(),
    }
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def save_checkpoint(
    path: Path,
    fingerprint: str,
    network: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    records: Sequence[EpochRecord],
) -> None:
    """Write weights, momentum and the records of the epochs done to `path`, atomically."""
    tensors = {_WEIGHT + name: tensor for name, tensor in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        buffer = optimiser.state.get(parameter, {}).get("momentum_buffer")
        if buffer is not None:
            tensors[_MOMENTUM + name] = buffer
    note = {"fingerprint": fingerprint, "records": [dataclasses.asdict(record) for record in records]}
    save_tensors(tensors, path, note=json.dumps(note, sort_keys=True))


def load_checkpoint(
    path: Path, fingerprint: str, network: torch.nn.Module, optimiser: torch.optim.Optimizer
) -> list[dict[str, Any]]:
    """Put the checkpoint's weights and momentum into `network` and `optimiser`; the fields of its records.

    Raises:
        DataError: the file is damaged or belongs to another run.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            note = json.loads((file.metadata() or {}).get("format", ""))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (safetensors.SafetensorError, json.JSONDecodeError) as error:
        raise DataError(
            f"{path}: a training checkpoint was required, but it is damaged: {error}. Remove it."
        ) from error
    if note["fingerprint"] != fingerprint:
        raise DataError(
            f"{path}: a checkpoint of this run was required, but it belongs to a run of other weights, "
            f"samples or settings. Remove it."
        )
    network.load_state_dict({n.removeprefix(_WEIGHT): t for n, t in tensors.items() if n.startswith(_WEIGHT)})
    for name, parameter in network.named_parameters():
        if _MOMENTUM + name in tensors:
            buffer = torch.empty_like(parameter).copy_(tensors[_MOMENTUM + name])
            optimiser.state[parameter]["momentum_buffer"] = buffer
    records: list[dict[str, Any]] = note["records"]
    return records
