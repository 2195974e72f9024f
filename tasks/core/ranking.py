"""Selection of the candidates M: the images on which the target and its competitors differ most.

Legend: N images; m competitors; C number of classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.core.windows import Window, in_window

TARGET = "target"
COMPETITOR = "competitor"


@dataclass(frozen=True)
class Candidate:
    """One reason why an image was chosen.

    Attributes:
        image_id: the image.
        competitor: the model that differs from the target.
        side: "target" if the target's map formed the subgroup, "competitor" if the competitor's did.
        class_index: class of the subgroup.
        rank: place within the quota, 1 = largest discrepancy.
        discrepancy: 0..1, higher = worse disagreement.
        area_fraction: share of the class in the map that formed the subgroup, 0..1.
    """

    image_id: str
    competitor: str
    side: str
    class_index: int
    rank: int
    discrepancy: float
    area_fraction: float


@dataclass(frozen=True, eq=False)
class RankingInput:
    """What is known about every pool image.

    Attributes:
        image_ids: N unique ids, in any order.
        competitors: m unique names.
        discrepancies: (m, N) float64 in 0..1 between the target's map and each competitor's; NaN = undefined.
        target_areas: (N, C) int64, px of each class in the target's map.
        competitor_areas: (m, N, C) int64, px of each class in each competitor's map.
        pixels: (N,) int64, height * width at comparison size.
        groups: N names of scenes, or None.
    """

    image_ids: tuple[str, ...]
    competitors: tuple[str, ...]
    discrepancies: NDArray[np.float64]
    target_areas: NDArray[np.int64]
    competitor_areas: NDArray[np.int64]
    pixels: NDArray[np.int64]
    groups: tuple[str, ...] | None

    def __post_init__(self) -> None:
        """Raise ValueError if shapes, ids or value ranges do not fit together."""
        n, m = len(self.image_ids), len(self.competitors)
        for what, names in (("image_ids", self.image_ids), ("competitors", self.competitors)):
            twins = [name for name, count in Counter(names).items() if count > 1]
            if twins:
                raise ValueError(f"`{what}` must be unique, got {twins[0]!r} more than once")
        if self.target_areas.ndim != 2:
            raise ValueError(f"`target_areas` must be (N, C), got shape {self.target_areas.shape}")
        c = self.target_areas.shape[1]
        self._check_shape("discrepancies", self.discrepancies.shape, (m, n))
        self._check_shape("target_areas", self.target_areas.shape, (n, c))
        self._check_shape("competitor_areas", self.competitor_areas.shape, (m, n, c))
        self._check_shape("pixels", self.pixels.shape, (n,))
        if self.groups is not None:
            self._check_shape("groups", (len(self.groups),), (n,))
        if ((self.discrepancies < 0) | (self.discrepancies > 1)).any():
            raise ValueError("`discrepancies` must be in 0..1, or NaN where undefined")
        if (self.pixels < 1).any():
            raise ValueError("`pixels` must be at least 1 for every image")
        for what, areas in (("target_areas", self.target_areas), ("competitor_areas", self.competitor_areas)):
            if (areas < 0).any() or (areas.sum(axis=-1) > self.pixels).any():
                raise ValueError(f"`{what}` must be pixel counts whose sum over classes is at most `pixels`")

    @property
    def n_classes(self) -> int:
        """Number of classes C."""
        return int(self.target_areas.shape[1])

    def _check_shape(self, what: str, came: tuple[int, ...], required: tuple[int, ...]) -> None:
        if came != required:
            raise ValueError(f"`{what}` must have shape {required}, got {came}")


@dataclass(frozen=True)
class RankingRule:
    """How many images are chosen, and which may be.

    Attributes:
        quota: n3, images per competitor, class and side, >= 1.
        classes: class indices that form subgroups (the background is not among them).
        windows: area window per class of `classes`, None = every area passes.
        max_per_group: images of one group that one quota may take; None = no cap.
        excluded: ids that are left out before ranking: images of any S or T, images declared out of domain.
    """

    quota: int
    classes: tuple[int, ...]
    windows: dict[int, Window | None]
    max_per_group: int | None
    excluded: frozenset[str]

    def __post_init__(self) -> None:
        """Raise ValueError if a number is out of range or a class has no entry in the windows."""
        if self.quota < 1:
            raise ValueError(f"`quota` must be at least 1, got {self.quota}")
        if self.max_per_group is not None and self.max_per_group < 1:
            raise ValueError(f"`max_per_group` must be at least 1 or None, got {self.max_per_group}")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"`classes` must be unique, got {self.classes}")
        missing = [k for k in self.classes if k not in self.windows]
        if missing:
            raise ValueError(
                f"`windows` needs an entry for every class, got none for {missing}; None = no window"
            )


@dataclass(frozen=True)
class Shortfall:
    """A subgroup that could not fill its quota; got = 0 means that nothing in it could be chosen."""

    competitor: str
    side: str
    class_index: int
    wanted: int
    got: int


@dataclass(frozen=True)
class _Quota:
    competitor: int
    class_index: int
    side: str


def select_candidates(data: RankingInput, rule: RankingRule) -> list[Candidate]:
    """The images of the largest discrepancy in every windowed subgroup, with every reason kept.

    For each competitor, class and side: among the images whose map (the target's, or with the roles reversed
    the competitor's) has at least one pixel of the class and an area within its window, the `quota` images
    with the largest discrepancy, ties by image id ascending. Undefined discrepancies are never chosen. The
    result does not depend on the order of the images in `data`.

    Args:
        data: N images, m competitors, C classes.
        rule: quotas, windows, cap and exclusions.

    Returns:
        Candidates in order of (competitor position, class index, side with the target first, rank); an image
        appears once per reason. At most `upper_bound(m, len(rule.classes), rule.quota)`.

    Raises:
        ValueError: a class index outside 0..C-1, or a cap per group without groups.

    Source:
        DESIGN, section 1, row M; Algorithm 1 of the paper, with the exclusions as a departure.
    """
    outside = [k for k in rule.classes if not 0 <= k < data.n_classes]
    if outside:
        raise ValueError(f"`classes` must be in 0..{data.n_classes - 1}, got {outside}")
    if rule.max_per_group is not None and data.groups is None:
        raise ValueError("`max_per_group` needs `groups`, got None; name the groups or drop the cap")
    allowed = np.array([image_id not in rule.excluded for image_id in data.image_ids], dtype=np.bool_)
    by_id = _places_by_id(data.image_ids)
    chosen: list[Candidate] = []
    for j in range(len(data.competitors)):
        row = data.discrepancies[j]
        order = np.lexsort((by_id, -row))
        order = order[(allowed & ~np.isnan(row))[order]]
        for quota in _quotas_of(j, rule):
            chosen.extend(_fill(data, rule, quota, order))
    return chosen


def unique_images(candidates: Iterable[Candidate]) -> list[str]:
    """Ids of the chosen images without duplicates, sorted: the set M."""
    return sorted({candidate.image_id for candidate in candidates})


def upper_bound(m: int, n_classes: int, quota: int) -> int:
    """Largest possible size of M: 2 m c n3."""
    return 2 * m * n_classes * quota


def shortfalls(candidates: Sequence[Candidate], data: RankingInput, rule: RankingRule) -> list[Shortfall]:
    """The (competitor, class, side) that got fewer images than the quota, empty ones included.

    Args:
        candidates: what `select_candidates` returned for the same data and rule.
        data: names the competitors.
        rule: names the classes and the quota.

    Returns:
        Shortfalls in order of (competitor position, class index, side with the target first).
    """
    got = Counter((c.competitor, c.side, c.class_index) for c in candidates)
    found = []
    for j, competitor in enumerate(data.competitors):
        for quota in _quotas_of(j, rule):
            count = got[(competitor, quota.side, quota.class_index)]
            if count < rule.quota:
                found.append(Shortfall(competitor, quota.side, quota.class_index, rule.quota, count))
    return found


def _quotas_of(competitor: int, rule: RankingRule) -> Iterator[_Quota]:
    for k in sorted(rule.classes):
        for side in (TARGET, COMPETITOR):
            yield _Quota(competitor, k, side)


def _fill(
    data: RankingInput, rule: RankingRule, quota: _Quota, order: NDArray[np.intp]
) -> Iterator[Candidate]:
    """Candidates of one quota; `order` lists the images that may be chosen, largest discrepancy first."""
    k = quota.class_index
    areas = data.target_areas[:, k] if quota.side == TARGET else data.competitor_areas[quota.competitor, :, k]
    fractions = areas / data.pixels
    subgroup = (areas > 0) & in_window(fractions, rule.windows[k])
    taken: Counter[str] = Counter()
    rank = 0
    for i in order[subgroup[order]]:
        if rule.max_per_group is not None and data.groups is not None:
            if taken[data.groups[i]] == rule.max_per_group:
                continue
            taken[data.groups[i]] += 1
        rank += 1
        yield Candidate(
            image_id=data.image_ids[i],
            competitor=data.competitors[quota.competitor],
            side=quota.side,
            class_index=k,
            rank=rank,
            discrepancy=float(data.discrepancies[quota.competitor, i]),
            area_fraction=float(fractions[i]),
        )
        if rank == rule.quota:
            return


def _places_by_id(image_ids: Sequence[str]) -> NDArray[np.int64]:
    """Place of each image in ascending order of ids (sorted as Python strings, not as padded arrays)."""
    places = np.empty(len(image_ids), dtype=np.int64)
    places[sorted(range(len(image_ids)), key=image_ids.__getitem__)] = np.arange(len(image_ids))
    return places
