"""The study of adaptive rating, with few images and seeds."""

from __future__ import annotations

import pytest

from benchmarks.adaptive_rating import (
    N_RATERS,
    POPULATIONS,
    adaptive_part,
    adaptive_selection,
    compare,
    draw_candidates,
    full_selection,
    panel_answers,
)


def test_adaptive_rating_with_threshold_0_is_the_full_panel_but_for_images_out_of_domain() -> None:
    candidates = draw_candidates(POPULATIONS[0], 3, 120)
    answers = panel_answers(candidates.images, 3, "rater")
    full, adaptive = full_selection(candidates, answers), adaptive_selection(candidates, answers, 0.0)
    assert full.ratings == 120 * N_RATERS
    assert adaptive.failures == full.failures
    assert 114 * N_RATERS < adaptive.ratings < full.ratings  # 6 images are out of domain


def test_a_comparison_counts_what_the_two_selections_hold() -> None:
    (compared,) = compare(POPULATIONS[1], 4, (0.02,), 150)
    candidates = draw_candidates(POPULATIONS[1], 4, 150)
    answers = panel_answers(candidates.images, 4, "rater")
    full, adaptive = full_selection(candidates, answers), adaptive_selection(candidates, answers, 0.02)
    assert compared.saved == pytest.approx(1 - adaptive.ratings / 450)
    assert compared.overlap == len(full.failures & adaptive.failures) / len(full.failures)
    assert compared.out_full == sum(i in candidates.images.out_of_domain for i in full.failures)
    assert compared.batches == adaptive.batches


def test_the_part_has_a_table_per_population_for_choosing_and_for_confirming() -> None:
    text = adaptive_part(range(2), range(10, 12), n_images=60)
    assert text.startswith("## Adaptive rating\n")
    assert text.count("\n| threshold |") == 2 * len(POPULATIONS)
    assert text.count("\n| 0.02 |") == 2 * len(POPULATIONS)
