"""Segmentation networks of torchvision: a spec -> a network, a network -> a folder."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor
from torchvision.models import get_model_builder

from configs.model_specs import Torchvision
from models.state_dicts import fit, load_state, save_state
from models.torch_networks import AdaptedNetwork
from models.weights import CONFIG_FILE, WEIGHTS_FILE, weight_file, write_atomically
from tasks.errors import DataError

_AUXILIARY = "aux_classifier."
# Where the weights of the last convolution stand, which has one filter per class.
_LAST_LAYERS = {
    "deeplabv3": "classifier.4.weight",
    "fcn": "classifier.4.weight",
    "lraspp": "classifier.low_classifier.weight",
}


class TorchvisionNetwork(AdaptedNetwork):
    """A torchvision network that gives its logits (N, C, h, w) only, at the input's size."""

    def __init__(self, network: torch.nn.Module, architecture: str, channels: int) -> None:
        super().__init__(network, channels)
        self.architecture = architecture

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (N, C, h, w) of `inputs` (N, 3, h, w)."""
        logits: Tensor = self.network(inputs)["out"]
        return logits


def build_torchvision(spec: Torchvision) -> TorchvisionNetwork:
    """The network of `spec` with its weights, without auxiliary head.

    That head is a second classifier on an inner layer, used to train from scratch; it takes no part in any
    map, and fine-tuning trains the main output.

    Raises:
        DataError: the file is missing, unreadable, or does not fit the architecture.
    """
    path = weight_file(spec)
    state = {name: tensor for name, tensor in load_state(path).items() if not name.startswith(_AUXILIARY)}
    where = f"{path}: the weights of model {spec.name!r}"
    last = _LAST_LAYERS[spec.architecture.split("_")[0]]
    if last not in state or state[last].ndim != 4:
        raise DataError(
            f"{where} do not fit torchvision's {spec.architecture}: they have no {last!r} of four dimensions."
            f" Give the network's own state dict, its names without a prefix."
        )
    channels = int(state[last].shape[0])
    with torch.random.fork_rng(devices=[]):  # construction draws weights from torch's global generator
        network = get_model_builder(spec.architecture)(
            weights=None, weights_backbone=None, num_classes=channels, aux_loss=False
        )
    fit(network, state, where)
    return TorchvisionNetwork(network, spec.architecture, channels)


def save_torchvision(network: TorchvisionNetwork, folder: Path) -> None:
    """Write the network's architecture to config.json and its state dict to model.safetensors in `folder`.

    The state dict has torchvision's own names, so that torchvision alone can load it.
    """
    config = {"library": "torchvision", "architecture": network.architecture, "num_classes": network.channels}
    write_atomically(folder / CONFIG_FILE, (json.dumps(config, sort_keys=True, indent=2) + "\n").encode())
    save_state(network.network, folder / WEIGHTS_FILE)
