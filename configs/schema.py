"""The campaign file as frozen, checked models: every number of the method with the paper's default.

Unknown keys are refused. Sections are named after the stages that declare them as part of their key, so a
change in one section repeats exactly the stages that depend on it.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from configs.classes import Classes, MaskEncoding
from configs.image_sources import ImageSource
from configs.model_specs import ModelSpec, Network, can_be_trained
from configs.people_sections import Costs, Masks, PersonRole, Ratings, SimulatedPeople
from configs.sections import Section

MAX_TARGET_NAME = 36

# Together with a person's name it fits into a Label Studio project title, of 50 characters at most.
CampaignName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,21}$")]


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
        default=2,
        ge=1,
        le=256,
        description="CPU threads of fine-tuning and evaluation; part of what makes results bit-equal.",
    )
    processes: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="Processes that go through the pool, of one thread each; default: one per CPU core.",
    )
    engine: Literal["onnxruntime", "torch"] = Field(
        default="onnxruntime",
        description="What runs networks over the pool; onnxruntime only where it gives torch's maps.",
    )
    parity_images: int = Field(
        default=16, ge=1, description="Pool images on which the two engines are compared."
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


class Campaign(Section):
    """One troubleshooting campaign: a target, its competitors, a pool and the numbers of the method."""

    name: CampaignName = Field(description="Name in the store, in Prefect, MLflow and Label Studio.")
    seed: int = Field(
        default=0, ge=0, description="Seeds every draw; the same seed gives the same M, S and T."
    )
    rounds: int = Field(default=2, ge=1, le=99, description="r: rounds of mining, labelling and fine-tuning.")
    repair: bool = Field(
        default=True,
        description="Whether the target is fine-tuned; false: a round ends with S and T labelled, scores and "
        "the report. A target that cannot be trained here needs false.",
    )
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
    costs: Costs = Costs()
    finetuning: Finetuning = Finetuning()
    evaluation: Evaluation = Evaluation()
    simulated_people: SimulatedPeople | None = None

    @property
    def people(self) -> dict[str, tuple[PersonRole, ...]]:
        """Everybody whom the campaign asks, with their roles in it."""
        asked: tuple[tuple[PersonRole, tuple[str, ...]], ...] = (
            ("rater", self.ratings.raters),
            ("annotator", self.masks.annotators),
            ("checker", self.masks.all_checkers),
        )
        names = dict.fromkeys(name for _, group in asked for name in group)
        return {name: tuple(role for role, group in asked if name in group) for name in names}

    @model_validator(mode="after")
    def _check_target(self) -> Self:
        if len(self.target.name) > MAX_TARGET_NAME:
            raise ValueError(f"`target.name` may have {MAX_TARGET_NAME} characters: versions add to it")
        if self.repair and not can_be_trained(self.target):
            raise ValueError(
                f"`target.kind: {self.target.kind}` cannot be fine-tuned; set `repair: false` to mine, rate, "
                "label and judge only"
            )
        if self.repair and isinstance(self.target, Network) and self.target.class_map is not None:
            raise ValueError(
                "`target.class_map`: a model of another label set cannot be fine-tuned on this one; set "
                "`repair: false` to mine, rate, label and judge only"
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
            class_map = spec.class_map if isinstance(spec, Network) else None
            for channel, class_name in (class_map or {}).items():
                if class_name not in self.classes.names:
                    raise ValueError(
                        f"`class_map` of {spec.name!r} sends channel {channel} to {class_name!r}, "
                        "which is not a class"
                    )
        return self
