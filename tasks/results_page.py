"""The results of a campaign as one Markdown page, from the records alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from configs.schema import Campaign
from tasks.report_findings import (
    RoundRows,
    cost_rows,
    cost_table,
    cut_short_tables,
    headline,
    summary,
)
from tasks.report_masks import mask_tables
from tasks.report_page import PlainTable, ScoreTable
from tasks.report_selection import selection_tables
from tasks.run_log import RunNote
from tasks.score_tables import Scores, class_table, matrix_table
from tasks.stage_times import StageTime

FEW_GROUPS = 10  # below this many scenes a set says little about images from elsewhere
_UNLISTED = ("Rejected images",)  # names of files stay in the round's report

Row = dict[str, Any]


@dataclass(frozen=True)
class RoundResult:
    """A round that has ended: its records, and how long its stages took."""

    rows: RoundRows
    times: tuple[StageTime, ...]


def results_page(
    campaign: Campaign, rounds: Sequence[RoundResult], score_rows: Sequence[Row], runs: Sequence[RunNote]
) -> str:
    """The page.

    Args:
        campaign: the stored campaign.
        rounds: its rounds that have ended, in order; at least one.
        score_rows: rows of `scores` of the last of them.
        runs: notes of the campaign's runs; none if it was run before such notes were taken.
    """
    last, scores = rounds[-1].rows, Scores(score_rows)
    versions = last.number + (0 if last.closing or not last.trials else 1)
    parts = [
        f"# Results: {campaign.name}",
        f"Written by `madloop results {campaign.name}` from the store alone.",
        "## What was run",
        _table(("", ""), _run_facts(campaign, rounds, runs)),
        "## What came of it",
        _listed(summary(campaign, last, scores, versions)),
        "## Rounds",
        _rounds_table(rounds),
        "## mIoU of every version and competitor on every test set",
        score_markdown(matrix_table(campaign, scores, versions)),
        "## IoU per class, before and after",
        score_markdown(class_table(campaign, scores, versions)),
    ]
    for result in rounds:
        parts += _round_parts(campaign, result)
    parts += ["## To keep in mind", _listed(remarks(score_rows, runs))]
    return "\n\n".join(parts) + "\n"


def score_markdown(table: ScoreTable) -> str:
    """A table of scores, with three decimals; a dash where there is none, and what the dash means."""
    rows = [(row.name, *map(_score, row.cells)) for row in table.rows]
    dash = f" `-`: {table.none_note}." if any("-" in row[1:] for row in rows) else ""
    return f"{table.caption.rstrip('.')}.{dash}\n\n{_table(('', *table.column_headers), rows)}"


def plain_markdown(table: PlainTable) -> str:
    """A table of text under its title."""
    body = _table(table.columns, table.rows) if table.rows else table.if_empty
    return f"**{table.title}.** {table.caption}\n\n{body}"


def remarks(score_rows: Iterable[Row], runs: Sequence[RunNote]) -> list[str]:
    """What a reader should know before trusting the figures; all of it follows from the records."""
    sentences = []
    sizes = {(r["test_set"], r["part"]): (r["n_images"], r["n_groups"]) for r in score_rows}
    for (test_set, part), (images, groups) in sorted(sizes.items()):
        if groups < FEW_GROUPS and not (test_set == "T(0)" and part == "all"):
            sentences.append(
                f"{test_set} ({part}) has {images} images of {groups} scenes. So few scenes say little about "
                "images from elsewhere, and small differences may be chance."
            )
    if len({test_set for test_set, _ in sizes}) > 2:
        sentences.append("T(1), T(2) and so on are different images: compare within a column, not across.")
    sentences += [
        "Mined test sets are drawn from images on which models disagree: harder than random images.",
        "No control arm was run: how much of a change comes from the new labels is not known from this.",
        "There are no confidence intervals.",
    ]
    if any(run.annotators == "simulated" for run in runs):
        sentences.append(
            "Ratings and masks come from simulated people who know the truth; real people are slower and err "
            "otherwise."
        )
    return sentences


def _run_facts(
    campaign: Campaign, rounds: Sequence[RoundResult], runs: Sequence[RunNote]
) -> list[tuple[str, str]]:
    people = " and ".join(sorted({run.annotators for run in runs})) or "not noted in the store"
    seconds = [time.seconds or 0.0 for result in rounds for time in result.times]
    return [
        ("campaign", f"{campaign.name}, seed {campaign.seed}"),
        ("target", campaign.target.name),
        ("competitors", ", ".join(c.name for c in campaign.competitors)),
        ("classes", ", ".join(campaign.classes.names)),
        ("n3 (quota)", str(campaign.candidates.quota)),
        ("T and S at most", f"{campaign.test_set.size} and {campaign.failures.size}"),
        ("raters", f"{len(campaign.ratings.raters)}, {people}"),
        ("annotators", f"{len(campaign.masks.annotators)}, {people}"),
        ("begun", runs[0].started_at[:10] if runs else "not noted in the store"),
        *(tuple((f"{name}", fact) for name, fact in runs[-1].machine.items()) if runs else ()),
        ("time in all", f"{sum(seconds) / 60:.1f} minutes"),
    ]


def _rounds_table(rounds: Sequence[RoundResult]) -> str:
    columns = [headline(result.rows) for result in rounds]
    labels = list(dict.fromkeys(fact.label for facts in columns for fact in facts))
    cells = [{fact.label: fact.value for fact in facts} for facts in columns]
    rows = [(label, *(column.get(label, "-") for column in cells)) for label in labels]
    rows.append(("rejected files", *(str(len(result.rows.rejects)) for result in rounds)))
    names = (f"round {r.rows.number}{' (closing)' if r.rows.closing else ''}" for r in rounds)
    return _table(("", *names), rows)


def _round_parts(campaign: Campaign, result: RoundResult) -> list[str]:
    rows = result.rows
    tables = [
        *selection_tables(rows),
        *(table for table in cut_short_tables(campaign, rows) if table.title not in _UNLISTED),
        *mask_tables(rows.masks),
        cost_table(cost_rows(rows)),
        _trials_table(rows),
        _times_table(result.times),
    ]
    return [f"## Round {rows.number}{' (closing)' if rows.closing else ''}", *map(plain_markdown, tables)]


def _trials_table(rows: RoundRows) -> PlainTable:
    trials = ((t["learning_rate"], t["tuning_miou"], t["chosen"]) for t in rows.trials)
    return PlainTable(
        "Learning rates",
        "mIoU on the tuning half of T(0), which chose the version.",
        ("rate", "mIoU", "chosen"),
        tuple((f"{rate:g}", _score(miou), "yes" if chosen else "") for rate, miou, chosen in trials),
        "Nothing was fine-tuned.",
    )


def _times_table(times: Sequence[StageTime]) -> PlainTable:
    return PlainTable(
        "Time of the stages",
        "Seconds since the stage before was finished or the run began. Waiting for people counts, the time "
        "between two runs does not.",
        ("stage", "seconds"),
        tuple((t.stage, "made before" if t.seconds is None else f"{t.seconds:.0f}") for t in times),
    )


def _score(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def _listed(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    """Text that cannot leave its cell."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
