"""The campaign file as frozen, checked models: every number of the method with the paper's default.

Unknown keys are refused. Sections are named after the stages that declare them as part of their key, so a
change in one section repeats exactly the stages that depend on it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_TARGET_NAME = 36
MAX_CLASSES = 254  # class indices are stored in one byte and 255 stands for void

Colour = tuple[
    Annotated[int, Field(ge=0, le=255)],
    Annotated[int, Field(ge=0, le=255)],
    Annotated[int, Field(ge=0, le=255)],
]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,40}$")]
# Together these two fit into a Label Studio project title, which has 50 characters at most.
CampaignName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,21}$")]
Person = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,13}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Section(BaseModel):
    """Base of every part of a campaign file: immutable, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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


class ImageSource(Section):
    """A set of images, with masks where they exist.

    Images are matched to masks by file stem.
    """

    images: Path = Field(description="Folder of images, searched recursively.")
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


class Network(Section):
    """What every model spec says: how an image goes in and how a map comes out."""

    name: Slug = Field(description="Name of the model in records and reports.")
    digest: Digest | None = Field(default=None, description="SHA-256 the weight file must have.")
    input_size: tuple[Annotated[int, Field(ge=16, le=8192)], Annotated[int, Field(ge=16, le=8192)]] | None = (
        Field(
            default=None,
            description="Height and width in pixels the network sees; default: the image's own size.",
        )
    )
    resampler: Literal["bilinear", "bicubic", "area", "nearest"] = Field(
        default="bilinear", description="Interpolation of the input image."
    )
    antialias: bool = Field(
        default=True, description="Low-pass before shrinking (as torchvision and Pillow do)."
    )
    mean: tuple[float, float, float] = Field(
        default=(0.485, 0.456, 0.406), description="Per channel, of RGB scaled to 0..1."
    )
    std: tuple[float, float, float] = Field(
        default=(0.229, 0.224, 0.225), description="Per channel, of RGB scaled to 0..1."
    )
    threshold: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="For one sigmoid channel: probability from which a pixel is class 1.",
    )
    class_map: dict[int, str] | None = Field(
        default=None,
        description="Output channel -> class name of the campaign, for a model of another label set; "
        "channels that are not named become void.",
    )


class SmpFolder(Network):
    """A directory in segmentation-models-pytorch's `from_pretrained` format, or (by a switch) a hub id."""

    kind: Literal["smp_folder"] = "smp_folder"
    path: str = Field(description="Directory with config.json and model.safetensors, or a hub id.")
    from_hub: bool = Field(default=False, description="Whether `path` is a hub id that may be downloaded.")


class SmpStateDict(Network):
    """A segmentation-models-pytorch architecture and encoder with a state dict beside it."""

    kind: Literal["smp_state_dict"] = "smp_state_dict"
    architecture: str = Field(description="smp architecture, e.g. unet, fpn, deeplabv3plus.")
    encoder: str = Field(description="smp encoder name, e.g. resnet18 or tu-mobilenetv3_small_050.")
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="Further keyword arguments of the network."
    )
    weights: Path = Field(description="State dict: .safetensors, or .pt read with weights_only=True.")


ModelSpec = Annotated[SmpFolder | SmpStateDict, Field(discriminator="kind")]


class Predictions(Section):
    """How maps are computed."""

    comparison_size: int = Field(
        default=513,
        ge=16,
        le=8192,
        description="Long side in pixels at which maps are compared; never enlarged.",
    )
    shard_size: int = Field(default=64, ge=1, description="Images per stored shard: what a crash may cost.")
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="Where networks run.")
    threads: int = Field(
        default=2, ge=1, le=256, description="CPU threads; part of what makes results bit-equal."
    )


class Discrepancies(Section):
    """How far two maps are apart."""

    metric: Literal["miou", "pixel_accuracy"] = Field(
        default="miou",
        description="Discrepancy is 1 - mIoU over classes present in either map, or 1 - accuracy.",
    )
    min_class_px: int = Field(
        default=1, ge=1, description="A class counts in the mean only from this many pixels in either map."
    )


class Candidates(Section):
    """Which images are chosen for rating (M)."""

    quota: int = Field(default=25, ge=1, description="n3: images per competitor, class and side.")
    windows: dict[str, tuple[float, float]] | None = Field(
        default=None,
        description="Area window per class as shares of the image, 0..1; default: training quartiles.",
    )
    max_per_group: int | None = Field(
        default=None, ge=1, description="Images of one scene a quota may take; off in the paper's setting."
    )


class Ratings(Section):
    """Absolute category ratings of the target's maps."""

    raters: tuple[Person, ...] = Field(
        default=("rater-1", "rater-2", "rater-3"), min_length=1, description="Names of the raters."
    )
    seconds_per_rating: float = Field(
        default=10.0, gt=0, description="For the plan: seconds one rating takes."
    )


class TestSet(Section):
    """The test set (T) drawn from the candidates."""

    __test__ = False  # not a pytest class

    size: int = Field(default=30, ge=1, description="Images at most.")
    max_share: float = Field(default=1 / 3, gt=0, le=1, description="Share of the candidates at most.")
    max_per_class: int = Field(default=4, ge=1, description="Images per main foreground class at most.")


class Failures(Section):
    """The worst rated images (S)."""

    size: int = Field(default=100, ge=1, description="n4: images at most.")
    failure_below: float | None = Field(
        default=3.0,
        gt=1,
        le=5,
        description="Mean opinion score a failure must be below; null: no bound (the paper).",
    )
    max_share: float = Field(default=0.5, gt=0, le=1, description="Share of the remaining images at most.")


class Masks(Section):
    """Dense labelling of failures and test set."""

    annotators: tuple[Person, ...] = Field(
        default=("annotator-1", "annotator-2"), min_length=1, description="Names of the annotators."
    )
    test_start: Literal["empty", "competitor"] = Field(
        default="empty", description="What an annotator of a test image starts from; never the target's map."
    )
    seconds_per_mask: float = Field(default=240.0, gt=0, description="For the plan: seconds one mask takes.")


class Finetuning(Section):
    """How the target is repaired."""

    learning_rates: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(1e-5, 5e-5, 1e-4),
        min_length=1,
        description="Tried one by one; chosen on T(0)'s tuning half.",
    )
    epochs: int = Field(default=80, ge=1)
    batch_size: int = Field(default=2, ge=1)
    crop: tuple[Annotated[int, Field(ge=16)], Annotated[int, Field(ge=16)]] = Field(
        default=(513, 513),
        description="Height and width in pixels of a training crop, at the model's input scale.",
    )
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0)
    poly_power: float = Field(default=0.9, gt=0, description="Rate falls as (1 - step / steps) ** power.")
    flip: bool = Field(default=True, description="Random horizontal flips.")
    batch_norm: Literal["frozen", "running"] = Field(default="frozen", description="Batch-norm statistics.")
    replay_share: float | None = Field(
        default=None, ge=0, lt=1, description="Share of S(0) in training; default: each image equally often."
    )


class Evaluation(Section):
    """How versions are judged."""

    tuning_share: float = Field(
        default=0.5, gt=0, lt=1, description="Share of T(0)'s groups that may choose the learning rate."
    )


class SimulatedPeople(Section):
    """People made of code, for demonstrations and tests. The pipeline itself never reads this section."""

    truth: Path = Field(
        description="Folder with the pool's true masks, by stem; only the people process opens it."
    )
    out_of_domain: Path | None = Field(
        default=None, description="Text file with the stems that are out of domain."
    )
    seed: int = Field(default=0, ge=0)
    rater_noise: float = Field(default=0.7, ge=0, description="Standard deviation, in score units.")
    rater_bias: tuple[float, ...] = Field(
        default=(-0.3, 0.0, 0.3), description="Per rater in turn, in score units."
    )
    out_of_domain_probability: float = Field(default=0.7, ge=0, le=1)
    anchoring: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Probability that a wrong pre-annotated region is left as it was.",
    )


class Campaign(Section):
    """One troubleshooting campaign: a target, its competitors, a pool and the numbers of the method."""

    name: CampaignName = Field(description="Name in the store, in Prefect, MLflow and Label Studio.")
    seed: int = Field(
        default=0, ge=0, description="Seeds every draw; the same seed gives the same M, S and T."
    )
    rounds: int = Field(default=2, ge=1, le=99, description="r: rounds of mining, labelling and fine-tuning.")
    closing_test_set: bool = Field(
        default=True,
        description="After the last round, mine once more and label a test set only, as the paper does.",
    )
    classes: Classes
    mask_encoding: MaskEncoding = MaskEncoding()
    pool: ImageSource = Field(description="D: the unlabelled images.")
    training_set: ImageSource = Field(description="S(0): what the target was trained on.")
    familiar_test_set: ImageSource = Field(description="T(0): the test set people trust so far.")
    target: ModelSpec
    competitors: tuple[ModelSpec, ...] = Field(min_length=1)
    predictions: Predictions = Predictions()
    discrepancies: Discrepancies = Discrepancies()
    candidates: Candidates = Candidates()
    ratings: Ratings = Ratings()
    test_set: TestSet = TestSet()
    failures: Failures = Failures()
    masks: Masks = Masks()
    finetuning: Finetuning = Finetuning()
    evaluation: Evaluation = Evaluation()
    simulated_people: SimulatedPeople | None = None

    @model_validator(mode="after")
    def _check_target(self) -> Self:
        if len(self.target.name) > MAX_TARGET_NAME:
            raise ValueError(f"`target.name` may have {MAX_TARGET_NAME} characters: versions add to it")
        if self.target.class_map is not None:
            raise ValueError(
                "`target.class_map`: a model of another label set cannot be fine-tuned on this one"
            )
        for competitor in self.competitors:
            if re.fullmatch(rf"{re.escape(self.target.name)}-v\d+", competitor.name):
                raise ValueError(f"competitor {competitor.name!r} has the name of a version of the target")
        return self

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [self.target.name, *(c.name for c in self.competitors)]
        if len(set(names)) != len(names):
            raise ValueError(f"models need different names, got {names}")
        for source, what in (
            (self.training_set, "training_set"),
            (self.familiar_test_set, "familiar_test_set"),
        ):
            if source.masks is None:
                raise ValueError(f"`{what}.masks` is required: these images are labelled")
        if self.pool.masks is not None:
            raise ValueError("`pool.masks` must not be given: the pool is unlabelled")
        for what, window in (self.candidates.windows or {}).items():
            if what not in self.classes.names:
                raise ValueError(f"`candidates.windows` names {what!r}, which is not a class")
            if not 0 <= window[0] <= window[1] <= 1:
                raise ValueError(f"`candidates.windows.{what}` needs 0 <= low <= high <= 1, got {window}")
        for spec in (self.target, *self.competitors):
            for channel, class_name in (spec.class_map or {}).items():
                if class_name not in self.classes.names:
                    raise ValueError(
                        f"`class_map` of {spec.name!r} sends channel {channel} to {class_name!r}, "
                        "which is not a class"
                    )
        return self
