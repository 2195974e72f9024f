"""A rater at the real screen: ten images by the keyboard alone, and the ratings that come of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from configs.settings import Settings
from tasks.core.rating_needs import in_order
from tasks.core.records import RATINGS
from tasks.labelling import label_studio
from tasks.services.label_studio_answers import ParsedRating, parse_rating
from tests.lib.labelling_browser import Labeller
from tests.lib.rater_sessions import rater_session
from tests.lib.rating_rounds import RatingRound
from tests.lib.street_rounds import street_round

pytestmark = pytest.mark.services

KEYS = "5314205421"  # one of them out of domain
OTHERS = "3333303333"
MODELS = ("fcn-mobile", "unet-large")  # names that stand nowhere else on the page


@pytest.fixture
def rating(services: Settings, tmp_path: Path) -> RatingRound:
    """Ten images to be rated by two raters."""
    name = f"t{uuid.uuid4().hex[:6]}"
    target, rival = ({"kind": "smp_folder", "name": model, "path": f"models/{model}"} for model in MODELS)
    round_, _ = street_round(
        tmp_path,
        name,
        len(KEYS),
        ratings={"raters": [f"{name}-ann", f"{name}-ben"], "repeat_share": 0, "gold_share": 0},
        target=target,
        competitors=[rival],
    )
    return RatingRound(round_, services)


def test_ten_images_are_rated_with_the_keyboard_alone_and_the_artefact_holds_exactly_that(
    rating: RatingRound,
    services: Settings,
    at_the_screen: Callable[[str], Labeller],
    screenshot: Callable[[str], Path | None],
) -> None:
    ann, ben = rating.round.campaign.ratings.raters
    projects = rating.request()
    asked = in_order(rating.candidates_of(ann))
    with rater_session(services, ben, projects[ben]) as other:
        for need, key in zip(in_order(rating.candidates_of(ben)), OTHERS, strict=True):
            other.rate(need, "ood" if key == "0" else key)

    screen = at_the_screen(ann)
    assert "How good is the predicted segmentation?" in screen.start(projects[ann])
    for number, key in enumerate(KEYS, start=1):
        screen.see(3)
        assert not any(secret in screen.text for secret in (*MODELS, ben))
        screen.press(key)
        if number == 1:
            screen.keep_screenshot(screenshot("label-studio-rating"))
        screen.submit(is_last=number == len(KEYS))

    scores = [None if key == "0" else int(key) for key in KEYS]
    with label_studio(services) as service:
        answers = sorted(service.answers_since(projects[ann], None), key=lambda answer: answer.created_at)
    assert [ParsedRating(score, score is None) for score in scores] == [parse_rating(a) for a in answers]
    assert [need.key for need in asked] == [answer.key for answer in answers]

    used = rating.rated()
    assert scores == [used[need]["score"] for need in asked]
    assert [key == "0" for key in KEYS] == [used[need]["out_of_domain"] for need in asked]
    ratings = rating.round.open_store().rows(rating.closed(), RATINGS)
    theirs = dict(zip((need.image_id for need in in_order(rating.candidates_of(ben))), OTHERS, strict=True))
    mine = dict(zip((need.image_id for need in asked), KEYS, strict=True))
    for row in ratings:
        given = [mine[row["image_id"]], theirs[row["image_id"]]]
        assert [int(key) for key in given if key != "0"] == list(row["scores"])
        assert ("0" in given) == row["out_of_domain"]
