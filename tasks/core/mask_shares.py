"""Who draws, who draws a second time, and who checks: work dealt out evenly, by digests alone.

The same images and people always give the same shares, whatever order they come in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tasks.core.digests import digest_of
from tasks.core.sampling import floor_share


def assign_authors(
    image_ids: Collection[str], role: str, annotators: Sequence[str], barred: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Who draws each image of a set, dealt out in turn: if nobody is barred, shares differ by one at most.

    Args:
        image_ids: of the set.
        role: `failure` or `test`.
        annotators: who draws.
        barred: image_id -> who has drawn its second copy already.

    Raises:
        ValueError: nobody to draw.
    """
    return _dealt(image_ids, [role], barred or {}, annotators, "annotators")


def assign_doubles(
    authors: Mapping[str, str], role: str, annotators: Sequence[str], double_share: float
) -> dict[str, str]:
    """Who draws an image a second time, for the part of a set that is drawn twice.

    The part has floor(double_share * n) images. The second annotator is never the author and starts from the
    same map without seeing the first mask.

    Args:
        authors: image_id -> who draws it for the set.
        role: `failure` or `test`.
        annotators: who draws.
        double_share: 0..1, share of the images that are drawn twice.

    Raises:
        ValueError: a share outside 0..1, or an author without another annotator.
    """
    chosen = _by_digest(authors, ["choose double", role])[: floor_share(len(authors), double_share)]
    return _dealt(chosen, ["draw double", role], authors, annotators, "annotators")


def assign_checkers(
    authors: Mapping[str, str], role: str, checkers: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Who may check each image of a set: first the one who is asked, then all others but the author.

    Those who are asked are dealt out in turn. Shares differ by one image at most if no author is a checker.

    Args:
        authors: image_id -> who draws it for the set.
        role: `failure` or `test`.
        checkers: who checks; may hold authors, who check the masks of others.

    Raises:
        ValueError: an author without another checker.
    """
    asked = _dealt(authors, ["check", role], authors, checkers, "checkers")
    return {
        image_id: (first, *(person for person in checkers if person not in (first, authors[image_id])))
        for image_id, first in asked.items()
    }


def _dealt(
    image_ids: Collection[str], salt: list[str], barred: Mapping[str, str], people: Sequence[str], name: str
) -> dict[str, str]:
    """Each image, in the order of its digest, to whom of the people not barred has the fewest so far."""
    shares = dict.fromkeys(people, 0)
    dealt: dict[str, str] = {}
    for image_id in _by_digest(image_ids, salt):
        free = [person for person in shares if person != barred.get(image_id)]
        if not free:
            besides = f" besides {barred[image_id]} for image {image_id}" if image_id in barred else ""
            raise ValueError(f"`{name}` must hold somebody{besides}, got {', '.join(people) or 'nobody'}")
        dealt[image_id] = min(free, key=shares.__getitem__)
        shares[dealt[image_id]] += 1
    return dealt


def _by_digest(image_ids: Collection[str], salt: list[str]) -> list[str]:
    return sorted(image_ids, key=lambda image_id: digest_of([*salt, image_id]))
