"""The ledger: what was in an earlier S or T, or out of domain, is no candidate again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tasks.artifacts import Draft, StageKey
from tasks.core.records import CANDIDATES, FAILURES, RATINGS, TEST_SETS, Record
from tasks.ledger import excluded_images, roles_until
from tasks.rounds import Round, remember
from tests.lib.written_campaigns import round_of


def _made(round_: Round, stage: str, record: Record, rows: Iterable[dict[str, Any]]) -> None:
    def fill(draft: Draft) -> None:
        draft.write_table(record, [row | round_.labels for row in rows])

    key = StageKey(stage, 1, {"round": round_.number})
    remember(round_, stage, round_.open_store().make(key, fill))


def _played(round_: Round, images: str, test: str, failures: str, strangers: str) -> None:
    """A round in which the images (one letter each) took these roles."""
    _made(round_, "candidates", CANDIDATES, [{"image_id": i, "rank": n} for n, i in enumerate(images)])
    _made(round_, "ratings", RATINGS, [{"image_id": i, "out_of_domain": i in strangers} for i in images])
    _made(round_, "test_set", TEST_SETS, [{"image_id": i} for i in test])
    _made(round_, "failures", FAILURES, [{"image_id": i} for i in failures])


def test_the_first_round_excludes_nothing(tmp_path: Path) -> None:
    round_ = round_of(tmp_path)
    _played(round_, "abcd", "a", "b", "c")
    assert excluded_images(round_) == []


def test_all_earlier_rounds_count_and_mere_candidates_do_not(tmp_path: Path) -> None:
    first, second = round_of(tmp_path, 1), round_of(tmp_path, 2)
    _played(first, "abcd", "a", "b", "c")
    assert excluded_images(second) == ["a", "b", "c"]
    _played(second, "defg", "e", "f", "g")
    assert excluded_images(second) == ["a", "b", "c"], "a round's own sets change nothing in it"
    assert excluded_images(second.at(3)) == list("abcefg")


def test_the_ledger_names_every_role_with_the_version_it_was_mined_with(tmp_path: Path) -> None:
    first, second = round_of(tmp_path, 1), round_of(tmp_path, 2)
    _played(first, "ab", "a", "", "b")
    _played(second, "ac", "", "c", "")
    roles = {
        (row["image_id"], row["role"]): (row["model_version"], row["round"]) for row in roles_until(second)
    }
    assert roles == {
        ("a", "candidate"): ("v0", 1),
        ("b", "candidate"): ("v0", 1),
        ("a", "test"): ("v0", 1),
        ("b", "out_of_domain"): ("v0", 1),
        ("c", "candidate"): ("v1", 2),
        ("c", "failure"): ("v1", 2),
    }
