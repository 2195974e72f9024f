"""Marks of a check: what is wrong with a mask, and where."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.core.label_maps import Colour

AMBIGUOUS = "ambiguous"  # nobody could decide; the only mark that an accepted mask may carry

# In the order of the keys 1 to 5, with the colour each is shown in.
ERROR_TYPES: dict[str, Colour] = {
    "wrong class": (230, 25, 75),
    "boundary": (245, 130, 49),
    "missed object": (145, 30, 180),
    "extra region": (67, 99, 216),
    AMBIGUOUS: (128, 128, 0),
}


@dataclass(frozen=True)
class CheckMark:
    """One mark of a checker.

    Attributes:
        error_type: one of `ERROR_TYPES`.
        x_px: distance from the image's left edge, 0 to its width, px.
        y_px: distance from the image's upper edge, 0 to its height, px.
    """

    error_type: str
    x_px: float
    y_px: float

    def __post_init__(self) -> None:
        if self.error_type not in ERROR_TYPES:
            raise ValueError(f"`error_type` must be one of {list(ERROR_TYPES)}, got {self.error_type!r}")
