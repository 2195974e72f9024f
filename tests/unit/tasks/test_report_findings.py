"""What the report says in words: sizes, what was cut short and why, what it cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.schema import Campaign
from tasks.report_findings import (
    RoundRows,
    cut_short_tables,
    headline,
    summary,
)
from tasks.report_selection import selection_tables
from tasks.score_tables import Scores
from tests.lib.written_campaigns import campaign_of

Row = dict[str, Any]


def _answer(person: str, state: str = "valid", seconds: float | None = 30.0) -> Row:
    return {"rater": person, "state": state, "seconds": seconds}


def _drawing(person: str, state: str = "valid", seconds: float | None = 120.0) -> Row:
    return {"annotator": person, "state": state, "seconds": seconds}


ROUND = RoundRows(
    number=1,
    closing=False,
    engines=[
        {"model": "target", "engine": "onnxruntime", "agreement": 0.99995, "n_images": 16, "reason": ""},
        {"model": "rival", "engine": "own", "agreement": None, "n_images": 16, "reason": "no such operator"},
    ],
    images=[{"dataset": name} for name in ("pool", "pool", "pool", "training")],
    rejects=[{"stage": "pool", "item": "x.png", "reason": "damaged"}],
    candidates=[
        {"image_id": "a", "competitor": "rival", "side": "target", "class_name": "disc"},
        {"image_id": "a", "competitor": "rival", "side": "competitor", "class_name": "square"},
        {"image_id": "b", "competitor": "rival", "side": "target", "class_name": "disc"},
    ],
    order=[{"image_id": name, "rests_on_specks": name == "a"} for name in "abcdefghi"],
    selection=[{"competitor": "rival", "n_images": 3, "n_undefined": 1, "n_equal": 0}],
    windows=[
        {"class_name": "disc", "low": 0.1, "high": 0.25, "n_masks": 9},
        {"class_name": "square", "low": None, "high": None, "n_masks": 3},
    ],
    shortfalls=[{"competitor": "rival", "side": "target", "class_name": "disc", "wanted": 4, "got": 1}],
    ratings=[
        {"image_id": "a", "mean_opinion_score": 2.0, "n_ratings": 3, "out_of_domain": False},
        {"image_id": "b", "mean_opinion_score": 3.0, "n_ratings": 3, "out_of_domain": False},
        {"image_id": "c", "mean_opinion_score": None, "n_ratings": 1, "out_of_domain": True},
    ],
    test_set=[{"image_id": "b"}],
    failures=[{"image_id": "a"}],
    answers=[],
    trials=[],
)


@pytest.fixture
def campaign(tmp_path: Path) -> Campaign:
    """One competitor; T of at most 2 images, S of at most 1."""
    return campaign_of(tmp_path, test_set={"size": 2}, failures={"size": 1})


def test_the_headline_counts_what_the_round_made() -> None:
    facts = {fact.label: (fact.value, fact.note) for fact in headline(ROUND)}
    assert facts["|D| pool"][0] == "3"
    assert facts["|M| candidates"] == ("9", "3 reasons")
    assert facts["ratings"] == ("7", "1 image(s) out of domain")
    assert facts["mean opinion score"][0] == "2.50"
    assert facts["|S| failures"][0] == "1"
    assert "|S| failures" not in {fact.label for fact in headline(replace(ROUND, closing=True))}
    nobody = {fact.label: fact.value for fact in headline(replace(ROUND, ratings=[]))}
    assert nobody["mean opinion score"] == "none"


def test_reasons_are_counted_with_how_many_of_them_led_to_failures() -> None:
    checks, engines, reasons, windows, short = selection_tables(ROUND)
    assert checks.rows[0][1] == "1 of 9"
    assert checks.rows[1] == ("rival: images without a defined discrepancy", "1 of 3")
    assert engines.rows == (
        ("target", "ONNX Runtime", "99.9950%", "16", ""),
        ("rival", "its own", "", "16", "no such operator"),
    )
    assert reasons.rows == (("rival", "competitor", "1", "1"), ("rival", "target", "2", "1"))
    assert windows.rows == (("disc", "0.1000", "0.2500", "9"), ("square", "none", "none", "3"))
    assert short.rows == (("rival", "target", "disc", "4", "1"),)


def test_a_set_smaller_than_asked_for_is_said_so_with_the_reason(campaign: Campaign) -> None:
    (cut, rejects, aside, deleted) = cut_short_tables(campaign, ROUND)
    assert [row[:3] for row in cut.rows] == [("T", "2", "1")]
    assert "at most 4 images per main class" in cut.rows[0][3]
    assert rejects.rows == (("pool", "x.png", "damaged"),)
    assert aside.rows == deleted.rows == ()
    none = replace(ROUND, failures=[])
    assert [row[:3] for row in cut_short_tables(campaign, none)[0].rows][1] == ("S", "1", "0")
    assert len(cut_short_tables(campaign, replace(none, closing=True))[0].rows) == 1


@pytest.mark.parametrize(
    ("below", "reason"),
    [
        (2.5, "mean opinion score below 2.5 and at most 50% of what remains"),
        (None, "at most 50% of what remains"),
    ],
)
def test_the_bound_of_failures_is_named_only_where_there_is_one(
    tmp_path: Path, below: float | None, reason: str
) -> None:
    campaign = campaign_of(tmp_path, failures={"size": 5, "failure_below": below}, test_set={"size": 1})
    assert [row[3] for row in cut_short_tables(campaign, ROUND)[0].rows] == [reason]


def test_answers_that_do_not_count_are_listed_by_person_and_reason(campaign: Campaign) -> None:
    answers = [_answer("x", "skipped"), _answer("x", "skipped"), _answer("y"), _answer("y", "empty")]
    rows = replace(
        ROUND, answers=[*answers, _drawing("z", "malformed: size"), {"checker": "c", "state": "skipped"}]
    )
    assert cut_short_tables(campaign, rows)[2].rows == (
        ("y", "empty", "1"),
        ("z", "malformed: size", "1"),
        ("c", "skipped", "1"),
        ("x", "skipped", "2"),
    )


def test_deleted_answers_are_listed_apart_from_those_that_do_not_count(campaign: Campaign) -> None:
    rows = replace(ROUND, answers=[_answer("x", "deleted"), _drawing("z", "deleted"), _answer("x")])
    *_, aside, deleted = cut_short_tables(campaign, rows)
    assert aside.rows == ()
    assert deleted.rows == (("x", "1"), ("z", "1"))


def test_the_summary_says_how_the_scores_changed(campaign: Campaign) -> None:
    facts = {"metric": "iou", "class_name": "mean", "n_images": 3}
    scores = Scores(
        [
            facts | {"model_version": model, "test_set": test_set, "part": part, "value": value}
            for model, test_set, part, value in (
                ("target", "T(0)", "reporting", 0.8),
                ("target-v1", "T(0)", "reporting", 0.79),
                ("target", "T(1)", "all", 0.2),
                ("target-v1", "T(1)", "all", 0.45),
            )
        ]
    )
    sentences = summary(campaign, ROUND, scores, 2)
    assert "1 competitors and target disagreed most on 9 of 3 pool images" in sentences[0]
    assert "1 failures and 1 test images" in sentences[1]
    assert "from 0.800 (target) to 0.790 (target-v1): -0.010" in sentences[2]
    assert "mined test set T(1), mIoU went from 0.200 (target) to 0.450 (target-v1): +0.250" in sentences[3]
    closing = summary(campaign, replace(ROUND, closing=True), scores, 1)
    assert len(closing) == 3, "one version alone has not changed"
    assert "contain square" in closing[2]


def test_a_class_that_no_model_finds_is_named(campaign: Campaign) -> None:
    unseen = replace(ROUND, candidates=[row for row in ROUND.candidates if row["class_name"] == "disc"])
    sentences = summary(campaign, unseen, Scores([]), 2)
    assert any("no image was chosen for square" in line for line in sentences)
