"""Networks small enough for a unit test, with weights drawn from a seed of their own."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
from torchvision.models import get_model_builder

from configs.model_specs import SmpFolder
from models.zoo import save_version

ENCODER = "tu-test_efficientnet"
ARGUMENTS = {"encoder_depth": 3, "decoder_channels": [16, 8, 8]}


def small_network(classes: int = 3, *, architecture: str = "unet", seed: int = 0) -> torch.nn.Module:
    """An untrained network in eval mode whose maps are not constant."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        extra = {"encoder_depth": 3} if architecture != "unet" else ARGUMENTS
        network: torch.nn.Module = smp.create_model(
            architecture, encoder_name=ENCODER, encoder_weights=None, classes=classes, **extra
        )
        norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0
        network(torch.randn(4, 3, 64, 64))  # statistics that fit the weights, so that maps are not flat
        for norm in norms:
            norm.momentum = 0.1
    return network.eval()


def small_folder(folder: Path, classes: int = 3, *, seed: int = 0) -> SmpFolder:
    """The spec of a small network that was written to `folder`."""
    save_version(small_network(classes, seed=seed), folder)
    return SmpFolder(name="small", path=str(folder))


def torchvision_network(
    architecture: str, classes: int = 3, *, aux_loss: bool = False, seed: int = 0
) -> torch.nn.Module:
    """An untrained network of torchvision in eval mode whose maps are not constant."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: torch.nn.Module = get_model_builder(architecture)(
            weights=None, weights_backbone=None, num_classes=classes, aux_loss=aux_loss
        )
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    return network.eval()


def onnx_file(network: torch.nn.Module, path: Path, size: tuple[int, int], *, is_fixed: bool) -> Path:
    """`network` as an ONNX file for inputs of one size, or of any that its strides divide."""
    sides = None if is_fixed else ({2: "height", 3: "width"},)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the exporter's remarks are for its developers
        torch.onnx.export(
            network,
            (torch.zeros(1, 3, *size),),
            path,
            dynamo=False,
            opset_version=17,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes=None if sides is None else {"image": sides[0], "logits": sides[0]},
        )
    return path
