"""What people are asked for, before anybody is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.plan import PeopleWork, people_lines, people_work
from tests.lib.written_campaigns import campaign_of

RATINGS = {"raters": ["ann", "ben"], "repeat_share": 0.05, "gold_share": 0.03, "seconds_per_rating": 9}
MASKS = {"max_turns": 3, "double_share": 0.1, "seconds_per_mask": 200, "seconds_per_check": 20}


def test_repeats_gold_doubles_and_checks_are_planned(tmp_path: Path) -> None:
    campaign = campaign_of(tmp_path, ratings=RATINGS, masks=MASKS, costs={"price_per_hour": 40})
    work = people_work(campaign, 90)
    # 5 repeats and 3 gold images for each of two raters; T is 30 of 90, S half of the other 60
    assert work == PeopleWork(ratings=196, test=30, failures=30, doubles=6, turns=3)
    least, most = work.seconds(campaign.ratings, campaign.masks)
    assert least == 196 * 9 + 66 * 200 + 60 * 20
    assert most == 196 * 9 + (60 * 3 + 6) * 200 + 60 * 3 * 20
    assert people_lines(campaign, 90) == [
        "ratings              at most 196 (2 raters, repeats and gold included)  0.5 h of people",
        "masks                at most 60 (T 30, S 30), 6 of them drawn twice  3.7 h of people",
        "checks               60 if every mask is accepted at once  0.3 h of people",
        "people in all        4.5 h a round; 11.8 h if every mask takes 3 turns",
        "price                180 EUR a round",
    ]


def test_a_single_annotator_draws_nothing_twice(tmp_path: Path) -> None:
    alone = MASKS | {"annotators": ["zoe"], "checkers": ["yan"]}
    assert people_work(campaign_of(tmp_path, masks=alone), 90).doubles == 0


@pytest.mark.parametrize(("turns", "seconds"), [(0, (12_000, 12_000)), (1, (13_200, 13_200))])
def test_without_further_turns_there_is_one_figure(
    tmp_path: Path, turns: int, seconds: tuple[float, float]
) -> None:
    masks = MASKS | {"max_turns": turns, "double_share": 0}
    ratings = RATINGS | {"repeat_share": 0, "gold_share": 0}
    campaign = campaign_of(tmp_path, ratings=ratings, masks=masks)
    lines = people_lines(campaign, 90)
    rating_s = 180 * 9
    assert people_work(campaign, 90).seconds(campaign.ratings, campaign.masks) == (
        seconds[0] + rating_s,
        seconds[1] + rating_s,
    )
    assert lines[-1].endswith("h a round")
    assert any(line.startswith("checks") for line in lines) == (turns > 0)
    assert not any(line.startswith("price") for line in lines)
