"""Adaptive rating on random panels, answered in random order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.adaptive_rating import AdaptiveRule, Ask, Panel, needed_ratings
from tasks.core.sampling import TestSetRule, draw_test_set

many = settings(deadline=None, max_examples=60)


@dataclass(frozen=True)
class Case:
    """A panel, a rule, and what every rater would answer about every image."""

    panel: Panel
    rule: AdaptiveRule
    answers: dict[Ask, int | None]

    def declared(self, asks: Iterable[Ask]) -> set[str]:
        """Images that some answers declare out of domain."""
        return {
            ask.image_id
            for ask in asks
            if self.answers[ask] is None and ask.rater not in self.panel.disregarded
        }


@st.composite
def cases(draw: st.DrawFn) -> Case:
    ids = draw(st.permutations([f"{c}{i}" for i, c in enumerate("zyaBxc!qprs"[: draw(st.integers(1, 11))])]))
    raters = "uvw"[: draw(st.integers(1, 3))]
    rule = AdaptiveRule(
        size=draw(st.integers(0, 5)),
        failure_below=draw(st.none() | st.sampled_from([2.0, 3.0])),
        max_share=draw(st.sampled_from([0.0, 0.5, 1.0])),
        threshold=draw(st.sampled_from([0.0, 0.05, 0.3, 1.0])),
    )
    test_set = TestSetRule(
        draw(st.integers(0, 3)), draw(st.sampled_from([1 / 3, 1.0])), draw(st.integers(1, 4))
    )
    main_classes = {image_id: draw(st.sampled_from([None, 1, 2])) for image_id in ids}
    said = st.sampled_from([None, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5])
    answers = {Ask(image_id, rater): draw(said) for image_id in ids for rater in raters}
    panel = Panel(
        ids,
        raters,
        lambda out: draw_test_set(ids, main_classes=main_classes, out_of_domain=out, rule=test_set),
        draw(st.sampled_from([frozenset(), frozenset("u")])),
    )
    return Case(panel, rule, answers)


@many
@given(cases())
def test_test_set_and_failures_are_rated_in_full(case: Case) -> None:
    needed = needed_ratings(case.panel, case.rule, case.answers)
    ratings = Counter(ask.image_id for ask in needed)
    out = case.declared(needed)
    test_set = set(case.panel.test_set(out))
    contenders = set(case.panel.image_ids) - out - test_set
    in_full = {image_id for image_id in contenders if ratings[image_id] == len(case.panel.raters)}
    assert min(ratings.values()) >= 1
    assert all(ratings[image_id] == len(case.panel.raters) for image_id in test_set)
    room = case.rule.failures_of(len(contenders))
    if case.rule.failure_below is None:
        assert len(in_full) >= room
    if case.rule.threshold == 0:
        assert in_full == contenders


@many
@given(cases(), st.randoms(use_true_random=False))
def test_what_was_asked_stays_asked_and_the_order_of_answers_does_not_matter(case: Case, rng: Random) -> None:
    """Answers trickle in at random, some to ratings that were never asked for."""
    final = needed_ratings(case.panel, case.rule, case.answers)
    trickle = list(case.answers)
    rng.shuffle(trickle)
    given_so_far: dict[Ask, int | None] = {}
    before: frozenset[Ask] = frozenset()
    for ask in trickle:
        given_so_far[ask] = case.answers[ask]
        needed = needed_ratings(case.panel, case.rule, given_so_far)
        assert before <= needed <= final
        before = needed
    assert before == final


@many
@given(cases())
def test_answering_what_is_asked_ends_where_answering_everything_does(case: Case) -> None:
    given_so_far: dict[Ask, int | None] = {}
    while new := needed_ratings(case.panel, case.rule, given_so_far) - given_so_far.keys():
        given_so_far |= {ask: case.answers[ask] for ask in new}
    assert given_so_far.keys() == needed_ratings(case.panel, case.rule, case.answers)


@many
@given(cases())
def test_nothing_is_asked_after_an_image_was_declared_out_of_domain(case: Case) -> None:
    """Unless it was asked in the same batch, as for the test set; a declared image is asked nothing later."""
    given_so_far: dict[Ask, int | None] = {}
    while new := needed_ratings(case.panel, case.rule, given_so_far) - given_so_far.keys():
        declared = case.declared(given_so_far)
        assert not {ask.image_id for ask in new} & declared
        given_so_far |= {ask: case.answers[ask] for ask in new}


@many
@given(cases())
def test_images_and_raters_may_come_in_any_order(case: Case) -> None:
    ids, raters = list(case.panel.image_ids)[::-1], list(case.panel.raters)[::-1]
    turned = replace(case.panel, image_ids=ids, raters=raters)
    assert needed_ratings(turned, case.rule, case.answers) == needed_ratings(
        case.panel, case.rule, case.answers
    )
