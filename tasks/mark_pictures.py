"""A checker's marks drawn into a picture, for the author to see what to correct."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.core.check_marks import ERROR_TYPES, CheckMark

RADIUS_SHARE = 0.02  # of the longer side
MIN_RADIUS = 5  # px

_OUTLINE = (255, 255, 255)  # under each colour, so that it is seen on any other


def draw_marks(picture: NDArray[np.uint8], marks: Sequence[CheckMark]) -> NDArray[np.uint8]:
    """The picture with a numbered ring round each mark, in the colour of its error type.

    What lies inside a ring stays as it is, also where another mark's ring or number would cover it.

    Args:
        picture: (H, W, 3) uint8, red, green, blue; at the image's own size.
        marks: in the order of their numbers, from 1; positions in pixels of the picture.

    Returns:
        (H, W, 3) uint8, a new array.

    Raises:
        ValueError: no such picture, or a mark outside it.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise ValueError(
            f"`picture` must be (H, W, 3) uint8 and not empty, got {picture.shape} {picture.dtype}"
        )
    height, width = picture.shape[:2]
    radius = max(MIN_RADIUS, round(RADIUS_SHARE * max(height, width)))
    stroke = max(1, radius // 5)
    drawn = np.ascontiguousarray(picture).copy()
    inside = np.zeros((height, width), dtype=np.uint8)
    for number, mark in enumerate(marks, start=1):
        if not (0 <= mark.x_px <= width and 0 <= mark.y_px <= height):
            raise ValueError(f"`marks` must lie in a picture of {width} x {height} px, got {mark}")
        centre = min(int(mark.x_px), width - 1), min(int(mark.y_px), height - 1)
        colour = ERROR_TYPES[mark.error_type]
        cv2.circle(drawn, centre, radius + stroke, _OUTLINE, 3 * stroke)
        cv2.circle(drawn, centre, radius + stroke, colour, stroke)
        _write_number(drawn, str(number), centre, radius + 3 * stroke, colour)
        cv2.circle(inside, centre, radius - stroke, 1, cv2.FILLED)
    return np.where(inside[..., None] == 1, picture, drawn)


def _write_number(
    drawn: NDArray[np.uint8], text: str, centre: tuple[int, int], reach: int, colour: tuple[int, int, int]
) -> None:
    """Beside the ring: to the right of it, or to the left where the picture ends."""
    height, width = drawn.shape[:2]
    scale = reach / 22  # the font's digits are 22 px high at scale 1
    (text_width, text_height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    x = centre[0] + reach
    if x + text_width > width:
        x = max(0, centre[0] - reach - text_width)
    y = min(max(centre[1] + text_height // 2, text_height), height - 1)
    pen = max(1, round(2 * scale))
    for thickness, ink in ((pen + 3, _OUTLINE), (pen, colour)):
        cv2.putText(drawn, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, thickness, cv2.LINE_AA)
