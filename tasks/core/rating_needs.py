"""Which ratings a round needs of a rater, which of them are hidden repeats, and in what order they come."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tasks.core.digests import digest_of
from tasks.core.sampling import ceil_share

LARGEST_REPEAT = 1  # nobody is shown an image a third time
GAP = 10  # tasks between an image and its repeat, where there are as many


@dataclass(frozen=True)
class RatingNeed:
    """One rating that a round needs: this image with this map, by this rater.

    Attributes:
        image_id: the image.
        map_digest: digest of the map that is shown.
        rater: who rates.
        repeat: 0 = the rating that counts; 1 = the same shown once more, to see how steady the rater is.
    """

    image_id: str
    map_digest: str
    rater: str
    repeat: int = 0

    @property
    def key(self) -> str:
        """Our own key of the task in Label Studio: the same need is never published twice."""
        return digest_of(["rating", self.image_id, self.map_digest, self.rater, self.repeat])[:32]

    @property
    def shown(self) -> tuple[str, str]:
        """What is shown: the image and its map."""
        return self.image_id, self.map_digest


def need_of_task(data: Mapping[str, Any], rater: str) -> RatingNeed | None:
    """The need that a task of a rater's project serves; None if the task is none of ours, or was changed.

    A task does not say whether it is a repeat: whoever rates can see its data. Its key tells us.

    Args:
        data: of the task: `key`, `image_id` and `map_digest` are read.
        rater: whose project it is in.
    """
    first = RatingNeed(str(data.get("image_id")), str(data.get("map_digest")), rater)
    needs = [replace(first, repeat=repeat) for repeat in range(LARGEST_REPEAT + 1)]
    return next((need for need in needs if need.key == data.get("key")), None)


def hidden_repeats(
    first: Sequence[RatingNeed], *, share: float, seed: int, round_number: int
) -> list[RatingNeed]:
    """The needs of one rater that are shown a second time, as needs of repeat 1.

    Args:
        first: the rater's needs of repeat 0, in any order.
        share: of them, 0..1; the number is rounded up, but one image at least is shown once.
        seed: >= 0.
        round_number: >= 0.

    Returns:
        The repeats; with a larger share, the same and more.

    Raises:
        ValueError: a share outside 0..1.
    """
    count = min(ceil_share(len(first), share), max(0, len(first) - 1))
    chosen = sorted(first, key=lambda need: digest_of(["repeat", seed, round_number, need.key]))[:count]
    return [replace(need, repeat=1) for need in chosen]


def in_order(needs: Iterable[RatingNeed]) -> list[RatingNeed]:
    """The needs of one rater in the rater's own order, every repeat well after what it repeats.

    The order is that of the keys, which are digests: another one for every rater, the same in every run. At
    least `GAP` other tasks stand between an image and its repeat, or as many as are shown once. Where all
    that is left to show is shown twice, nothing can stand between them.

    Args:
        needs: of one rater, all different.
    """
    by_key = sorted(needs, key=lambda need: need.key)
    first = [need for need in by_key if need.repeat == 0]
    repeats = [need for need in by_key if need.repeat > 0]
    twice = {need.shown for need in repeats}
    once = [need for need in first if need.shown not in twice]
    gap = min(GAP, len(once))
    last = set(once[len(once) - gap :])  # so that something follows everything that is shown twice
    order = [need for need in first if need not in last] + [need for need in first if need in last]
    return _with_repeats(order, repeats, gap)


def _with_repeats(order: list[RatingNeed], repeats: list[RatingNeed], gap: int) -> list[RatingNeed]:
    """`order` with each repeat put at a place that its key draws, at least `gap` tasks after its first."""
    place = {need.shown: index for index, need in enumerate(order)}
    before: dict[int, list[RatingNeed]] = {}  # index in `order` -> what is shown before it
    for need in repeats:
        # What it repeats may have been shown in an earlier run: then it may come anywhere.
        low = place[need.shown] + 1 + gap if need.shown in place else 0
        slot = low + int(need.key, 16) % (len(order) - low + 1)
        before.setdefault(slot, []).append(need)
    shown: list[RatingNeed] = []
    for index in range(len(order) + 1):
        shown += before.get(index, [])
        shown += order[index : index + 1]
    return shown


def needs_in(rows: Iterable[Mapping[str, Any]]) -> list[RatingNeed]:
    """The needs in rows of `rating_plan`, in the order of the rows."""
    return [RatingNeed(row["image_id"], row["map_digest"], row["rater"], row["repeat"]) for row in rows]


def of_rater(needs: Collection[RatingNeed], rater: str) -> list[RatingNeed]:
    """Those of `needs` that are one rater's."""
    return [need for need in needs if need.rater == rater]
