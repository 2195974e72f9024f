"""Campaign files and image files for tests that need no trained network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from configs.load import parse_campaign
from configs.schema import Campaign
from tasks.rounds import Round

CLASSES = ("ground", "disc", "square")
HEIGHT, WIDTH = 24, 32


def campaign_values() -> dict[str, Any]:
    """A complete campaign file as plain values; its models do not exist."""
    return {
        "name": "small",
        "classes": {
            "names": list(CLASSES),
            "colours": [[90, 90, 90], [220, 60, 60], [60, 90, 220]],
            "background": "ground",
        },
        "pool": {"images": "pool"},
        "training_set": {"images": "training/images", "masks": "training/masks"},
        "familiar_test_set": {"images": "familiar/images", "masks": "familiar/masks"},
        "target": {"kind": "smp_folder", "name": "target", "path": "models/target"},
        "competitors": [{"kind": "smp_folder", "name": "rival", "path": "models/rival"}],
    }


def campaign_of(root: Path, **changes: Any) -> Campaign:
    """The campaign of `campaign_values`, with some sections changed, its folders below `root`."""
    return parse_campaign(campaign_values() | changes, base=root, where="the test")


def round_of(root: Path, number: int = 1, **changes: Any) -> Round:
    """A round of that campaign with its store below `root`."""
    return Round(campaign_of(root, **changes), number, root / "store")


def png(seed: int, height: int = HEIGHT, width: int = WIDTH) -> bytes:
    """Bytes of an image of noise; the same for the same seed."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return encoded(noise)


def encoded(pixels: NDArray[np.uint8], suffix: str = ".png") -> bytes:
    """Bytes of an image file with these pixels."""
    done, data = cv2.imencode(suffix, pixels)
    assert done
    return bytes(data)


def write_file(path: Path, content: bytes) -> Path:
    """Write a file, making its folder; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def write_labelled(folder: Path, stem: str, seed: int, mask: NDArray[np.uint8] | None = None) -> None:
    """An image of noise in `folder`/images and its mask in `folder`/masks; the default mask is all ground."""
    write_file(folder / "images" / f"{stem}.png", png(seed))
    shown = np.zeros((HEIGHT, WIDTH), np.uint8) if mask is None else mask
    write_file(folder / "masks" / f"{stem}.png", encoded(shown))
