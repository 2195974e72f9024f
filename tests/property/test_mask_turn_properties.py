"""Drawing and checking: it ends whatever people answer, and nobody checks the own mask."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.mask_shares import assign_authors, assign_checkers, assign_doubles
from tasks.core.mask_turns import (
    Accepted,
    Assignment,
    Check,
    Checked,
    Disputed,
    Draw,
    Drawn,
    Step,
    Unchecked,
    next_step,
    turns_taken,
)

PEOPLE = ["ann", "bob", "cid", "dee"]
MASKS = ["start", "m1", "m2", "m3"]
many = settings(deadline=None, max_examples=300)

drawn = st.builds(
    Drawn, st.integers(1, 4), st.sampled_from(MASKS), st.sampled_from(MASKS[1:]), st.sampled_from(PEOPLE)
)
checked = st.builds(Checked, st.sampled_from(MASKS), st.sampled_from(PEOPLE), st.booleans())
assignments = st.builds(
    Assignment,
    st.just("ann"),
    st.lists(st.sampled_from(PEOPLE[1:]), min_size=1, max_size=3, unique=True).map(tuple),
    st.just("start"),
    st.integers(0, 4),
)
histories = st.tuples(st.lists(drawn, max_size=12), st.lists(checked, max_size=12))


def deciding(assignment: Assignment, checks: list[Checked], mask: str) -> Checked | None:
    """The newest check of a mask by one of its checkers, found from the end."""
    for check in reversed(checks):
        if check.mask_digest == mask and check.checker in assignment.checkers:
            return check
    return None


@many
@given(assignments, histories)
def test_every_history_has_a_step_that_its_answers_justify(
    assignment: Assignment, history: tuple[list[Drawn], list[Checked]]
) -> None:
    drawings, checks = history
    step = next_step(assignment, drawings, checks)
    if isinstance(step, Draw):
        assert 1 <= step.turn <= max(assignment.max_turns, 1)
        if step.turn == 1:
            assert (step.start, step.marks) == ("start", ())
        else:
            rejection = deciding(assignment, checks, step.start)
            assert rejection is not None
            assert not rejection.accepted
            assert any((d.turn, d.mask_digest) == (step.turn - 1, step.start) for d in drawings)
    elif isinstance(step, Unchecked):
        assert assignment.max_turns == 0
    else:
        check = deciding(assignment, checks, step.mask_digest)
        assert step.checker in assignment.checkers
        assert step.checker != assignment.author
        assert 1 <= step.turn <= assignment.max_turns
        if isinstance(step, Check):
            assert check is None
        else:
            assert check is not None
            assert check.accepted == isinstance(step, Accepted)
        if isinstance(step, Disputed):
            assert step.turn == assignment.max_turns
    if not isinstance(step, Draw):
        assert any(d.mask_digest == step.mask_digest and d.author == assignment.author for d in drawings)
    assert len(turns_taken(assignment, drawings, checks)) <= max(assignment.max_turns, 1)


@many
@given(assignments, histories, st.data())
def test_answers_of_others_change_nothing(
    assignment: Assignment, history: tuple[list[Drawn], list[Checked]], data: st.DataObject
) -> None:
    drawings, checks = history
    without = [d for d in drawings if d.author == assignment.author]
    by_checkers = [c for c in checks if c.checker in assignment.checkers]
    assert next_step(assignment, drawings, checks) == next_step(assignment, without, by_checkers)
    order = data.draw(st.permutations(MASKS))  # checks of different masks may come in any order
    by_mask = [c for mask in order for c in checks if c.mask_digest == mask]
    assert next_step(assignment, drawings, checks) == next_step(assignment, drawings, by_mask)


@many
@given(assignments, histories, st.lists(st.booleans(), min_size=8, max_size=8))
def test_it_ends_from_any_history_once_people_answer_what_they_are_asked(
    assignment: Assignment, history: tuple[list[Drawn], list[Checked]], verdicts: list[bool]
) -> None:
    drawings, checks = list(history[0]), list(history[1])
    asked: list[Step] = []
    step = next_step(assignment, drawings, checks)
    while isinstance(step, Draw | Check):
        assert step not in asked
        asked.append(step)
        if isinstance(step, Draw):
            drawings.append(Drawn(step.turn, step.start, f"new-{len(asked)}", assignment.author))
        else:
            checks.append(Checked(step.mask_digest, step.checker, verdicts[step.turn - 1]))
        step = next_step(assignment, drawings, checks)
    assert len([s for s in asked if isinstance(s, Draw)]) <= max(assignment.max_turns, 1)
    assert len([s for s in asked if isinstance(s, Check)]) <= assignment.max_turns


images = st.sets(st.integers(0, 200).map(str), max_size=30)
shares = st.sampled_from([0.0, 0.1, 1 / 3, 0.5, 1.0])


@many
@given(images, st.integers(2, 4), st.integers(1, 4), shares)
def test_shares_are_even_and_nobody_meets_the_own_mask(
    ids: set[str], n_annotators: int, n_checkers: int, double_share: float
) -> None:
    annotators, checkers = PEOPLE[:n_annotators], [f"checker-{i}" for i in range(n_checkers)]
    authors = assign_authors(ids, "test", annotators)
    assert authors == assign_authors(sorted(ids, reverse=True), "test", annotators)
    assert authors.keys() == ids
    assert is_even(Counter(authors.values()), annotators)

    doubles = assign_doubles(authors, "test", annotators, double_share)
    assert len(doubles) == int(len(ids) * double_share + 1e-9)
    assert all(doubles[i] != authors[i] for i in doubles)

    asked = assign_checkers(authors, "test", checkers)
    assert asked.keys() == ids
    assert is_even(Counter(people[0] for people in asked.values()), checkers)

    among_themselves = assign_checkers(authors, "test", annotators)
    for image_id, people in among_themselves.items():
        assert {*people, authors[image_id]} == set(annotators)
        assert len(people) == n_annotators - 1


def is_even(counts: Counter[str], people: list[str]) -> bool:
    return max(counts[p] for p in people) - min(counts[p] for p in people) <= 1
