"""The page of results: every figure from the records, honest remarks, no place of a machine."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from configs.schema import Campaign
from configs.settings import CHECKOUT
from flows.__main__ import madloop
from tasks.artifacts import ArtifactStore
from tasks.core.costs import Cost
from tasks.machine import machine_facts
from tasks.report_findings import RoundRows
from tasks.results_page import RoundResult, remarks, results_page
from tasks.run_log import RunNote, note_run, runs_of
from tasks.stage_times import StageTime, stage_times
from tests.lib.played_rounds import played_round
from tests.lib.written_campaigns import campaign_of

RUN = RunNote("2026-01-01T10:00:00+00:00", "simulated", {"processor": "a|b", "commit": "abc"})


def score_rows(n_groups: int = 3) -> list[dict[str, Any]]:
    """Scores of two versions and a competitor on T(0) and T(1)."""
    rows = []
    for model, value in (("target", 0.5), ("target-v1", 0.625), ("rival", 0.25)):
        for test_set, part in (("T(0)", "tuning"), ("T(0)", "reporting"), ("T(0)", "all"), ("T(1)", "all")):
            facts = {
                "model_version": model,
                "test_set": test_set,
                "part": part,
                "metric": "iou",
                "n_images": 8,
            }
            rows.append(facts | {"class_name": "mean", "value": value, "n_groups": n_groups})
            rows.append(facts | {"class_name": "disc", "value": value / 2, "n_groups": n_groups})
    return rows


def result() -> RoundResult:
    """A finished round."""
    rows = RoundRows(
        number=1,
        closing=False,
        engines=[],
        images=[{"dataset": "pool"}] * 12,
        rejects=[{"stage": "pool", "item": "x.png", "reason": "/somewhere/x.png is damaged"}],
        candidates=[{"image_id": "a", "competitor": "rival", "side": "target", "class_name": "disc"}],
        order=[{"image_id": "a", "rests_on_specks": False}],
        windows=[{"class_name": "disc", "low": None, "high": None, "n_masks": 3}],
        shortfalls=[{"competitor": "rival", "side": "target", "class_name": "disc", "wanted": 4, "got": 1}],
        selection=[{"competitor": "rival", "n_images": 12, "n_undefined": 2, "n_equal": 0}],
        ratings=[{"image_id": "a", "mean_opinion_score": 2.5, "n_ratings": 2, "out_of_domain": False}],
        test_set=[{"image_id": "b"}],
        failures=[{"image_id": "a"}],
        answers=[{"rater": "ann", "state": "valid", "seconds": 90.0}],
        costs=[asdict(Cost("ratings", "ann", 1, 0, 90.0, 90.0, None))],
        trials=[{"learning_rate": 1e-4, "tuning_miou": 0.61, "final_loss": 0.2, "chosen": True}],
    )
    return RoundResult(rows, (StageTime("pool", 30.0), StageTime("maps", None), StageTime("scores", 90.0)))


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    """One competitor, three classes."""
    return campaign_of(tmp_path)


def test_the_page_has_the_sizes_the_scores_and_the_times(campaign: Campaign, tmp_path: Path) -> None:
    page = results_page(campaign, [result()], score_rows(), [RUN])
    lines = page.splitlines()
    assert lines[0] == "# Results: small"
    for line in (
        "| \\|D\\| pool | 12 |",
        "| \\|M\\| candidates | 1 |",
        "| \\|S\\| failures | 1 |",
        "| rejected files | 1 |",
        "| target-v1 | 0.625 | 0.625 | 0.625 |",
        "| disc | 0.250 | 0.312 | 0.250 | 0.312 |",
        "| rival | target | disc | 4 | 1 |",
        "| ratings | ann | 1 | 0 | 1.5 | 1.5 | - |",
        "| ratings | 1 | 0 | 0.03 | 0.03 | - | 90.0 s a rating |",
        "| a confirmed failure |  |  |  | 0.03 | - | 1 of them |",
        "| 0.0001 | 0.610 | yes |",
        "| maps | made before |",
        "| time in all | 2.0 minutes |",
        "| processor | a\\|b |",
    ):
        assert line in lines, line
    assert "mIoU went from 0.500 (target) to 0.625 (target-v1): +0.125." in page
    assert str(tmp_path) not in page
    assert "somewhere" not in page, "no places of files"


def test_every_table_is_whole(campaign: Campaign) -> None:
    width = None
    for line in results_page(campaign, [result()], score_rows(), [RUN]).splitlines():
        cells = len(re.split(r"(?<!\\)\|", line)) if line.startswith("|") else None
        assert None in (cells, width) or cells == width, line
        width = cells


def test_remarks_follow_from_the_records() -> None:
    few, many = remarks(score_rows(3), [RUN]), remarks(score_rows(30), [])
    assert "T(1) (all) has 8 images of 3 scenes. So few scenes say little about" in " ".join(few)
    assert any("simulated people" in sentence for sentence in few)
    assert not any("scenes" in sentence or "simulated" in sentence for sentence in many)


def test_times_leave_out_the_hours_between_two_runs() -> None:
    ends = {
        "pool": "2026-01-01T10:00:10+00:00",
        "maps": "2026-01-01T10:01:10+00:00",
        "ratings": "2026-01-02T08:00:05+00:00",
    }
    starts = ["2026-01-02T08:00:00+00:00", "2026-01-01T10:00:00+00:00"]
    assert stage_times(ends, starts) == [
        StageTime("pool", 10.0),
        StageTime("maps", 60.0),
        StageTime("ratings", 5.0),
    ]
    assert stage_times(ends, starts[:1])[:2] == [StageTime("pool", None), StageTime("maps", None)]
    assert stage_times(ends, [])[:2] == [StageTime("pool", None), StageTime("maps", 60.0)]


def test_the_first_stage_of_a_later_round_begins_when_the_round_before_ended() -> None:
    ends, starts = {"pool": "2026-01-01T10:05:10+00:00"}, ["2026-01-01T10:00:00+00:00"]
    assert stage_times(ends, starts, "2026-01-01T10:05:00+00:00") == [StageTime("pool", 10.0)]


def test_a_run_is_noted_and_read_back(tmp_path: Path) -> None:
    store = ArtifactStore.at(tmp_path)
    facts = machine_facts(CHECKOUT)
    note_run(store, "small", simulated=True, machine=facts)
    note_run(store, "small", simulated=False, machine=facts)
    assert [run.annotators for run in runs_of(store, "small")] == ["simulated", "human"]
    assert runs_of(store, "small")[0].machine == facts
    assert facts.keys() == {"processor", "memory", "system", "versions", "commit"}
    assert machine_facts(tmp_path)["commit"] == "unknown"


def test_without_a_finished_round_there_is_no_page(tmp_path: Path) -> None:
    played_round(tmp_path)
    page = tmp_path / "page.md"
    command = ["results", "small", "--to", str(page)]
    done = CliRunner().invoke(madloop, command, env={"MADLOOP_HOME": str(tmp_path)})
    assert done.exit_code == 4
    assert not page.exists()
