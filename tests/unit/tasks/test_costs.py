"""The cost ledger: every answer's time from the logs to the report, MLflow and the terminal."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from configs.people_sections import Costs
from flows.__main__ import madloop
from flows.status import cost_line
from tasks.answer_log import RATINGS_LOG, append_to_log, read_log
from tasks.core.costs import Cost, TimedAnswer
from tasks.core.records import ANSWERS, CHECKS, COSTS, DRAWINGS
from tasks.costs import cost_metrics, costs_of, n_confirmed_in, round_costs, timed_answers
from tasks.report import round_rows
from tasks.report_costs import cost_tables
from tasks.rounds import Round, require
from tasks.track import round_record
from tests.lib.played_rounds import played_round
from tests.lib.reported_rounds import reported_round
from tests.lib.written_campaigns import round_of

Row = dict[str, Any]


def answer(annotation: int, **changes: Any) -> Row:
    """A row of the log of ratings."""
    given = {
        "image_id": f"i{annotation}", "map_digest": "m", "rater": "ann", "repeat": 0, "score": 3,
        "annotation_id": annotation, "out_of_domain": False, "seconds": 10.0, "state": "valid",
        "submitted_at": "2026-01-01T10:00:00+00:00", "campaign": "small", "round": 1,
    }  # fmt: skip
    return given | changes


def timed(*rows: Row) -> list[float]:
    """Lead times of the answers among the rows."""
    return [a.seconds for a in timed_answers(rows, RATINGS_LOG)]


def test_an_edit_replaces_and_a_deletion_takes_nothing_back() -> None:
    later = {"submitted_at": "2026-01-01T11:00:00+00:00"}
    assert timed(answer(1), answer(1, seconds=25.0, **later)) == [25.0]
    assert timed(answer(1), answer(1, state="deleted", **later)) == [10.0]


def test_whatever_the_person_submitted_took_time_and_nothing_else_did() -> None:
    rows = [
        answer(1, repeat=1),
        answer(2, state="skipped", seconds=3.0),
        answer(3, state="malformed: no score", seconds=4.0),
        answer(4, state="foreign: [7], not the project's rater"),
    ]
    assert timed(*rows) == [10.0, 3.0, 4.0]
    assert math.isnan(timed(answer(1, seconds=None))[0])
    assert list(timed_answers([answer(1)], RATINGS_LOG)) == [TimedAnswer("ratings", "ann", 10.0)]


def test_the_ledger_has_all_three_kinds_of_work_of_its_own_round(tmp_path: Path) -> None:
    round_ = round_of(tmp_path, costs={"price_per_hour": 36.0})
    append_to_log(round_, ANSWERS, [answer(1), answer(2, round=2), answer(3, seconds=None)])
    drawing = {
        "image_id": "i", "role": "test", "start": "s", "annotator": "zoe", "mask_digest": "d",
        "seconds": 100.0, "submitted_at": "2026-01-02T10:00:00+00:00", "state": "valid",
    } | round_.labels  # fmt: skip
    append_to_log(round_, DRAWINGS, [drawing | {"annotation_id": number} for number in (11, 12)])
    check = {
        "image_id": "i", "role": "test", "mask_digest": "d", "checker": "ann", "annotation_id": 21,
        "accepted": True, "marks": "[]", "seconds": 20.0, "submitted_at": "2026-01-03T10:00:00+00:00",
        "state": "valid",
    } | round_.labels  # fmt: skip
    append_to_log(round_, CHECKS, [check])
    assert costs_of(round_costs(round_)) == [
        Cost("checks", "ann", 1, 0, 20.0, 20.0, pytest.approx(0.2)),
        Cost("masks", "zoe", 2, 0, 200.0, 200.0, 2.0),
        Cost("ratings", "ann", 2, 1, 10.0, 10.0, pytest.approx(0.1)),
    ]
    assert cost_line(round_) == (
        "time     0.06 h of people (checks 0.01 h, masks 0.06 h, ratings 0.00 h); 2.30 EUR; "
        "1 answer(s) without a time are not in this"
    )
    assert cost_line(round_.at(3)) is None


def test_a_reported_round_has_its_costs_in_the_store_the_report_and_mlflow(tmp_path: Path) -> None:
    round_, report = reported_round(tmp_path, costs=Costs(price_per_hour=36.0))
    store = round_.open_store()
    # Six candidates of 5 s by each of two raters, four masks of a minute, each checked in 20 s.
    assert costs_of(store.rows(report, COSTS)) == [
        Cost("checks", "zoe", 4, 0, 80.0, 80.0, pytest.approx(0.8)),
        Cost("masks", "yan", 4, 0, 240.0, 240.0, 2.4),
        Cost("ratings", "ann", 6, 0, 30.0, 30.0, pytest.approx(0.3)),
        Cost("ratings", "ben", 6, 0, 30.0, 30.0, pytest.approx(0.3)),
    ]
    page = store.path(report, "report.html").read_text(encoding="utf-8")
    assert "5.0 s a rating" in page
    assert "1.0 min a mask" in page
    n_failures = n_confirmed_in(round_)
    metrics = round_record(round_, require(round_, "scores"), report).metrics
    assert metrics["hours/masks"] == pytest.approx(240 / 3600)
    assert metrics["raw_hours/ratings"] == pytest.approx(60 / 3600)
    assert metrics["hours/all"] == pytest.approx(380 / 3600)
    assert n_failures > 0
    assert metrics["hours_per_confirmed_failure"] == pytest.approx(380 / 3600 / n_failures)
    assert metrics["money_per_confirmed_failure"] == pytest.approx(3.8 / n_failures)


def test_the_status_says_what_people_took_so_far(tmp_path: Path) -> None:
    played_round(tmp_path, has_masks=False)
    done = CliRunner().invoke(madloop, ["status", "small"], env={"MADLOOP_HOME": str(tmp_path)})
    # One of the two images of S is rated below 3.
    work = "0.11 h of people (checks 0.02 h, masks 0.07 h, ratings 0.02 h)"
    assert f"  time     {work}; 0.11 h a confirmed failure" in done.stdout


def rows_of(round_: Round, **changes: Any) -> Any:
    """The records of a reported round, some changed."""
    return replace(round_rows(round_, closing=False), **changes)


def test_the_tables_name_what_is_not_known(tmp_path: Path) -> None:
    round_, _ = reported_round(tmp_path, costs=Costs(currency="CHF"))
    unknown = {"stage": "ratings", "person": "ann", "n": 2, "n_unknown": 2, "money": None}
    rows = rows_of(round_, costs=[unknown | {"seconds": math.nan, "clipped_seconds": math.nan}])
    people, stages = cost_tables(round_.campaign, rows)
    assert people.columns[-1] == "CHF"
    assert people.rows == (("ratings", "ann", "2", "2", "unknown", "unknown", "-"),)
    assert stages.rows[0] == ("ratings", "2", "2", "unknown", "unknown", "-", "unknown s a rating")
    assert stages.rows[2][4] == "unknown"
    assert "below 3" in stages.caption


def test_a_closing_round_has_no_failures_and_no_price_of_one(tmp_path: Path) -> None:
    round_, _ = reported_round(tmp_path)
    _, stages = cost_tables(round_.campaign, rows_of(round_, closing=True, failures=[]))
    assert [row[0] for row in stages.rows] == ["checks", "masks", "ratings", "all"]
    nobody = cost_tables(round_.campaign, rows_of(round_, costs=[]))
    assert [table.rows for table in nobody] == [(), ()]


def test_without_a_failure_the_price_of_one_is_undefined() -> None:
    (metrics,) = [cost_metrics([], 0)]
    assert all(map(math.isnan, metrics.values()))
    assert "money_per_confirmed_failure" not in metrics


def test_the_log_is_left_as_it_is(tmp_path: Path) -> None:
    round_ = played_round(tmp_path)
    before = read_log(round_, ANSWERS)
    round_costs(round_)
    assert read_log(round_, ANSWERS) == before
