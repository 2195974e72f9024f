"""What a round's report says about its raters: agreement, each rater's habits, and answers that came late."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tasks.core.records import GOLD, MAPS, PANEL, RATERS
from tasks.core.sampling import ceil_share
from tasks.label_studio_projects import RemadeProject, remade_projects
from tasks.pseudonyms import Pseudonyms
from tasks.rating_answers import late_answers
from tasks.report_page import PlainTable
from tasks.rounds import Round, require

Row = dict[str, Any]


@dataclass(frozen=True)
class RaterFindings:
    """What is known of the raters of one round.

    Attributes:
        panel: the row of `panel`.
        raters: rows of `raters`.
        late: answers that came after the ratings were closed, rows of `answers`.
        remade: projects that were deleted and made anew.
        n_gold: gold images there were.
        n_gold_wanted: gold images the campaign asks for.
    """

    panel: Row
    raters: list[Row]
    late: list[Row]
    remade: list[RemadeProject]
    n_gold: int
    n_gold_wanted: int


def rater_findings(round_: Round) -> RaterFindings:
    """The findings of a round whose ratings are closed, with pseudonyms for people."""
    store, people = round_.open_store(), Pseudonyms(round_.open_store())
    judged = require(round_, "raters")
    rated = [row for row in store.rows(require(round_, "maps"), MAPS) if row["role"] == "target"]
    (panel,) = store.rows(judged, PANEL)
    return RaterFindings(
        panel=panel,
        raters=people.rows(store.rows(judged, RATERS)),
        late=people.rows(late_answers(round_)),
        remade=[RemadeProject(p.work, people.of(p.person), p.numbers) for p in remade_projects(round_)],
        n_gold=len(store.rows(require(round_, "rating_plan"), GOLD)),
        n_gold_wanted=ceil_share(len(rated), round_.campaign.ratings.gold_share),
    )


def rater_tables(found: RaterFindings) -> tuple[PlainTable, ...]:
    """Agreement, raters, late answers, and projects that were made anew."""
    return (
        _agreement(found.panel),
        _raters(found),
        PlainTable(
            "Late answers",
            "Answers that raters gave or changed after the ratings were closed. They changed nothing.",
            ("person", "image", "score", "when"),
            tuple((r["rater"], r["image_id"][:12], _score(r), r["submitted_at"]) for r in found.late),
            "No answer came after the ratings were closed.",
        ),
        PlainTable(
            "Projects made anew",
            "Label Studio projects of this round that somebody deleted. Answers collected before stayed.",
            ("work", "person", "projects, the newest last"),
            tuple((p.work, p.person, ", ".join(map(str, p.numbers))) for p in found.remade),
            "No project was deleted.",
        ),
    )


def _agreement(panel: Row) -> PlainTable:
    variance = panel["rater_variance"]
    cells = (
        str(panel["n_raters"]),
        str(panel["n_images"]),
        _number(panel["alpha"]),
        _number(None if variance is None else variance**0.5),
    )
    return PlainTable(
        "Agreement of the raters",
        "Krippendorff's alpha, ordinal: 1 full agreement, 0 as by chance; over the candidates that all "
        "raters scored. The standard deviation is that of one score about an image's mean, over all images.",
        ("raters", "images all scored", "alpha", "s.d. of a score"),
        (cells,),
    )


def _raters(found: RaterFindings) -> PlainTable:
    gold = ""
    if found.n_gold < found.n_gold_wanted:
        gold = (
            f" Gold images: {found.n_gold} of the {found.n_gold_wanted} asked for; S(0) has no further image "
            "with a mask, or no mask that is plainly wrong for another image."
        )
    return PlainTable(
        "Raters",
        "Bias and inconsistency in scores, with standard errors. Repeats and gold images right within one "
        "score. What stands out says its threshold, and is more than chance explains. BT.500 needs 8 raters. "
        f"Nobody was left out.{gold}",
        (
            "person",
            "scores",
            "bias",
            "inconsistency",
            "repeats",
            "gold",
            "rank correlation",
            "out of domain",
            "BT.500",
            "stands out",
        ),
        tuple(map(_rater_cells, found.raters)),
    )


def _rater_cells(row: Row) -> tuple[str, ...]:
    return (
        row["rater"],
        str(row["n_scores"]),
        _with_error(row["bias"], row["bias_error"], "+.2f"),
        _with_error(row["inconsistency"], row["inconsistency_error"], ".2f"),
        _share(row["self_consistency"], row["n_repeats"]),
        _share(row["gold_accuracy"], row["n_gold"]),
        _number(row["rank_correlation"]),
        _share(row["out_of_domain_rate"], None),
        _bt500(row),
        row["flags"] or "nothing",
    )


def _bt500(row: Row) -> str:
    if row["bt500_outside"] is None:
        return "–"
    return f"{row['bt500_outside']} outside" + (", would be left out" if row["bt500_rejected"] else "")


def _number(value: float | None, form: str = ".2f") -> str:
    return "–" if value is None else f"{value:{form}}"


def _with_error(value: float | None, error: float | None, form: str) -> str:
    return _number(value, form) + ("" if value is None or error is None else f" ± {error:.2f}")


def _share(value: float | None, count: int | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0%}" + ("" if count is None else f" of {count}")


def _score(row: Row) -> str:
    return "out of domain" if row["out_of_domain"] else str(row["score"])
