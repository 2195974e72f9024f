"""The records of a campaign: their columns are a contract. Columns may be added, never renamed.

Each record has identity columns (what was found, chosen and answered) and provenance columns (where, when, by
which service). Digests are taken over identity columns alone, so two runs that found the same have the same
digest wherever and whenever they ran.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["string", "int64", "float64", "bool", "list<int64>"]


@dataclass(frozen=True)
class Column:
    """One column of a record.

    Attributes:
        name: column name.
        type: storage type; every type may hold nulls.
        identity: whether the column is part of what the record says (True) or only of where it came from.
    """

    name: str
    type: ColumnType = "string"
    identity: bool = True


@dataclass(frozen=True)
class Record:
    """A table of the store.

    Attributes:
        name: file name in the store without extension, and name in the docs.
        columns: all columns, `campaign` and `round` included.
        key: columns that order the rows and identify one.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]


def _record(name: str, key: tuple[str, ...], *columns: Column) -> Record:
    """A record with the two columns that every record carries; they are provenance, not identity."""
    common = (Column("campaign", identity=False), Column("round", "int64", identity=False))
    return Record(name, common + columns, key)


def _provenance(name: str, type_: ColumnType = "string") -> Column:
    return Column(name, type_, identity=False)


IMAGES = _record(
    "images", ("dataset", "image_id"),
    Column("dataset"), Column("image_id"), _provenance("uri"), Column("width", "int64"),
    Column("height", "int64"), Column("group"), Column("attributes"), Column("mask_digest"),
    _provenance("mask_uri"),
)  # fmt: skip
REJECTS = _record(
    "rejects", ("stage", "item"), Column("stage"), Column("item"), _provenance("reason"), _provenance("uri")
)
LABEL_AREAS = _record(
    "label_areas", ("dataset", "image_id"),
    Column("dataset"), Column("image_id"), Column("pixels", "int64"), Column("class_px", "list<int64>"),
)  # fmt: skip
PARITY = _record(
    "parity", ("image_id", "engine"),
    Column("image_id"), Column("engine"), Column("map_digest"), Column("height", "int64"),
    Column("width", "int64"), _provenance("offset", "int64"), _provenance("size_bytes", "int64"),
)  # fmt: skip
ENGINES = _record(
    "engines", ("model",),
    Column("model"), Column("engine"), Column("agreement", "float64"), Column("n_images", "int64"),
    _provenance("reason"), _provenance("graph"),
)  # fmt: skip
PREDICTIONS = _record(
    "predictions", ("image_id",),
    Column("image_id"), Column("height", "int64"), Column("width", "int64"), Column("map_digest"),
    Column("entropy_mean", "float64"), Column("entropy_p95", "float64"),
    Column("uncertainty_mean", "float64"), Column("uncertainty_p95", "float64"),
    _provenance("maps_folder"), _provenance("offset", "int64"), _provenance("size_bytes", "int64"),
)  # fmt: skip
HISTOGRAMS = _record(
    "histograms", ("image_id",), Column("image_id"), Column("joint_px", "list<int64>"),
)  # fmt: skip
CANDIDATES = _record(
    "candidates", ("image_id", "competitor", "class_name", "side"),
    Column("image_id"), Column("competitor"), Column("side"), Column("class_name"), Column("rank", "int64"),
    Column("discrepancy", "float64"), Column("area_fraction", "float64"),
)  # fmt: skip
DRAWING_ORDER = _record(
    "drawing_order", ("position",),
    Column("position", "int64"), Column("image_id"), Column("main_class"), Column("competitor"),
    Column("discrepancy", "float64"), Column("rests_on_specks", "bool"),
)  # fmt: skip
WINDOWS = _record(
    "windows", ("class_name",),
    Column("class_name"), Column("low", "float64"), Column("high", "float64"), Column("n_masks", "int64"),
)  # fmt: skip
SELECTION = _record(
    "selection", ("competitor",),
    Column("competitor"), Column("n_images", "int64"), Column("n_undefined", "int64"),
    Column("n_equal", "int64"),
)  # fmt: skip
SHORTFALLS = _record(
    "shortfalls", ("competitor", "class_name", "side"),
    Column("competitor"), Column("side"), Column("class_name"), Column("wanted", "int64"),
    Column("got", "int64"),
)  # fmt: skip
MAPS = _record(
    "maps", ("image_id", "role"),
    Column("image_id"), Column("role"), Column("model"), Column("map_digest"),
    Column("height", "int64"), Column("width", "int64"), _provenance("offset", "int64"),
    _provenance("size_bytes", "int64"),
)  # fmt: skip
RATING_PLAN = _record(
    "rating_plan", ("rater", "image_id", "map_digest", "repeat"),
    Column("rater"), Column("image_id"), Column("map_digest"), Column("repeat", "int64"),
    Column("expected_score", "int64"),
)  # fmt: skip
GOLD = _record(
    "gold", ("image_id",),
    Column("image_id"), Column("map_digest"), Column("mask_of"), Column("expected_score", "int64"),
    Column("height", "int64"), Column("width", "int64"), _provenance("offset", "int64"),
    _provenance("size_bytes", "int64"),
)  # fmt: skip
ANSWERS = _record(
    "answers", ("image_id", "map_digest", "rater", "repeat", "annotation_id", "submitted_at"),
    Column("image_id"), Column("map_digest"), Column("rater"), Column("repeat", "int64"),
    _provenance("annotation_id", "int64"), Column("score", "int64"), Column("out_of_domain", "bool"),
    _provenance("seconds", "float64"), _provenance("submitted_at"), Column("state"),
)  # fmt: skip
RATINGS = _record(
    "ratings", ("image_id",),
    Column("image_id"), Column("model_version"), Column("map_digest"),
    Column("mean_opinion_score", "float64"), Column("n_ratings", "int64"), Column("out_of_domain", "bool"),
    Column("scores", "list<int64>"), Column("low", "float64"), Column("high", "float64"),
    Column("stopped_early", "bool"),
)  # fmt: skip
RATED_ANSWERS = _record(
    "rated_answers", ("image_id", "map_digest", "rater", "repeat"),
    Column("image_id"), Column("map_digest"), Column("rater"), Column("repeat", "int64"),
    Column("score", "int64"), Column("out_of_domain", "bool"), Column("expected_score", "int64"),
    Column("counts", "bool"),
    _provenance("annotation_id", "int64"), _provenance("seconds", "float64"), _provenance("submitted_at"),
)  # fmt: skip
RATERS = _record(
    "raters", ("rater",),
    Column("rater"), Column("n_scores", "int64"), Column("bias", "float64"), Column("bias_error", "float64"),
    Column("inconsistency", "float64"), Column("inconsistency_error", "float64"),
    Column("self_consistency", "float64"), Column("n_repeats", "int64"),
    Column("gold_accuracy", "float64"), Column("n_gold", "int64"), Column("rank_correlation", "float64"),
    Column("out_of_domain_rate", "float64"), Column("bt500_outside", "int64"),
    Column("bt500_rejected", "bool"), Column("flags"),
)  # fmt: skip
PANEL = _record(
    "panel", ("n_raters",),
    Column("n_raters", "int64"), Column("n_images", "int64"), Column("alpha", "float64"),
    Column("rater_variance", "float64"), Column("degrees", "int64"),
)  # fmt: skip
TEST_SETS = _record(
    "test_sets", ("image_id",),
    Column("image_id"), Column("model_version"), Column("map_digest"), Column("main_class"),
    Column("drawn_rank", "int64"), Column("seed", "int64"),
)  # fmt: skip
FAILURES = _record(
    "failures", ("image_id",),
    Column("image_id"), Column("model_version"), Column("map_digest"), Column("rank", "int64"),
)  # fmt: skip
DRAWINGS = _record(
    "drawings", ("image_id", "role", "annotator", "annotation_id", "submitted_at"),
    Column("image_id"), Column("role"), Column("copy", "int64"), Column("turn", "int64"), Column("start"),
    Column("annotator"), _provenance("annotation_id", "int64"), Column("mask_digest"),
    Column("uncovered_px", "int64"), Column("conflict_px", "int64"),
    _provenance("seconds", "float64"), _provenance("submitted_at"), Column("state"),
)  # fmt: skip
CHECKS = _record(
    "checks", ("image_id", "role", "mask_digest", "checker", "annotation_id", "submitted_at"),
    Column("image_id"), Column("role"), Column("mask_digest"), Column("checker"),
    _provenance("annotation_id", "int64"), Column("accepted", "bool"), Column("marks"),
    _provenance("seconds", "float64"), _provenance("submitted_at"), Column("state"),
)  # fmt: skip
MASKS = _record(
    "masks", ("image_id", "role"),
    Column("image_id"), Column("role"), Column("mask_digest"), Column("annotator"), Column("checker"),
    Column("verdict"), Column("turn", "int64"), Column("uncovered_px", "int64"),
    Column("conflict_px", "int64"), _provenance("seconds", "float64"),
)  # fmt: skip
MASK_TURNS = _record(
    "mask_turns", ("image_id", "role", "turn"),
    Column("image_id"), Column("role"), Column("turn", "int64"), Column("mask_digest"), Column("annotator"),
    Column("checker"), Column("accepted", "bool"), Column("marks"),
)  # fmt: skip
DOUBLE_MASKS = _record(
    "double_masks", ("image_id", "role"),
    Column("image_id"), Column("role"), Column("annotator"), Column("second_annotator"),
    Column("miou", "float64"),
)  # fmt: skip
EPOCHS = _record(
    "epochs", ("learning_rate", "epoch"),
    Column("learning_rate", "float64"), Column("epoch", "int64"), Column("loss", "float64"),
    Column("epoch_learning_rate", "float64"), _provenance("seconds", "float64"),
)  # fmt: skip
TRIALS = _record(
    "trials", ("learning_rate",),
    Column("learning_rate", "float64"), Column("tuning_miou", "float64"), Column("final_loss", "float64"),
    Column("chosen", "bool"),
)  # fmt: skip
CONFUSIONS = _record(
    "confusions", ("image_id",), Column("image_id"), Column("group"), Column("joint_px", "list<int64>"),
)  # fmt: skip
SCORES = _record(
    "scores", ("test_set", "part", "model_version", "metric", "class_name"),
    Column("model_version"), Column("test_set"), Column("part"), Column("metric"), Column("class_name"),
    Column("value", "float64"), Column("low", "float64"), Column("high", "float64"),
    Column("n_images", "int64"), Column("n_groups", "int64"),
)  # fmt: skip
ROLES = _record("roles", ("image_id", "role"), Column("image_id"), Column("role"), Column("model_version"))
COSTS = _record(
    "costs", ("stage", "person"),
    Column("stage"), Column("person"), Column("n", "int64"), _provenance("n_unknown", "int64"),
    _provenance("seconds", "float64"), _provenance("clipped_seconds", "float64"),
    _provenance("money", "float64"),
)  # fmt: skip

ALL_RECORDS = tuple(value for value in list(globals().values()) if isinstance(value, Record))
