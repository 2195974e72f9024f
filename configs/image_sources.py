"""Where images are, which of them count, what they are labelled with, and which belong to one scene."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from configs.locations import Location
from configs.sections import Section


class ImageSource(Section):
    """A set of images, with masks where they exist.

    Images are matched to masks by file stem.
    """

    images: Location = Field(
        description="Folder of images, searched recursively; `s3://bucket/folder` of an object store; or a "
        "text file with one path or URI a line."
    )
    max_megapixels: float = Field(
        default=64.0, gt=0, le=178, description="Larger images are rejected before they are decoded."
    )
    listing: Path | None = Field(
        default=None, description="Text file with one image stem a line; default: all."
    )
    masks: Path | None = Field(default=None, description="Folder of masks with the same stems.")
    metadata: Path | None = Field(default=None, description="CSV with a column `stem` and further columns.")
    group_column: str | None = Field(default=None, description="Metadata column that names an image's scene.")
    group_pattern: str | None = Field(
        default=None,
        description="Regular expression on the stem; its first group (or whole match) is the scene.",
    )
    group_frames: int | None = Field(
        default=None,
        ge=1,
        description="Frames per scene, for video: the pattern's first group is then the video, the second "
        "the frame's number.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.group_column is not None and self.group_pattern is not None:
            raise ValueError("give `group_column` or `group_pattern`, not both")
        if self.group_column is not None and self.metadata is None:
            raise ValueError("`group_column` needs `metadata`")
        try:
            pattern = re.compile(self.group_pattern or "")
        except re.error as error:
            raise ValueError(f"`group_pattern` must be a regular expression: {error}") from error
        if self.group_frames is not None and pattern.groups != 2:
            raise ValueError(
                "`group_frames` needs a `group_pattern` with two groups: the video and the frame's number"
            )
        return self
