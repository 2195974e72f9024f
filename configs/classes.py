"""The label set of a campaign, and how masks store it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from configs.sections import Section

MAX_CLASSES = 254  # class indices are stored in one byte and 255 stands for void

Colour = tuple[
    Annotated[int, Field(ge=0, le=255)],
    Annotated[int, Field(ge=0, le=255)],
    Annotated[int, Field(ge=0, le=255)],
]


class Classes(Section):
    """The label set of the campaign; the position of a name is its class index."""

    names: tuple[str, ...] = Field(
        min_length=2, max_length=MAX_CLASSES, description="Class names, index 0 first."
    )
    colours: tuple[Colour, ...] = Field(description="RGB colour of each class on maps, 0..255.")
    background: str | None = Field(default=None, description="Class that forms no subgroup, if there is one.")
    foreground: tuple[str, ...] | None = Field(
        default=None,
        description="Classes that may be an image's main class in a test set; "
        "default: all but the background.",
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.names)) != len(self.names):
            raise ValueError("`names` must be unique")
        if len(self.colours) != len(self.names):
            raise ValueError(
                f"`colours` needs one colour per class: {len(self.names)}, got {len(self.colours)}"
            )
        if len(set(self.colours)) != len(self.colours):
            raise ValueError("`colours` must be unique, or people cannot tell the classes apart")
        for name in (self.background, *(self.foreground or ())):
            if name is not None and name not in self.names:
                raise ValueError(f"{name!r} is not one of the class names {list(self.names)}")
        if self.background is not None and self.background in (self.foreground or ()):
            raise ValueError(f"`background` {self.background!r} cannot be a foreground class")
        return self

    @property
    def count(self) -> int:
        """Number of classes C."""
        return len(self.names)

    @property
    def legend(self) -> list[tuple[str, str]]:
        """Name and `#rrggbb` of every class, index 0 first."""
        return [(n, f"#{r:02x}{g:02x}{b:02x}") for n, (r, g, b) in zip(self.names, self.colours, strict=True)]

    @property
    def subgroup_indices(self) -> tuple[int, ...]:
        """Indices of the classes that form subgroups: all but the background."""
        return tuple(i for i, name in enumerate(self.names) if name != self.background)

    @property
    def foreground_indices(self) -> tuple[int, ...]:
        """Indices of the classes that may be the main class of an image."""
        if self.foreground is None:
            return self.subgroup_indices
        return tuple(i for i, name in enumerate(self.names) if name in self.foreground)


class MaskEncoding(Section):
    """How label masks are stored in image files."""

    kind: Literal["index", "palette", "colours"] = Field(
        default="index",
        description="index: one channel, value = class index; palette: PNG palette index = class index; "
        "colours: RGB, looked up in the class colours.",
    )
    void: int | None = Field(
        default=255, ge=0, le=255, description="Index that means 'ignore' (index, palette)."
    )
    void_colours: tuple[Colour, ...] = Field(
        default=(), description="RGB colours that mean 'ignore' (colours)."
    )
