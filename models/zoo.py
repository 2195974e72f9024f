"""A model spec -> a network that is ready to run, and a network -> a folder that a spec can name.

Networks always give logits: an activation that a config asks for is left off, because maps, entropies and
losses here start from logits, and softmax and sigmoid do not change which class is largest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch

from configs.schema import Network, SmpFolder, SmpStateDict
from models.weights import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    config_file,
    file_digest,
    load_state,
    save_state,
    weight_file,
    write_atomically,
)
from tasks.errors import DataError

_MODEL_CLASS = "_model_class"  # the key under which smp keeps the name of the architecture's class


@dataclass(frozen=True)
class LoadedModel:
    """A network with all that is needed to turn an image into a label map.

    Attributes:
        network: in eval mode, float32, on `device`.
        spec: how an image goes in and a map comes out.
        class_names: class names of the campaign, index 0 first.
        device: where the network runs.
    """

    network: torch.nn.Module
    spec: Network
    class_names: tuple[str, ...]
    device: str = "cpu"


def load_model(
    spec: SmpFolder | SmpStateDict, class_names: Sequence[str], device: str = "cpu"
) -> LoadedModel:
    """The model of `spec`, checked against the campaign's classes and ready for `models.inference`.

    Raises:
        DataError: see `build_network` and `check_classes`.
    """
    network = build_network(spec)
    check_classes(network, spec, len(class_names))
    # Channels-last is the faster layout on the CPU and the GPU, and changes no shape.
    network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return LoadedModel(network, spec, tuple(class_names), device)


def build_network(spec: SmpFolder | SmpStateDict) -> torch.nn.Module:
    """The network of `spec` with its weights: eval mode, float32, on the CPU, giving logits.

    Nothing is unpickled, and nothing is fetched unless the spec says `from_hub`.

    Raises:
        DataError: a file is missing or unreadable, the weights have another digest than `spec.digest`, the
            architecture does not exist, or the state dict does not fit it.
    """
    weights = weight_file(spec)
    if spec.digest is not None and (found := file_digest(weights)) != spec.digest:
        raise DataError(
            f"Model {spec.name!r} needs weights with SHA-256 {spec.digest}, but {weights} has {found}. "
            f"Put the right file there, or correct `digest`."
        )
    if isinstance(spec, SmpStateDict):
        config = {**spec.arguments, "encoder_name": spec.encoder, _MODEL_CLASS: spec.architecture}
        where = f"the spec of {spec.name!r}"
    else:
        config, where = _read_config(config_file(spec)), str(config_file(spec))
    network = _construct(config, where)
    _fit(network, weights, spec)
    return network.eval()


def output_channels(network: torch.nn.Module) -> int:
    """Number of channels that the network gives per pixel."""
    return int(network.segmentation_head[0].out_channels)  # type: ignore[index, union-attr]


def check_classes(network: torch.nn.Module, spec: Network, n_classes: int) -> None:
    """Check, before any image is read, that the network's channels can be the campaign's classes.

    Args:
        network: from `build_network`.
        spec: its spec.
        n_classes: number of classes C of the campaign.

    Raises:
        DataError: with `class_map`, a key that is no channel; with `threshold`, not one channel or not two
            classes; otherwise, another number of channels than C.
    """
    channels = output_channels(network)
    start = f"Model {spec.name!r} gives {channels} channel(s)"
    if spec.threshold is not None:
        if channels != 1 or n_classes != 2:
            raise DataError(
                f"{start}, but `threshold` needs one channel and a campaign of 2 classes; the campaign has "
                f"{n_classes}. Remove `threshold`, or correct the class list."
            )
        return
    if spec.class_map is not None:
        wrong = sorted(channel for channel in spec.class_map if not 0 <= channel < channels)
        if wrong:
            raise DataError(f"{start}, but `class_map` names channel(s) {wrong}. Use keys 0..{channels - 1}.")
        return
    if channels != n_classes:
        raise DataError(
            f"{start}, but the campaign has {n_classes} classes. Give a model of these classes, a "
            f"`class_map`, or, for one sigmoid channel and 2 classes, a `threshold`."
        )


def network_config(network: torch.nn.Module) -> dict[str, Any]:
    """What smp needs to construct this architecture again, without weights and without the network."""
    config = {name: value for name, value in network.config.items() if name != _MODEL_CLASS}  # type: ignore[union-attr, operator]
    # With encoder weights named, loading the folder would fetch them first only to overwrite them.
    return {**config, "encoder_weights": None, "activation": None, _MODEL_CLASS: type(network).__name__}


def save_version(network: torch.nn.Module, folder: Path) -> None:
    """Write the network to `folder` in smp's `from_pretrained` format: config.json and model.safetensors.

    Equal networks give equal bytes; the weights come last. smp's own `save_pretrained` is not used because it
    also writes a model card and keeps the encoder weights that loading would then fetch.
    """
    config = json.dumps(network_config(network), sort_keys=True, indent=2) + "\n"
    write_atomically(folder / CONFIG_FILE, config.encode())
    save_state(network, folder / WEIGHTS_FILE)


def version_spec(spec: Network, folder: Path, name: str) -> SmpFolder:
    """Spec of a version of `spec` that `save_version` wrote to `folder`: same preprocessing, own digest."""
    kept = spec.model_dump(include=set(Network.model_fields) - {"name", "digest"})
    return SmpFolder(name=name, path=str(folder), digest=file_digest(folder / WEIGHTS_FILE), **kept)


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


def _fit(network: torch.nn.Module, weights: Path, spec: Network) -> None:
    """Load the state dict in `weights` into `network`, every tensor accounted for."""
    try:
        network.load_state_dict(load_state(weights), strict=True)
    except RuntimeError as error:
        # torch's message has a headline and then one line per kind of misfit, of any length.
        causes = "; ".join(line.strip()[:200] for line in str(error).splitlines()[1:4])
        raise DataError(
            f"{weights}: the weights of model {spec.name!r} do not fit the architecture "
            f"{type(network).__name__} that its spec describes: {causes}. Give the weights of this "
            f"architecture, encoder and number of classes."
        ) from error
