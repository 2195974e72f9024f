"""The stage on raters: what a round's answers say about who gave them, and how the report shows it."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from tasks.artifacts import ArtifactRef
from tasks.core.records import PANEL, RATERS, RATINGS
from tasks.label_studio_projects import RemadeProject
from tasks.pseudonyms import Pseudonyms
from tasks.raters import panel_row, rater_rows, screen_round_raters
from tasks.ratings import collect_late_ratings
from tasks.report_raters import RaterFindings, rater_findings, rater_tables
from tests.lib.fake_label_studio import FakeLabelStudio
from tests.lib.rating_rounds import RatingRound, rating_round

RATERS_OF_THE_PANEL = ("ann", "ben", "cleo")


def answers_of(**scores: list[int]) -> list[dict[str, Any]]:
    """Rows of `rated_answers`: each rater's scores of the candidates, in the same order."""
    return [
        {
            "image_id": f"i{number:02d}", "map_digest": "m", "rater": rater, "repeat": 0, "score": score,
            "out_of_domain": score == 0, "expected_score": None, "counts": True,
        } | ({"score": None} if score == 0 else {})
        for rater, given in scores.items()
        for number, score in enumerate(given)
    ]  # fmt: skip


def test_agreement_is_that_on_candidates_which_all_raters_scored() -> None:
    rows = answers_of(a=[1, 5, 3, 0], b=[1, 5, 3, 2])
    assert panel_row(rows) == {
        "n_raters": 2,
        "n_images": 3,
        "alpha": 1.0,
        "rater_variance": 0.0,
        "degrees": 3,
    }


def test_repeats_and_gold_judge_the_rater_and_not_the_agreement() -> None:
    first = answers_of(a=[1, 5, 3, 4], b=[1, 5, 3, 4])
    again = [row | {"repeat": 1, "score": 5, "counts": False} for row in first[:1]]
    gold = [
        row | {"image_id": "g", "expected_score": 5, "score": score, "counts": False}
        for row, score in ((first[0], 4), (first[4], 1))
    ]
    ann, ben = rater_rows([*first, *again, *gold])
    assert (ann["rater"], ann["self_consistency"], ann["n_repeats"]) == ("a", 0.0, 1)
    assert (ann["gold_accuracy"], ben["gold_accuracy"]) == (1.0, 0.0), "right within one score"
    assert (ben["self_consistency"], ben["n_repeats"], ben["n_gold"]) == (None, 0, 1)
    assert (ann["bt500_outside"], ann["bt500_rejected"]) == (None, None), "fewer than eight raters"
    assert panel_row([*first, *again, *gold])["alpha"] == 1.0


@pytest.fixture
def judged(tmp_path: Path, service: FakeLabelStudio) -> RatingRound:
    """A closed round whose raters were looked at; one answer came late."""
    rating = rating_round(tmp_path, ratings={"raters": list(RATERS_OF_THE_PANEL), "gold_share": 0.4})
    rating.request()
    for need in rating.needs:
        service.rate(need, str(1 + int(need.image_id[:2], 16) % 5))
    screen_round_raters.fn(rating.round, rating.closed())
    service.clock += datetime.timedelta(days=7)
    service.rate(rating.candidates_of("ann")[0], "ood")
    collect_late_ratings.fn(rating.round, rating.settings)
    return rating


def test_the_stage_keeps_a_row_per_rater_and_one_for_the_panel(judged: RatingRound) -> None:
    ref = screen_round_raters.fn(judged.round, judged.closed())
    store = judged.round.open_store()
    assert isinstance(ref, ArtifactRef)
    assert [row["rater"] for row in store.rows(ref, RATERS)] == list(RATERS_OF_THE_PANEL)
    (panel,) = store.rows(ref, PANEL)
    assert (panel["n_raters"], panel["n_images"], panel["alpha"]) == (3, 6, 1.0)


def test_a_mean_opinion_score_has_its_interval(judged: RatingRound) -> None:
    rows = judged.round.open_store().rows(judged.closed(), RATINGS)
    assert all(row["low"] == row["mean_opinion_score"] == row["high"] for row in rows), "all agree"


def test_the_report_has_pseudonyms_late_answers_and_missing_gold(judged: RatingRound) -> None:
    found = rater_findings(judged.round)
    agreement, raters, late, remade = rater_tables(found)
    called = Pseudonyms(judged.round.open_store()).of("ann")
    assert agreement.rows == (("3", "6", "1.00", "0.00"),)
    assert called in {row[0] for row in raters.rows}
    assert not {row[0] for row in raters.rows} & set(RATERS_OF_THE_PANEL)
    assert "Gold images: 1 of the 3 asked for" in raters.caption
    assert [(row[0], row[2]) for row in late.rows] == [(called, "out of domain")]
    assert remade.rows == ()


def test_what_is_not_known_is_a_dash_and_flags_are_said() -> None:
    row = {
        "rater": "person-k7f2", "n_scores": 12, "bias": 1.04, "bias_error": 0.1, "inconsistency": None,
        "inconsistency_error": None, "self_consistency": None, "n_repeats": 0, "gold_accuracy": 0.5,
        "n_gold": 4, "rank_correlation": None, "out_of_domain_rate": 0.25, "bt500_outside": 3,
        "bt500_rejected": True, "flags": "scores lie +1.04 from the panel's median",
    }  # fmt: skip
    panel = {"n_raters": 1, "n_images": 0, "alpha": None, "rater_variance": None, "degrees": 0}
    remade = [RemadeProject("rating", "person-k7f2", (3, 9))]
    agreement, raters, late, projects = rater_tables(RaterFindings(panel, [row], [], remade, 2, 2))
    assert agreement.rows == (("1", "0", "–", "–"),)
    assert raters.rows == (
        (
            "person-k7f2", "12", "+1.04 ± 0.10", "–", "–", "50% of 4", "–", "25%",
            "3 outside, would be left out", "scores lie +1.04 from the panel's median",
        ),
    )  # fmt: skip
    assert "asked for" not in raters.caption
    assert late.rows == ()
    assert projects.rows == (("rating", "person-k7f2", "3, 9"),)
