"""Networks small enough for a unit test, with weights drawn from a seed of their own."""

from __future__ import annotations

from pathlib import Path

import segmentation_models_pytorch as smp
import torch

from configs.schema import SmpFolder
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
