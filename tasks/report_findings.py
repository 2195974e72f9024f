"""What a round's report says in words and small tables, from the records alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from configs.model_specs import LabelMaps
from configs.schema import Campaign
from tasks.answer_log import DELETED, VALID, person_of
from tasks.core.sampling import largest_set
from tasks.report_masks import MaskRows
from tasks.report_page import Fact, PlainTable
from tasks.score_tables import Scores, version_names

Row = dict[str, Any]


@dataclass(frozen=True)
class RoundRows:
    """The records of one round that the report reads."""

    number: int
    closing: bool
    engines: list[Row]
    images: list[Row]
    rejects: list[Row]
    candidates: list[Row]
    order: list[Row]
    windows: list[Row]
    shortfalls: list[Row]
    selection: list[Row]
    ratings: list[Row]
    test_set: list[Row]
    failures: list[Row]
    answers: list[Row]
    trials: list[Row]
    masks: MaskRows = field(default_factory=MaskRows)
    costs: list[Row] = field(default_factory=list)

    @property
    def n_pool(self) -> int:
        """Images of the pool that could be read."""
        return sum(row["dataset"] == "pool" for row in self.images)


def headline(rows: RoundRows) -> tuple[Fact, ...]:
    """The sizes of everything the round made."""
    scored = [row["mean_opinion_score"] for row in rows.ratings if row["mean_opinion_score"] is not None]
    ood = sum(row["out_of_domain"] for row in rows.ratings)
    facts = [
        Fact("|D| pool", str(rows.n_pool), "images that could be read"),
        Fact("|M| candidates", str(len(rows.order)), f"{len(rows.candidates)} reasons"),
        Fact("ratings", str(sum(row["n_ratings"] for row in rows.ratings)), f"{ood} image(s) out of domain"),
        Fact(
            "mean opinion score",
            f"{np.mean(scored):.2f}" if scored else "none",
            "1 bad .. 5 excellent, over M",
        ),
        Fact("|T| test set", str(len(rows.test_set)), "drawn before S was cut"),
    ]
    if not rows.closing:
        facts.append(
            Fact(
                "|S| failures",
                str(len(rows.failures)),
                "labelled densely" + (" and trained on" if rows.trials else ""),
            )
        )
    return tuple(facts)


def summary(campaign: Campaign, rows: RoundRows, scores: Scores, versions: int) -> tuple[str, ...]:
    """The round in plain sentences."""
    names = version_names(campaign, versions)
    before, after = names[rows.number - 1 if campaign.repair else 0], names[-1]
    sentences = [
        (
            f"{len(campaign.competitors)} competitors and {before} disagreed most on "
            f"{len(rows.order)} of {rows.n_pool} pool images; these were rated by "
            f"{len(campaign.ratings.raters)} people."
        ),
    ]
    if rows.closing:
        sentences.append(
            f"The campaign's rounds have ended; {len(rows.test_set)} of these images were labelled as one "
            "more test set and nothing was trained on them."
        )
        change = _change(scores, names[0], names[-1], f"T({rows.number})")
        return (*sentences, *change, *_warnings(rows), *_not_judged(campaign, scores))
    trained = f"{after} was fine-tuned on all failures so far together with the original training set."
    sentences.append(
        f"{len(rows.failures)} failures and {len(rows.test_set)} test images were labelled pixel by pixel; "
        + (trained if campaign.repair else "nothing was fine-tuned, as the campaign's `repair: false` says.")
    )
    return (
        *sentences,
        *_change(scores, before, after, "T(0)"),
        *_change(scores, before, after, f"T({rows.number})"),
        *_warnings(rows),
        *_not_judged(campaign, scores),
    )


def _not_judged(campaign: Campaign, scores: Scores) -> tuple[str, ...]:
    """Models of finished label maps that have none for some image of a test set."""
    models = [spec.name for spec in (campaign.target, *campaign.competitors) if isinstance(spec, LabelMaps)]
    return tuple(
        f"{name} is not judged on {test_set}: it lacks a usable label map of at least one of its images."
        for name in models
        for test_set in scores.test_sets
        if not scores.is_judged(name, test_set)
    )


def _warnings(rows: RoundRows) -> tuple[str, ...]:
    """What a reader should know before trusting the selection."""
    warnings = []
    names = ", ".join(row["class_name"] for row in rows.windows if row["low"] is None)
    if names:
        warnings.append(
            f"Warning: fewer than 8 training masks contain {names}; objects of any size were searched for "
            "there, without an area window."
        )
    found = {row["class_name"] for row in rows.candidates}
    unseen = ", ".join(row["class_name"] for row in rows.windows if row["class_name"] not in found)
    if unseen:
        warnings.append(
            f"Warning: no image was chosen for {unseen}: no model finds it inside its area window on an "
            "image that may still be chosen."
        )
    return tuple(warnings)


def _change(scores: Scores, before: str, after: str, test_set: str) -> tuple[str, ...]:
    old, new = scores.miou(before, test_set), scores.miou(after, test_set)
    if old is None or new is None or before == after:
        return ()
    where = (
        "the familiar test set T(0), reporting half"
        if test_set == "T(0)"
        else f"the mined test set {test_set}"
    )
    return (f"On {where}, mIoU went from {old:.3f} ({before}) to {new:.3f} ({after}): {new - old:+.3f}.",)


def cut_short_tables(campaign: Campaign, rows: RoundRows) -> tuple[PlainTable, ...]:
    """What was cut short, rejected or set aside, and why."""
    cuts = []
    wanted_test = largest_set(len(rows.order), campaign.test_set.size, campaign.test_set.max_share)
    if len(rows.test_set) < wanted_test:
        cuts.append(
            (
                "T",
                str(wanted_test),
                str(len(rows.test_set)),
                f"at most {campaign.test_set.max_per_class} images per main class, none out of domain",
            )
        )
    if not rows.closing and len(rows.failures) < campaign.failures.size:
        cuts.append(
            (
                "S",
                str(campaign.failures.size),
                str(len(rows.failures)),
                f"{_bound(campaign)}at most {campaign.failures.max_share:.0%} of what remains",
            )
        )
    rejects = tuple((r["stage"], r["item"], r["reason"]) for r in rows.rejects)
    aside = Counter((row["state"], person_of(row)) for row in rows.answers)
    states = tuple(
        (str(p), state, str(n)) for (state, p), n in sorted(aside.items()) if state not in (VALID, DELETED)
    )
    deleted = tuple((str(p), str(n)) for (state, p), n in sorted(aside.items()) if state == DELETED)
    return (
        PlainTable(
            "Cut short",
            "Sets that are smaller than asked for.",
            ("set", "wanted", "got", "because"),
            tuple(cuts),
            "Every set has the size that was asked for.",
        ),
        PlainTable(
            "Rejected images",
            "Files that could not be used.",
            ("stage", "image", "reason"),
            rejects,
            "Every file could be used.",
        ),
        PlainTable(
            "Answers set aside",
            "Skipped, empty, malformed or foreign answers; none of them counts.",
            ("person", "why", "answers"),
            states,
            "Every answer counts.",
        ),
        PlainTable(
            "Deleted answers",
            "Collected, then deleted in Label Studio by somebody. What counted goes on counting.",
            ("person", "answers"),
            deleted,
            "No answer was deleted.",
        ),
    )


def _bound(campaign: Campaign) -> str:
    below = campaign.failures.failure_below
    return "" if below is None else f"mean opinion score below {below:g} and "
