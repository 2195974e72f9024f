"""The ledger of roles: what every image has been used for, and may therefore not be used for again."""

from __future__ import annotations

from typing import Any

from tasks.core.records import CANDIDATES, FAILURES, RATINGS, TEST_SETS
from tasks.rounds import Round, recall

Row = dict[str, Any]

_ROLES = (
    ("candidates", CANDIDATES, "candidate"),
    ("test_set", TEST_SETS, "test"),
    ("failures", FAILURES, "failure"),
)


def images_out_of_domain(round_: Round) -> set[str]:
    """Images declared out of domain in this round; empty while it has no ratings."""
    ref = recall(round_, "ratings")
    rows = [] if ref is None else round_.open_store().rows(ref, RATINGS)
    return {row["image_id"] for row in rows if row["out_of_domain"]}


def roles_until(round_: Round) -> list[Row]:
    """Rows of `roles` for all rounds up to this one: in M, T, S, or out of domain."""
    rows: dict[tuple[str, str], Row] = {}
    for number in range(1, round_.number + 1):
        earlier = round_.at(number)
        version = f"v{number - 1}"
        for stage, record, role in _ROLES:
            ref = recall(earlier, stage)
            for row in [] if ref is None else earlier.open_store().rows(ref, record):
                entry = {"image_id": row["image_id"], "role": role, "model_version": version} | earlier.labels
                rows.setdefault((row["image_id"], role), entry)
        for image_id in images_out_of_domain(earlier):
            entry = {"image_id": image_id, "role": "out_of_domain", "model_version": version} | earlier.labels
            rows.setdefault((image_id, "out_of_domain"), entry)
    return list(rows.values())


def excluded_images(round_: Round) -> list[str]:
    """Images that may not be candidates of this round: in any earlier S or T, or declared out of domain."""
    if round_.number == 1:
        return []
    barred = ("test", "failure", "out_of_domain")
    return sorted(
        {row["image_id"] for row in roles_until(round_.at(round_.number - 1)) if row["role"] in barred}
    )
