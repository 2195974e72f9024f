"""The labelling screens as Label Studio's XML, and the names that answers refer to. Pure.

The parts that do not depend on the classes stand in `infra/label_studio/*.xml`. All screens were tried in a
browser; see the notes beside each attribute that matters.
"""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from configs.locations import is_object_uri
from tasks.core.check_marks import ERROR_TYPES

RATING = "rating"  # `from_name` of a rating
OUT_OF_DOMAIN = "ood"  # its value for "out of domain"; the others are "1".."5"
BRUSH = "seg"  # `from_name` of a brush region
IMAGE = "image"  # `to_name` of both
VERDICT = "verdict"  # `from_name` of a checker's verdict
ACCEPT, CORRECT = "accept", "needs correction"  # its values
ERROR = "error"  # `from_name` of a checker's mark
OVERLAY = "overlay"  # `to_name` of verdict and mark

# Keys that choose a class. Letters that the editor uses for its tools (b, e, h, k, m, o, p, r, u, v, w) are
# left out; classes beyond the list are chosen with the mouse.
CLASS_KEYS = "123456789acdfgijlnqstxyz"

_SCREENS = Path(__file__).resolve().parents[2] / "infra" / "label_studio"

NamedColour = tuple[str, str]  # class name, colour as "#rrggbb"


def rating_screen(classes: Sequence[NamedColour]) -> str:
    """The screen of a rating: image, map and overlay side by side, a legend, and one choice by key.

    Task data needs `image`, `map` and `overlay`.

    Args:
        classes: name and colour "#rrggbb" of each class, in order.

    Returns:
        XML for `label_config`.

    Raises:
        ValueError: a colour of another form.
    """
    view = ET.parse(_SCREENS / "rating.xml").getroot()  # noqa: S314 - our own file
    _add_legend(view, classes)
    return ET.tostring(view, encoding="unicode")


def check_screen(classes: Sequence[NamedColour]) -> str:
    """The screen of a cross-check: image and proposed mask over it, a key and a click per error, a verdict.

    Task data needs `image` and `overlay`, both of the image's own size.

    Args:
        classes: name and colour "#rrggbb" of each class, in order, for the legend.

    Returns:
        XML for `label_config`.

    Raises:
        ValueError: a colour of another form.
    """
    view = ET.parse(_SCREENS / "check.xml").getroot()  # noqa: S314 - our own file
    marks = view.find(".//KeyPointLabels")
    assert marks is not None  # noqa: S101 - part of our own file
    for key, (error_type, rgb) in enumerate(ERROR_TYPES.items(), start=1):
        colour = "#" + "".join(f"{part:02x}" for part in rgb)
        ET.SubElement(marks, "Label", value=error_type, background=colour, hotkey=str(key))
    _add_legend(view, classes)
    return ET.tostring(view, encoding="unicode")


def dense_screen(classes: Sequence[NamedColour]) -> str:
    """The screen of dense labelling: one brush per class, without smoothing, without rotation.

    Task data needs `image` and `note`, a line of text above it (may be empty).

    Args:
        classes: name and colour "#rrggbb" of each class, in order.

    Returns:
        XML for `label_config`.

    Raises:
        ValueError: a colour of another form.
    """
    view = ET.parse(_SCREENS / "dense.xml").getroot()  # noqa: S314 - our own file
    brush = view.find("BrushLabels")
    assert brush is not None  # noqa: S101 - part of our own file
    for index, (name, colour) in enumerate(classes):
        label = ET.SubElement(brush, "Label", value=name, background=_checked(colour))
        if index < len(CLASS_KEYS):
            label.set("hotkey", CLASS_KEYS[index])
    return ET.tostring(view, encoding="unicode")


def local_file_url(relative: str) -> str:
    """The address under which Label Studio serves a file of its document root to people who are logged in.

    Args:
        relative: path below the document root, with "/" between its parts.

    Raises:
        ValueError: an absolute path, or one that leaves the document root.
    """
    path = PurePosixPath(relative)
    if not relative or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"`relative` must be a path below the document root, got {relative!r}")
    return f"/data/local-files/?d={quote(str(path))}"


def picture_url(address: str, task_id: int) -> str:
    """Where a browser asks Label Studio for a picture of a task, given the address in the task's data.

    For one in a bucket the answer is a redirection to a presigned link.
    """
    if not is_object_uri(address):
        return address
    return f"/tasks/{task_id}/resolve/?fileuri={base64.urlsafe_b64encode(address.encode()).decode()}"


def _add_legend(view: ET.Element, classes: Sequence[NamedColour]) -> None:
    legend = view.find("View[@className='madloop-legend']")
    style = view.find("Style")
    assert legend is not None and style is not None  # noqa: S101, PT018 - parts of our own file
    rules = []
    for index, (name, colour) in enumerate(classes):
        # Class rules, not `style` attributes: the header's own text colour is set by the page's theme.
        entry = f"madloop-class-{index}"
        rules.append(
            f".{entry} {{ background: {_checked(colour)}; padding: 0 8px; border: 1px solid #888; "
            f"border-radius: 4px; }} .{entry} * {{ color: {_text_on(colour)} !important; margin: 0; }}"
        )
        ET.SubElement(ET.SubElement(legend, "View", className=entry), "Header", value=name, size="5")
    style.text = f"{style.text or ''}    " + "\n    ".join(rules) + "\n  "


def _checked(colour: str) -> str:
    if re.fullmatch(r"#[0-9a-fA-F]{6}", colour) is None:
        raise ValueError(f"a colour must be '#rrggbb', got {colour!r}")
    return colour


def _text_on(colour: str) -> str:
    """Black or white, whichever can be read on the colour (its luma, ITU-R BT.601, of 255)."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#ffffff"
