"""Splitting T(0): two parts, nothing lost, no scene on both sides, the same for the same seed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.core.splits import split_by_group

SCENES = st.dictionaries(st.text("abcdef", min_size=1, max_size=4), st.sampled_from("stuvw"), min_size=2)
SHARES = st.floats(0.01, 0.99)
SEEDS = st.integers(0, 2**32)


@given(SCENES, SHARES, SEEDS)
def test_the_parts_are_disjoint_cover_all_and_are_never_empty(
    groups: dict[str, str], share: float, seed: int
) -> None:
    split = split_by_group(groups, tuning_share=share, seed=seed)
    assert sorted(split.tuning + split.reporting) == sorted(groups)
    assert split.tuning
    assert split.reporting
    assert list(split.tuning) == sorted(split.tuning)
    assert list(split.reporting) == sorted(split.reporting)


@given(SCENES, SHARES, SEEDS)
def test_no_scene_is_on_both_sides_unless_there_is_only_one(
    groups: dict[str, str], share: float, seed: int
) -> None:
    split = split_by_group(groups, tuning_share=share, seed=seed)
    shared = {groups[i] for i in split.tuning} & {groups[i] for i in split.reporting}
    assert split.is_by_group == (len(set(groups.values())) > 1)
    assert len(shared) == (0 if split.is_by_group else 1)


@given(SCENES, SHARES, SEEDS)
def test_the_tuning_part_has_its_share_but_for_its_last_scene(
    groups: dict[str, str], share: float, seed: int
) -> None:
    split = split_by_group(groups, tuning_share=share, seed=seed)
    sizes = [sum(g == group for g in groups.values()) for group in set(groups.values())]
    largest = max(sizes) if split.is_by_group else 1
    assert len(split.tuning) < share * len(groups) + largest


@given(SCENES, SHARES, SEEDS, st.randoms(use_true_random=False))
def test_the_split_depends_on_the_seed_and_not_on_the_order(
    groups: dict[str, str], share: float, seed: int, random: object
) -> None:
    items = list(groups.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    shuffled = split_by_group(dict(items), tuning_share=share, seed=seed)
    assert shuffled == split_by_group(groups, tuning_share=share, seed=seed)


def test_another_seed_gives_another_split() -> None:
    groups = {f"{n:03d}": f"{n // 2:03d}" for n in range(100)}
    splits = {split_by_group(groups, tuning_share=0.5, seed=seed).tuning for seed in range(5)}
    assert len(splits) == 5


def test_one_image_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="at least two images"):
        split_by_group({"a": "s"}, tuning_share=0.5, seed=0)
