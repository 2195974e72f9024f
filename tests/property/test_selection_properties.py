from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.confusion import joint_histogram
from tasks.core.discrepancy import accuracy_discrepancy, class_areas_of, miou_discrepancy
from tasks.core.label_maps import class_areas
from tasks.core.ranking import (
    RankingInput,
    RankingRule,
    select_candidates,
    shortfalls,
    unique_images,
    upper_bound,
)
from tasks.core.windows import class_area_windows
from tests.lib.oracles import SlowRule, slow_candidates, slow_windows
from tests.lib.strategies import stacks

C = 3
many = settings(deadline=None, max_examples=150)


@dataclass(frozen=True)
class Case:
    """Maps of one target and some competitors: (1 + m, N, H, W), and a rule."""

    maps: np.ndarray
    ids: tuple[str, ...]
    rule: SlowRule

    def ranking_input(self, order: list[int]) -> RankingInput:
        """The fast path from maps to numbers, with the images in the given order."""
        maps, ids = self.maps[:, order], tuple(self.ids[i] for i in order)
        histograms = np.array(
            [[joint_histogram(t, g, C) for t, g in zip(maps[0], row, strict=True)] for row in maps[1:]]
        )
        if self.rule.metric == "miou":
            discrepancies = miou_discrepancy(histograms, min_class_px=self.rule.min_class_px)
        else:
            discrepancies = accuracy_discrepancy(histograms)
        in_target, in_competitors = class_areas_of(histograms)
        groups = self.rule.groups
        return RankingInput(
            image_ids=ids,
            competitors=tuple(f"g{j}" for j in range(len(maps) - 1)),
            discrepancies=discrepancies,
            target_areas=in_target[0],
            competitor_areas=in_competitors,
            pixels=np.full(len(ids), maps.shape[2] * maps.shape[3]),
            groups=None if groups is None else tuple(groups[i] for i in ids),
        )

    def ranking_rule(self) -> RankingRule:
        rule = self.rule
        return RankingRule(
            rule.quota, tuple(rule.classes), dict(rule.windows), rule.max_per_group, frozenset(rule.excluded)
        )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    m, n = draw(st.integers(1, 3)), draw(st.integers(1, 7))
    maps = draw(stacks((1 + m) * n, C, max_side=4))
    maps = maps.reshape(1 + m, n, *maps.shape[1:])
    ids = tuple(draw(st.permutations([f"{c}{i}" for i, c in enumerate("zyaBxc!"[:n])])))
    bounds = st.tuples(st.sampled_from([0.0, 0.1, 0.25]), st.sampled_from([0.25, 0.5, 1.0]))
    grouped = draw(st.booleans())
    rule = SlowRule(
        n_classes=C,
        classes=draw(st.lists(st.integers(0, C - 1), unique=True)),
        windows={k: draw(st.none() | bounds) for k in range(C)},
        quota=draw(st.integers(1, 4)),
        metric=draw(st.sampled_from(["miou", "pixel_accuracy"])),
        min_class_px=draw(st.integers(1, 3)),
        groups={i: draw(st.sampled_from("st")) for i in ids} if grouped else None,
        max_per_group=draw(st.none() | st.integers(1, 2)) if grouped else None,
        excluded=draw(st.sets(st.sampled_from(ids))) if draw(st.booleans()) else set(),
    )
    return Case(maps, ids, rule)


@many
@given(cases())
def test_the_selection_from_maps_to_candidates_equals_the_oracle(case: Case) -> None:
    target = dict(zip(case.ids, case.maps[0], strict=True))
    competitors = {f"g{j}": dict(zip(case.ids, row, strict=True)) for j, row in enumerate(case.maps[1:])}
    expected = slow_candidates(target, competitors, case.rule)
    assert select_candidates(case.ranking_input(list(range(len(case.ids)))), case.ranking_rule()) == expected


@many
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(case: Case, rng: object) -> None:
    order = list(range(len(case.ids)))
    plain = select_candidates(case.ranking_input(order), case.ranking_rule())
    rng.shuffle(order)  # type: ignore[attr-defined]
    assert select_candidates(case.ranking_input(order), case.ranking_rule()) == plain


@many
@given(cases())
def test_a_selection_keeps_its_bounds_and_accounts_for_every_place(case: Case) -> None:
    data, rule = case.ranking_input(list(range(len(case.ids)))), case.ranking_rule()
    chosen = select_candidates(data, rule)
    bound = upper_bound(len(data.competitors), len(rule.classes), rule.quota)
    missing = sum(s.wanted - s.got for s in shortfalls(chosen, data, rule))
    assert len(chosen) + missing == bound
    assert not rule.excluded & set(unique_images(chosen))
    assert not any(np.isnan(c.discrepancy) for c in chosen)


@many
@given(cases())
def test_a_larger_quota_only_adds_candidates(case: Case) -> None:
    data, rule = case.ranking_input(list(range(len(case.ids)))), case.ranking_rule()
    larger = set(select_candidates(data, replace(rule, quota=rule.quota + 1)))
    assert set(select_candidates(data, rule)) <= larger


@many
@given(stacks(10, C, max_side=5), st.integers(1, 8))
def test_windows_equal_the_oracle(masks: np.ndarray, min_masks: int) -> None:
    fractions = np.array([class_areas(mask, C) / mask.size for mask in masks])
    ours = class_area_windows(fractions, min_masks=min_masks)
    expected = slow_windows(list(masks), C, min_masks)
    assert ours.keys() == expected.keys()
    for k, window in expected.items():
        assert ours[k] == (window if window is None else pytest.approx(window, abs=1e-15))
