"""What goes into a training run and what comes out of it, as plain records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.core.label_maps import LabelMap
from tasks.errors import DataError


@dataclass(frozen=True)
class TrainingSample:
    """One labelled image.

    Attributes:
        image: RGB, uint8, shape (H, W, 3).
        mask: class indices, 255 for void, uint8, shape (H, W).
    """

    image: NDArray[np.uint8]
    mask: LabelMap


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is fine-tuned; DESIGN section 1, "fine-tuning".

    Attributes:
        learning_rate: of the first step, > 0.
        epochs: passes over the samples, >= 1.
        batch_size: samples a step, >= 1; a last batch of one joins the batch before it.
        crop: height and width of a training crop in pixels, at the network's input scale.
        momentum: of SGD, 0..1.
        weight_decay: of SGD, on every parameter.
        poly_power: the rate of step i of n is learning_rate * (1 - i / n) ** poly_power.
        flip: whether crops are mirrored left to right with probability one half.
        batch_norm: "frozen" keeps the statistics (scale and shift are trained); "running" updates them.
        seed: of all chance, >= 0.
        threads: CPU threads, >= 1.
        device: where the network runs.
    """

    learning_rate: float
    epochs: int
    batch_size: int
    crop: tuple[int, int]
    momentum: float = 0.9
    weight_decay: float = 5e-4
    poly_power: float = 0.9
    flip: bool = True
    batch_norm: Literal["frozen", "running"] = "frozen"
    seed: int = 0
    threads: int = 1
    device: str = "cpu"


@dataclass(frozen=True)
class EpochRecord:
    """One epoch of a training run.

    Attributes:
        epoch: 1-based.
        loss: mean over the epoch's steps of the mean cross-entropy per labelled pixel, in nats.
        learning_rate: of the epoch's last step.
        seconds: wall time; the only field that is not reproducible.
    """

    epoch: int
    loss: float
    learning_rate: float
    seconds: float


class NonFiniteLossError(DataError):
    """Training diverged: the loss of a step is infinite or not a number."""

    def __init__(self, *, epoch: int, step: int, loss: float, learning_rate: float) -> None:
        super().__init__(
            f"A finite training loss is required, but it is {loss} in epoch {epoch}, step {step}, at "
            f"learning rate {learning_rate:g}. Try a smaller one, and look at the samples of that epoch."
        )
        self.epoch, self.step, self.loss, self.learning_rate = epoch, step, loss, learning_rate
