"""Networks of segmentation-models-pytorch: a spec -> a network, a network -> a folder.

Networks always give logits: an activation that a config asks for is left off, because maps, entropies and
losses here start from logits, and softmax and sigmoid do not change which class is largest.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch

from configs.model_specs import SmpFolder, SmpStateDict
from models.state_dicts import fit, load_state, save_state
from models.weights import CONFIG_FILE, WEIGHTS_FILE, config_file, weight_file, write_atomically
from tasks.errors import DataError

_MODEL_CLASS = "_model_class"  # the key under which smp keeps the name of the architecture's class


def build_smp(spec: SmpFolder | SmpStateDict) -> torch.nn.Module:
    """The network of `spec` with its weights.

    Raises:
        DataError: a file is missing or unreadable, the architecture does not exist, or the state dict does
            not fit it.
    """
    if isinstance(spec, SmpStateDict):
        config = {**spec.arguments, "encoder_name": spec.encoder, _MODEL_CLASS: spec.architecture}
        where = f"the spec of {spec.name!r}"
    else:
        config, where = _read_config(config_file(spec)), str(config_file(spec))
    network = _construct(config, where)
    weights = weight_file(spec)
    fit(network, load_state(weights), f"{weights}: the weights of model {spec.name!r}")
    return network


def network_config(network: torch.nn.Module) -> dict[str, Any]:
    """What smp needs to construct this architecture again, without weights and without the network."""
    config = {name: value for name, value in network.config.items() if name != _MODEL_CLASS}  # type: ignore[union-attr, operator]
    # With encoder weights named, loading the folder would fetch them first only to overwrite them.
    return {**config, "encoder_weights": None, "activation": None, _MODEL_CLASS: type(network).__name__}


def save_smp(network: torch.nn.Module, folder: Path) -> None:
    """Write the network to `folder` in smp's `from_pretrained` format: config.json and model.safetensors.

    smp's own `save_pretrained` is not used because it also writes a model card and keeps the encoder weights
    that loading would then fetch.
    """
    config = json.dumps(network_config(network), sort_keys=True, indent=2) + "\n"
    write_atomically(folder / CONFIG_FILE, config.encode())
    save_state(network, folder / WEIGHTS_FILE)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: a JSON file in smp's format was required, but it cannot be read: {error}."
        ) from error
    if not isinstance(config, dict) or not isinstance(config.get(_MODEL_CLASS), str):
        raise DataError(
            f"{path}: smp's format was required, with the architecture under `{_MODEL_CLASS}`, which is not "
            f"there. Save the network with its `save_pretrained`."
        )
    return config


def _construct(config: dict[str, Any], where: str) -> torch.nn.Module:
    """The architecture that `config` describes, with arbitrary weights."""
    known = smp.MODEL_ARCHITECTURES_MAPPING
    architecture = config[_MODEL_CLASS].lower()
    if architecture not in known:
        raise DataError(
            f"{where}: the architecture must be one of {sorted(known)}, got {config[_MODEL_CLASS]!r}."
        )
    arguments = {name: value for name, value in config.items() if not name.startswith("_")}
    arguments |= {"encoder_weights": None, "activation": None}
    try:
        with torch.random.fork_rng(devices=[]):  # construction draws weights from torch's global generator
            network: torch.nn.Module = known[architecture](**arguments)
    except (TypeError, ValueError, KeyError, AssertionError, RuntimeError) as error:
        raise DataError(
            f"{where}: smp cannot construct {config[_MODEL_CLASS]!r} from these arguments: {error}. Correct "
            f"the encoder or the arguments."
        ) from error
    return network
