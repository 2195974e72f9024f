"""Scores as tables: the paper's Table 1, the version x test-set matrix, per class, and as plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from configs.schema import Campaign
from tasks.report_page import ScoreRow, ScoreTable

Row = dict[str, Any]


class Scores:
    """Rows of `scores`, looked up by model, test set, part and class."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._values = {
            (r["model_version"], r["test_set"], r["part"], r["metric"], r["class_name"]): r["value"]
            for r in rows
        }
        self.test_sets = sorted({r["test_set"] for r in rows}, key=lambda name: int(name[2:-1]))
        self.n_images = {(r["test_set"], r["part"]): r["n_images"] for r in rows}

    def is_judged(self, model: str, test_set: str) -> bool:
        """Whether the model was run on the set."""
        return (model, test_set, "all", "iou", "mean") in self._values

    def miou(self, model: str, test_set: str, part: str | None = None) -> float | None:
        """mIoU of a model on a set; on T(0) the reporting half unless a part is named. None: not judged."""
        part = part or ("reporting" if test_set == "T(0)" else "all")
        return self.value(model, test_set, part, "iou", "mean")

    def value(self, model: str, test_set: str, part: str, metric: str, class_name: str) -> float | None:
        """One score, None where it is not there or undefined."""
        value = self._values.get((model, test_set, part, metric, class_name))
        return None if value is None or math.isnan(value) else float(value)


def version_names(campaign: Campaign, versions: int) -> list[str]:
    """Names of the first versions of the target, 0 first; without repair there is only that one."""
    later = range(1, versions) if campaign.repair else ()
    return [campaign.target.name, *(f"{campaign.target.name}-v{n}" for n in later)]


def paper_table(campaign: Campaign, scores: Scores, versions: int) -> ScoreTable:
    """The paper's Table 1: competitors everywhere, version n on T(0) and on T(n+1), mined with it."""
    rows = [
        ScoreRow(c.name, "competitor", tuple(scores.miou(c.name, t) for t in scores.test_sets))
        for c in campaign.competitors
    ]
    for number, name in enumerate(version_names(campaign, versions)):
        own = {"T(0)", f"T({number + 1})"} if campaign.repair else set(scores.test_sets)
        rows.append(
            ScoreRow(
                name, "target", tuple(scores.miou(name, t) if t in own else None for t in scores.test_sets)
            )
        )
    return ScoreTable(
        caption="mIoU; of T(0) the reporting half",
        column_headers=tuple(_header(scores, t) for t in scores.test_sets),
        rows=tuple(rows),
        mark_best=False,
        none_note="Table 1 judges a version only on T(0) and on the test set mined with it; "
        "the matrix below has the rest",
    )


def matrix_table(campaign: Campaign, scores: Scores, versions: int) -> ScoreTable:
    """Every version and competitor on every test set: a like-for-like comparison within each column."""
    columns = [
        ("T(0)", "tuning"),
        ("T(0)", "reporting"),
        *((t, "all") for t in scores.test_sets if t != "T(0)"),
    ]

    def row(name: str, kind: Literal["target", "competitor"]) -> ScoreRow:
        return ScoreRow(name, kind, tuple(scores.miou(name, t, part) for t, part in columns))

    return ScoreTable(
        caption="mIoU; no version has trained on any of these images",
        column_headers=tuple(f"{t} {part}" if t == "T(0)" else _header(scores, t) for t, part in columns),
        rows=tuple(row(name, "target") for name in version_names(campaign, versions))
        + tuple(row(competitor.name, "competitor") for competitor in campaign.competitors),
    )


def class_table(campaign: Campaign, scores: Scores, versions: int) -> ScoreTable:
    """Per-class IoU of the first and the newest version on every test set."""
    names = version_names(campaign, versions)
    pair = [names[0]] if len(names) == 1 else [names[0], names[-1]]
    columns = [(t, "reporting" if t == "T(0)" else "all", name) for t in scores.test_sets for name in pair]
    return ScoreTable(
        caption="IoU per class, before and after.",
        column_headers=tuple(f"{t} {name}" for t, _, name in columns),
        rows=tuple(
            ScoreRow(c, "class", tuple(scores.value(name, t, part, "iou", c) for t, part, name in columns))
            for c in campaign.classes.names
        ),
        mark_best=False,
        none_note="the class has no true pixel in that set",
    )


def text_table(table: ScoreTable) -> str:
    """A table for the terminal."""
    width = max(len(row.name) for row in table.rows)
    header = " " * width + "".join(f"  {name:>16}" for name in table.column_headers)
    lines = [header]
    for row in table.rows:
        cells = "".join(f"  {'-' if value is None else f'{value:.3f}':>16}" for value in row.cells)
        lines.append(f"{row.name:<{width}}{cells}")
    return "\n".join(lines)


def _header(scores: Scores, test_set: str) -> str:
    part = "reporting" if test_set == "T(0)" else "all"
    return f"{test_set} n={scores.n_images[(test_set, part)]}"
