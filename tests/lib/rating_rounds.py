"""The rating stages of a round as a run calls them, without Prefect around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from configs.settings import Settings, load_settings
from tasks.answer_log import read_log
from tasks.artifacts import ArtifactRef
from tasks.core.rating_needs import RatingNeed, needs_in
from tasks.core.records import ANSWERS, RATED_ANSWERS, RATING_PLAN
from tasks.errors import Waiting
from tasks.rating_plan import plan_ratings
from tasks.ratings import RatingSources, collect_ratings, request_ratings
from tasks.rounds import Round, require
from tests.lib.played_rounds import mined_round

Row = dict[str, Any]


class RatingRound:
    """A mined round that is to be rated."""

    def __init__(self, mined: Round, settings: Settings) -> None:
        self.round = mined
        self.settings = settings
        pool, maps = require(self.round, "pool"), require(self.round, "maps")
        plan = plan_ratings.fn(self.round, pool, maps)
        self.sources = RatingSources(pool, maps, require(self.round, "candidates"), plan)

    @property
    def needs(self) -> list[RatingNeed]:
        """All that the plan has."""
        return needs_in(self.round.open_store().rows(self.sources.plan, RATING_PLAN))

    @property
    def candidates(self) -> list[RatingNeed]:
        """Those that count: first ratings of candidates."""
        rows = self.round.open_store().rows(self.sources.plan, RATING_PLAN)
        return needs_in(r for r in rows if r["repeat"] == 0 and r["expected_score"] is None)

    def candidates_of(self, rater: str) -> list[RatingNeed]:
        """One rater's candidates."""
        return [need for need in self.candidates if need.rater == rater]

    def request(self) -> dict[str, int]:
        """Ask people; project id by rater."""
        return dict(request_ratings.fn(self.round, self.settings, self.sources))

    def collect(self) -> ArtifactRef | Waiting:
        """Look what they answered."""
        return collect_ratings.fn(self.round, self.settings, "target", self.sources)

    def closed(self) -> ArtifactRef:
        """The ratings; everybody must have answered."""
        ratings = self.collect()
        assert isinstance(ratings, ArtifactRef), ratings
        return ratings

    def rated(self) -> dict[RatingNeed, Row]:
        """The answers that were used, once everybody has answered."""
        rows = self.round.open_store().rows(self.closed(), RATED_ANSWERS)
        return dict(zip(needs_in(rows), rows, strict=True))

    def log(self, *states: str) -> list[Row]:
        """Rows of the log, all or those of some states."""
        rows = read_log(self.round, ANSWERS)
        return [row for row in rows if not states or row["state"] in states]


def rating_round(root: Path, **changes: Any) -> RatingRound:
    """Such a round of six candidates below `root`, where no service is known."""
    return RatingRound(mined_round(root, **changes), load_settings({"MADLOOP_HOME": str(root / "home")}))
