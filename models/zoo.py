"""A model spec -> a model that is ready to run, and a trained network -> a folder that a spec can name.

Each kind of model has a module of its own; here is chosen between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from configs.model_specs import (
    HuggingFace,
    LabelMaps,
    ModelSpec,
    Network,
    Onnx,
    SmpFolder,
    SmpStateDict,
    Torchvision,
    TrainableSpec,
)
from models.finished_maps import FinishedMaps
from models.huggingface_networks import HuggingFaceNetwork, build_huggingface, save_huggingface
from models.onnx_networks import OnnxNetwork
from models.smp_networks import build_smp, save_smp
from models.torch_networks import TorchNetwork, input_divisor
from models.torchvision_networks import TorchvisionNetwork, build_torchvision, save_torchvision
from models.weights import WEIGHTS_FILE, check_digest, file_digest
from tasks.errors import DataError


class LogitsEngine(Protocol):
    """Whatever computes logits."""

    @property
    def channels(self) -> int:
        """Number of channels C of the logits."""

    def logits(self, inputs: Tensor) -> Tensor:
        """Logits (1, C, h, w), float32, of a network input (1, 3, h, w), at the input's h and w."""


@dataclass(frozen=True)
class LoadedModel:
    """A network with all that is needed to turn an image into a label map.

    Attributes:
        engine: what computes logits.
        spec: how an image goes in and a map comes out.
        class_names: class names of the campaign, index 0 first.
        device: where inputs are put.
    """

    engine: LogitsEngine
    spec: Network
    class_names: tuple[str, ...]
    device: str = "cpu"


AnyModel = LoadedModel | FinishedMaps


def load_model(
    spec: ModelSpec, class_names: Sequence[str], device: str = "cpu", threads: int = 1
) -> AnyModel:
    """The model of `spec`, checked against the campaign's classes and ready for `models.inference`.

    Args:
        spec: the model.
        class_names: class names of the campaign, index 0 first.
        device: where torch networks run; ONNX files run on the CPU.
        threads: CPU threads of an ONNX file; those of torch are set by `models.inference.set_threads`.

    Raises:
        ConfigError: the model needs an optional extra that is not installed.
        DataError: see `build_network`, `OnnxNetwork`, `FinishedMaps` and `check_classes`.
    """
    names = tuple(class_names)
    if isinstance(spec, LabelMaps):
        return FinishedMaps(spec, names)
    if isinstance(spec, Onnx):
        check_digest(spec)
        graph = OnnxNetwork(spec.path, threads, output=spec.output)
        _check_input_size(spec, graph)
        check_classes(graph.channels, spec, len(names))
        return LoadedModel(graph, spec, names, "cpu")
    network = build_network(spec)
    # Channels-last is the faster layout on the CPU and the GPU, and changes no shape.
    network = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    engine = TorchNetwork(network, input_divisor(network))
    check_classes(engine.channels, spec, len(names))
    return LoadedModel(engine, spec, names, device)


def build_network(spec: ModelSpec) -> torch.nn.Module:
    """The network of `spec` with its weights: eval mode, float32, on the CPU, giving logits.

    Nothing is unpickled, and nothing is fetched unless the spec says `from_hub` or `published`.

    Raises:
        ConfigError: the model needs an optional extra that is not installed.
        DataError: a file is missing or unreadable, the weights have another digest than `spec.digest`, the
            architecture does not exist, the state dict does not fit it, or the model is no torch network.
    """
    spec = trainable(spec)
    check_digest(spec)
    match spec:
        case Torchvision():
            return build_torchvision(spec).eval()
        case HuggingFace():
            return build_huggingface(spec).eval()
        case SmpFolder() | SmpStateDict():
            return build_smp(spec).eval()


def trainable(spec: ModelSpec) -> TrainableSpec:
    """`spec` itself, if it is of a kind that can be trained here.

    Raises:
        DataError: it is not.
    """
    if isinstance(spec, TrainableSpec):
        return spec
    raise DataError(
        f"Model {spec.name!r} is of kind `{spec.kind}`, which is no torch network: it can be run, but not "
        f"trained. Set the campaign's `repair: false`."
    )


def check_classes(channels: int, spec: Network, n_classes: int) -> None:
    """Check, before any image is read, that a network's channels can be the campaign's classes.

    Args:
        channels: number of channels that the network gives per pixel.
        spec: its spec.
        n_classes: number of classes C of the campaign.

    Raises:
        DataError: with `class_map`, a key that is no channel; with `threshold`, not one channel or not two
            classes; otherwise, another number of channels than C.
    """
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


def save_version(network: torch.nn.Module, folder: Path) -> None:
    """Write the network to `folder` as config.json and model.safetensors, in the format of its library.

    Equal networks give equal bytes; the weights come last. `version_spec` says which spec reads the folder.
    """
    match network:
        case TorchvisionNetwork():
            save_torchvision(network, folder)
        case HuggingFaceNetwork():
            save_huggingface(network, folder)
        case _:
            save_smp(network, folder)


def version_spec(spec: ModelSpec, folder: Path, name: str) -> ModelSpec:
    """Spec of a version of `spec` that `save_version` wrote to `folder`: same preprocessing, own digest.

    Raises:
        DataError: a model of this kind cannot be trained.
    """
    spec = trainable(spec)
    kept = spec.model_dump(include=set(Network.model_fields) - {"name", "digest"})
    common = {"name": name, "digest": file_digest(folder / WEIGHTS_FILE), **kept}
    match spec:
        case Torchvision():
            return Torchvision(architecture=spec.architecture, weights=folder / WEIGHTS_FILE, **common)
        case HuggingFace():
            return HuggingFace(path=folder, **common)
        case _:
            return SmpFolder(path=str(folder), **common)


def _check_input_size(spec: Onnx, graph: OnnxNetwork) -> None:
    size = graph.input_size
    if size is not None and size != spec.input_size:
        raise DataError(
            f"Model {spec.name!r}: the graph in {spec.path} was made for inputs of {size[0]} x {size[1]} "
            f"pixels, but `input_size` is {spec.input_size}. Set `input_size: {list(size)}`."
        )
