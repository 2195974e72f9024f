"""The report of a round as one HTML file that opens offline: pictures inside, no scripts, nothing fetched."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeGuard
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tasks.core.line_chart import line_chart

REPORT_FILE = "report.html"  # name in the store and in MLflow
CAMPAIGN_FILE = "campaign.json"  # the campaign beside it, without the names of people
TEMPLATE = "report_page.html.j2"
_LINE_COLOURS = ("#1f5fa8", "#c2571a", "#2e7d4f", "#8a3f9c", "#8a6d1a", "#4a5568")


@dataclass(frozen=True)
class Fact:
    """One headline number, as text, with a short note of what it means or is compared with."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class ScoreRow:
    """A row of scores; None or NaN where there is none."""

    name: str
    kind: Literal["target", "competitor", "class"]
    cells: tuple[float | None, ...]


@dataclass(frozen=True)
class ScoreTable:
    """Scores in [0, 1], shown to three decimals.

    Attributes:
        caption: what the rows and columns are.
        column_headers: one per cell of a row.
        rows: in the order shown.
        higher_is_better: which end of a column is the best.
        mark_best: whether the best of each column with two values or more is set in bold.
        none_note: what a dash in this table means.
        if_empty: what it means when there is no row.
    """

    caption: str
    column_headers: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    higher_is_better: bool = True
    mark_best: bool = True
    none_note: str = "there is no score for this pair"
    if_empty: str = "There are no scores yet: no test set of this campaign has all its masks."

    def __post_init__(self) -> None:
        _check_widths(self.caption, len(self.column_headers), [len(row.cells) for row in self.rows])


@dataclass(frozen=True)
class PlainTable:
    """Any other table, of text; `if_empty` says what it means when it has no row."""

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    if_empty: str = "Nothing to list."

    def __post_init__(self) -> None:
        _check_widths(self.title, len(self.columns), [len(row) for row in self.rows])


@dataclass(frozen=True)
class TrialRow:
    """One tried learning rate: mIoU on T(0)'s tuning half and mean loss, both at the last epoch."""

    learning_rate: float
    tuning_miou: float | None
    final_loss: float | None
    chosen: bool


@dataclass(frozen=True)
class Curve:
    """Mean training loss per epoch."""

    name: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class Picture:
    """A PNG or JPEG file and what it shows."""

    label: str
    content: bytes


@dataclass(frozen=True)
class Card:
    """One image of a gallery: `lines` say rating and why it was chosen, `pictures` are shown side by side."""

    image_id: str
    lines: tuple[str, ...]
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class ReportData:
    """Everything the report shows, as plain values.

    Attributes:
        campaign: name of the campaign.
        round_number: the round reported on, from 1.
        closing: whether this is the closing round, which adds a test set and no fine-tuning.
        created_at: ISO date and time, given by the caller so that the same report has the same bytes.
        target: name of the target model.
        competitors: names of the competitors.
        summary: plain sentences, shown first.
        headline: the few numbers to remember.
        table1: competitors and target versions against test sets, in the form of the paper's Table 1.
        matrix: every target version on every test set.
        class_table: IoU per class.
        trials: learning rates tried, empty if nothing was fine-tuned.
        loss_curves: one per trial.
        gallery_failures: the images of S.
        gallery_test: the images of T.
        how_chosen: tables on how M came about (reasons per competitor and side, shortfalls, windows).
        cut_short: tables on what was cut short, rejected or set aside.
        people_and_cost: tables on who did how much.
        legend: class name and RGB colour (0..255) in the maps.
        links: label and address (http, https or relative) of further pages.
        config_yaml: the campaign file as it was run.
    """

    campaign: str
    round_number: int
    closing: bool
    created_at: str
    target: str
    competitors: tuple[str, ...]
    summary: tuple[str, ...]
    headline: tuple[Fact, ...]
    table1: ScoreTable
    matrix: ScoreTable
    class_table: ScoreTable
    trials: tuple[TrialRow, ...] = ()
    loss_curves: tuple[Curve, ...] = ()
    gallery_failures: tuple[Card, ...] = ()
    gallery_test: tuple[Card, ...] = ()
    how_chosen: tuple[PlainTable, ...] = ()
    cut_short: tuple[PlainTable, ...] = ()
    people_and_cost: tuple[PlainTable, ...] = ()
    legend: tuple[tuple[str, tuple[int, int, int]], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    config_yaml: str = ""

    def __post_init__(self) -> None:
        for label, address in self.links:
            if urlsplit(address.strip()).scheme.lower() not in ("http", "https", ""):
                raise ValueError(
                    f"`links` takes http, https or relative addresses, got {address!r} for {label!r}"
                )
        for name, colour in self.legend:
            if len(colour) != 3 or not all(0 <= int(part) <= 255 for part in colour):
                raise ValueError(f"`legend` needs RGB colours of 0..255, got {colour} for {name!r}")


@dataclass(frozen=True)
class _Cell:
    text: str
    share: float | None  # of the full width of the bar under the number, 0..1
    best: bool


def render_report(data: ReportData) -> str:
    """The report as the text of one self-contained HTML file.

    Args:
        data: what to show; every string is escaped.

    Raises:
        ValueError: a picture is neither PNG nor JPEG.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"score_rows": _score_rows, "data_uri": _data_uri, "score": _score}
    return environment.get_template(TEMPLATE).render(
        data=data,
        chart=line_chart({curve.name: curve.values for curve in data.loss_curves}),
        colours=_LINE_COLOURS,
    )


def _score_rows(table: ScoreTable) -> list[tuple[ScoreRow, list[_Cell]]]:
    """Rows with their cells as shown; cells that look the same are best together."""
    columns = list(zip(*(row.cells for row in table.rows), strict=True))
    best = [_best(table, column) for column in columns]
    return [
        (row, [_cell(value, top) for value, top in zip(row.cells, best, strict=True)]) for row in table.rows
    ]


def _best(table: ScoreTable, column: tuple[float | None, ...]) -> str | None:
    known = [value for value in column if _is_known(value)]
    if not table.mark_best or len(known) < 2:
        return None
    return _score(max(known) if table.higher_is_better else min(known))


def _cell(value: float | None, best: str | None) -> _Cell:
    if not _is_known(value):
        return _Cell(_score(value), None, best=False)
    text = _score(value)
    return _Cell(text, min(1.0, max(0.0, value)), best=text == best)


def _score(value: float | None) -> str:
    return f"{value:.3f}" if _is_known(value) else "–"


def _is_known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _data_uri(content: bytes) -> str:
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        kind = "png"
    elif content.startswith(b"\xff\xd8\xff"):
        kind = "jpeg"
    else:
        raise ValueError(
            f"a picture must be a PNG or JPEG file, got {len(content)} bytes starting {content[:8]!r}"
        )
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _check_widths(name: str, columns: int, widths: list[int]) -> None:
    for row, width in enumerate(widths):
        if width != columns:
            raise ValueError(f"table {name!r} has {columns} columns, but row {row} has {width} cells")
