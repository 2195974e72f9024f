"""Slow and obvious references in plain Python loops, for the tests to compare the fast code with.

Nothing here calls the code under test, except for the records it returns.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from numpy.typing import NDArray

from tasks.core.ranking import Candidate

VOID = 255
_LONGEST = 1 << 16  # values in one token of a brush stream
Map = NDArray[Any]  # (H, W) uint8
Rows = list[list[int]]


@dataclass(frozen=True)
class SlowRule:
    """What `slow_candidates` needs to know beside the maps."""

    n_classes: int
    classes: Sequence[int]
    windows: Mapping[int, tuple[float, float] | None]
    quota: int
    metric: str = "miou"  # or "pixel_accuracy"
    min_class_px: int = 1
    groups: Mapping[str, str] | None = None
    max_per_group: int | None = None
    excluded: Collection[str] = ()


def slow_joint_histogram(a: Map, b: Map, n_classes: int) -> Rows:
    """(C+1) rows of (C+1) pixel counts; index C = void."""
    rows = [[0] * (n_classes + 1) for _ in range(n_classes + 1)]
    for row_a, row_b in zip(a.tolist(), b.tolist(), strict=True):
        for value_a, value_b in zip(row_a, row_b, strict=True):
            i = n_classes if value_a == VOID else value_a
            j = n_classes if value_b == VOID else value_b
            rows[i][j] += 1
    return rows


def slow_miou_discrepancy(rows: Sequence[Sequence[int]], min_class_px: int = 1) -> float:
    """1 - mean IoU, added up from the smallest IoU to the largest."""
    c = len(rows) - 1
    ious = []
    for k in range(c):
        in_a = sum(rows[k][j] for j in range(c))
        in_b = sum(rows[i][k] for i in range(c))
        if max(in_a, in_b) >= min_class_px:
            ious.append(rows[k][k] / (in_a + in_b - rows[k][k]))
    if not ious:
        return math.nan
    total = 0.0
    for iou in sorted(ious):
        total += iou
    return 1.0 - total / len(ious)


def slow_accuracy_discrepancy(rows: Sequence[Sequence[int]]) -> float:
    """1 - the share of pixels, void in neither map, on which the maps agree."""
    c = len(rows) - 1
    total = sum(rows[i][j] for i in range(c) for j in range(c))
    return 1.0 - sum(rows[k][k] for k in range(c)) / total if total else math.nan


def slow_area(label_map: Map, class_index: int) -> int:
    """Pixels of a class."""
    return sum(value == class_index for row in label_map.tolist() for value in row)


def slow_quartile(values: Sequence[float], q: float) -> float:
    """Quantile by sorting and interpolating linearly between the two neighbours."""
    ordered = sorted(values)
    place = q * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def slow_windows(
    masks: Sequence[Map], n_classes: int, min_masks: int = 8
) -> dict[int, tuple[float, float] | None]:
    """Quartiles of each class's share over the masks that contain it."""
    windows: dict[int, tuple[float, float] | None] = {}
    for k in range(n_classes):
        shares = [slow_area(mask, k) / mask.size for mask in masks if slow_area(mask, k) > 0]
        windows[k] = (
            (slow_quartile(shares, 0.25), slow_quartile(shares, 0.75)) if len(shares) >= min_masks else None
        )
    return windows


def slow_candidates(
    target_maps: Mapping[str, Map], competitor_maps: Mapping[str, Mapping[str, Map]], rule: SlowRule
) -> list[Candidate]:
    """The whole selection, from maps to candidates.

    Args:
        target_maps: image id -> (H, W) uint8.
        competitor_maps: competitor -> image id -> (H, W) uint8; the order of the competitors is kept.
        rule: everything else.
    """
    chosen = []
    for competitor, maps in competitor_maps.items():
        distance = {i: _distance(target_maps[i], maps[i], rule) for i in target_maps}
        for k in sorted(rule.classes):
            for side, side_maps in (("target", target_maps), ("competitor", maps)):
                pool = [i for i in target_maps if _belongs(i, side_maps[i], k, distance[i], rule)]
                pool.sort(key=lambda i, d=distance: (-d[i], i))  # type: ignore[misc]
                for rank, i in enumerate(_capped(pool, rule)[: rule.quota], start=1):
                    share = slow_area(side_maps[i], k) / side_maps[i].size
                    chosen.append(Candidate(i, competitor, side, k, rank, distance[i], share))
    return chosen


def _distance(a: Map, b: Map, rule: SlowRule) -> float:
    rows = slow_joint_histogram(a, b, rule.n_classes)
    if rule.metric == "miou":
        return slow_miou_discrepancy(rows, rule.min_class_px)
    return slow_accuracy_discrepancy(rows)


def _belongs(image_id: str, label_map: Map, k: int, distance: float, rule: SlowRule) -> bool:
    area = slow_area(label_map, k)
    if image_id in rule.excluded or math.isnan(distance) or area == 0:
        return False
    window = rule.windows[k]
    return window is None or window[0] <= area / label_map.size <= window[1]


def _capped(pool: Sequence[str], rule: SlowRule) -> list[str]:
    if rule.max_per_group is None or rule.groups is None:
        return list(pool)
    kept: list[str] = []
    for i in pool:
        if sum(rule.groups[other] == rule.groups[i] for other in kept) < rule.max_per_group:
            kept.append(i)
    return kept


def slow_main_class(label_map: Map, foreground: Sequence[int]) -> int | None:
    """Largest foreground class, ties to the lower index."""
    areas = sorted((-slow_area(label_map, k), k) for k in foreground)
    return areas[0][1] if areas and areas[0][0] < 0 else None


def slow_test_set(
    order: Sequence[str],
    main_classes: Mapping[str, int | None],
    out_of_domain: Collection[str],
    size: int,
    max_per_class: int,
) -> list[str]:
    """The first `size` images in the order, in the domain, at most `max_per_class` of a main class."""
    drawn: list[str] = []
    for i in order:
        same = Counter(main_classes[other] for other in drawn)[main_classes[i]]
        if i not in out_of_domain and same < max_per_class and len(drawn) < size:
            drawn.append(i)
    return drawn


def slow_failures(
    scores: Mapping[str, tuple[float, float]], size: int, failure_below: float | None, largest: int
) -> list[str]:
    """The worst images one by one, from image id -> (mean opinion score, discrepancy); at most `largest`."""
    left = {i: s for i, s in scores.items() if failure_below is None or s[0] < failure_below}
    worst: list[str] = []
    while left and len(worst) < min(size, largest):
        low = min(s[0] for s in left.values())
        tied = {i: s[1] for i, s in left.items() if s[0] == low}
        most = max(tied.values())
        pick = min(i for i, d in tied.items() if d == most)
        worst.append(pick)
        del left[pick]
    return worst


def slow_set_iou(
    truths: Sequence[Map], predictions: Sequence[Map], n_classes: int
) -> tuple[float, list[float]]:
    """Mean IoU over the classes with a true pixel, and the IoU of every class, from summed pixels."""
    ious = []
    for k in range(n_classes):
        true = intersection = union = 0
        for truth, prediction in zip(truths, predictions, strict=True):
            for t, p in zip(truth.ravel().tolist(), prediction.ravel().tolist(), strict=True):
                if VOID in (t, p):
                    continue
                true += t == k
                intersection += t == k and p == k
                union += k in (t, p)
        ious.append(intersection / union if true else math.nan)
    present = [iou for iou in ious if not math.isnan(iou)]
    return (sum(present) / len(present) if present else math.nan), ious


@dataclass(frozen=True)
class SlowRegion:
    """A brush region for `slow_composed`: class index, rows of alpha 0..255, drawn or changed by a person."""

    class_index: int
    alpha: Sequence[Sequence[int]]
    human: bool


@dataclass(frozen=True)
class SlowMask:
    """Rows of class indices, and the places (row, column) that are uncovered and in conflict."""

    rows: Rows
    uncovered: set[tuple[int, int]]
    conflicts: set[tuple[int, int]]


def slow_composed(regions: Sequence[SlowRegion], base: Map | None, height: int, width: int) -> SlowMask:
    """What the regions of an annotation stand for, pixel by pixel."""
    mask = SlowMask([[VOID] * width for _ in range(height)], set(), set())
    for y in range(height):
        for x in range(width):
            painting = [region for region in regions if region.alpha[y][x] >= 128]
            before = None if base is None else int(base[y, x])
            added = [r.class_index for r in painting if r.human and r.class_index != before]
            if added:
                mask.rows[y][x] = added[-1]
            elif painting:
                mask.rows[y][x] = painting[-1].class_index
            else:
                mask.uncovered.add((y, x))
            if len(set(added)) > 1:
                mask.conflicts.add((y, x))
    return mask


def editor_stream(values: Sequence[int]) -> list[int]:
    """The brush stream as Label Studio's web editor writes it: single values gathered in literal tokens.

    Runs are cut at 65536 values, and so are literals; a single value at the very end that follows a run is a
    run of one.
    """
    runs: list[tuple[int, int]] = []  # value, count
    for value in values:
        if runs and runs[-1][0] == value and runs[-1][1] < _LONGEST:
            runs[-1] = (value, runs[-1][1] + 1)
        else:
            runs.append((value, 1))
    tokens: list[tuple[str, int, list[int]]] = []  # kind of token, count, values
    for is_single, group in groupby(runs, key=lambda run: run[1] == 1):
        if is_single:
            singles = [value for value, _ in group]
            chunks = [singles[i : i + _LONGEST] for i in range(0, len(singles), _LONGEST)]
            tokens += [("0", len(chunk), chunk) for chunk in chunks]
        else:
            tokens += [("1", count, [value]) for value, count in group]
    if tokens[-1][:2] == ("0", 1):
        tokens[-1] = ("1", 1, tokens[-1][2])
    text = f"{len(values):032b}" + "00111" + "0010001101111111"
    for kind, count, those in tokens:
        size = 0 if count <= 8 else 1 if count <= 16 else 2 if count <= 256 else 3
        text += f"{kind}{size:02b}{count - 1:0{(3, 4, 8, 16)[size]}b}" + "".join(f"{v:08b}" for v in those)
    text += "0" * (-len(text) % 8)
    return [int(text[i : i + 8], 2) for i in range(0, len(text), 8)]


def slow_ordinal_alpha(scores: list[list[float]]) -> float:
    """Krippendorff's alpha, ordinal, over ordered pairs of scores: observed within a row, expected in all."""
    rows = [[s for s in row if not math.isnan(s)] for row in scores]
    rows = [row for row in rows if len(row) >= 2]
    pooled = [s for row in rows for s in row]

    def distance(a: float, b: float) -> float:
        low, high = min(a, b), max(a, b)
        between = sum(low <= s <= high for s in pooled)
        return (between - (pooled.count(a) + pooled.count(b)) / 2) ** 2

    observed = sum(
        distance(a, b) / (len(row) - 1)
        for row in rows
        for i, a in enumerate(row)
        for j, b in enumerate(row)
        if i != j
    )
    expected = sum(distance(a, b) for a in pooled for b in pooled)
    return math.nan if expected == 0 else 1 - (len(pooled) - 1) * observed / expected
