"""Pool: which images there are, known by the digest of their bytes, and which were rejected and why.

Every file ends in `images` or in `rejects`. Labelled images are decoded here; of the pool's images, of which
there may be many, only the headers are read, and damage further on is found when their maps are predicted.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from configs.image_sources import ImageSource
from configs.model_specs import LabelMaps
from configs.schema import Campaign
from models.decoding import decode_image, read_header, read_mask
from models.finished_maps import goes_by_stem
from tasks.artifacts import ArtifactRef, Draft, StageKey
from tasks.core.digests import canonical_json, digest_of_bytes
from tasks.core.label_maps import class_areas, map_digest
from tasks.core.records import IMAGES, LABEL_AREAS, REJECTS
from tasks.errors import ConfigError, DataError
from tasks.image_files import FoundFiles, find_image_files, read_bytes, stem_of
from tasks.image_metadata import group_of, read_metadata
from tasks.progress import progress
from tasks.rounds import Round, remember
from tasks.stage import stage_task

VERSION = 2
_READERS = 8  # threads that read and digest files; more help with a bucket only
_AHEAD = 32  # files they may be ahead of the one that is listed
_BYTES_PER_PIXEL = 8  # of the largest files that are read: 16 bits in four channels, uncompressed
_SPARE_BYTES = 1 << 20  # for what a file holds beside pixels

Rows = list[dict[str, Any]]


@dataclass
class Listing:
    """What was found while going through the images."""

    images: Rows
    rejects: Rows
    label_areas: Rows


@dataclass(frozen=True)
class _Found:
    """One readable image file."""

    uri: str
    image_id: str
    height: int
    width: int


def source_files(source: ImageSource, *, what: str) -> FoundFiles:
    """The image files of a source, those of its `listing` if it has one.

    Raises:
        ConfigError: the folder or the listing does not exist, or there is no image.
    """
    found = find_image_files(source.images, what=what)
    if source.listing is not None:
        found = _chosen(found, source.listing, what)
    if not found.uris and not found.unusable:
        raise ConfigError(f"`{what}.images` must hold at least one image, but {source.images} holds none.")
    return found


def _chosen(found: FoundFiles, listing: Path, what: str) -> FoundFiles:
    """The files whose stems a listing names."""
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError(f"`{what}.listing` {listing} must be UTF-8 text: {error}.") from error
    except OSError as error:
        raise ConfigError(
            f"`{what}.listing` must be a text file of image stems, but {listing} cannot be read: "
            f"{error.strerror}."
        ) from error
    wanted = {line.strip() for line in lines if line.strip()}
    missing = wanted - {stem_of(uri) for uri in (*found.uris, *(uri for uri, _ in found.unusable))}
    if missing:
        some = ", ".join(sorted(missing)[:5])
        raise ConfigError(
            f"`{what}.listing` {listing} names {len(missing)} image(s) that do not exist: {some} ..."
        )
    return FoundFiles(
        [uri for uri in found.uris if stem_of(uri) in wanted],
        # A folder that could not be read may have held what is missing; it stays.
        [(uri, why) for uri, why in found.unusable if stem_of(uri) in wanted or _may_be_folder(uri)],
    )


def _may_be_folder(place: str) -> bool:
    try:
        return Path(place).is_dir()
    except OSError:  # what a link leads to cannot be told
        return True


def list_source(campaign: Campaign, dataset: str, source: ImageSource, seen: dict[str, str]) -> Listing:
    """All images of one source.

    Args:
        campaign: for the classes and the encoding of masks.
        dataset: `pool`, `training` or `familiar`.
        source: where the images are.
        seen: image_id -> name of the file it was first found in; images of earlier sources are left out as
            duplicates.
    """
    metadata = read_metadata(source)
    found = source_files(source, what=dataset)
    listing = Listing([], [_reject(uri, reason) for uri, reason in found.unusable], [])
    uris = _without_twins(source, found.uris, listing)
    copies: set[str] = set()
    with progress(f"reading {dataset} images", len(uris), "image") as shown:
        for uri, examined in _examined_ahead(uris, lambda uri: _examine(uri, source)):
            shown.advance()
            try:
                image = examined.result()
                if image.image_id in seen:
                    copies.add(uri)
                    raise DataError(f"same content as {seen[image.image_id]}")  # noqa: TRY301 - one more reason
                row = {
                    "dataset": dataset,
                    "image_id": image.image_id,
                    "uri": uri,
                    "width": image.width,
                    "height": image.height,
                    "group": group_of(stem_of(uri), source, metadata) or image.image_id,
                    "attributes": canonical_json(metadata.get(stem_of(uri), {})),
                }
                if source.masks is not None:
                    row |= _labelled(campaign, dataset, source.masks, image, listing)
            except DataError as error:
                listing.rejects.append(_reject(uri, str(error)))
            else:
                seen[image.image_id] = PurePosixPath(uri).name
                listing.images.append(row)
    _drop_doubtful(campaign, [uri for uri in uris if uri not in copies], listing)
    return listing


def _without_twins(source: ImageSource, uris: list[str], listing: Listing) -> list[str]:
    """The files that masks and metadata, which go by stem, can be told apart for; twins go to the rejects."""
    if source.masks is None and source.metadata is None:
        return uris
    counts = Counter(stem_of(uri) for uri in uris)
    for uri in uris:
        if (count := counts[stem_of(uri)]) > 1:
            reason = f"{count} images are called {_shown(stem_of(uri))!r}; masks and metadata go by that"
            listing.rejects.append(_reject(uri, reason))
    return [uri for uri in uris if counts[stem_of(uri)] == 1]


def _drop_doubtful(campaign: Campaign, uris: list[str], listing: Listing) -> None:
    """Move twins to the rejects whose finished map is named by the stem: it may be the other one's."""
    counts = Counter(stem_of(uri) for uri in uris)
    kept = []
    for row in listing.images:
        stem = stem_of(row["uri"])
        doubtful = (m.name for m in _finished(campaign) if goes_by_stem(m, row["image_id"], stem))
        name = next(doubtful, None) if counts[stem] > 1 else None
        if name is None:
            kept.append(row)
            continue
        reason = (
            f"{counts[stem]} images are called {_shown(stem)!r}, and {name!r} has one map of that name; name "
            f"the map of this one {row['image_id']}.png"
        )
        listing.rejects.append(_reject(row["uri"], reason))
    listing.images[:] = kept


def _finished(campaign: Campaign) -> list[LabelMaps]:
    """The models whose maps are made elsewhere."""
    return [spec for spec in (campaign.target, *campaign.competitors) if isinstance(spec, LabelMaps)]


def _examined_ahead(
    uris: list[str], examine: Callable[[str], _Found]
) -> Iterator[tuple[str, Future[_Found]]]:
    """Every place in turn with its examination, which threads do a little ahead."""
    with ThreadPoolExecutor(_READERS) as readers:
        waiting: deque[tuple[str, Future[_Found]]] = deque()
        for uri in uris:
            waiting.append((uri, readers.submit(examine, uri)))
            if len(waiting) == _AHEAD:
                yield waiting.popleft()
        yield from waiting


def _examine(uri: str, source: ImageSource) -> _Found:
    """The image at `uri`.

    Raises:
        DataError: it cannot be read, is no image, or is too large.
    """
    if _shown(uri) != uri:
        raise DataError("the path is not UTF-8, so no record could name it; rename it")
    limit = source.max_megapixels
    content = read_bytes(uri, max_bytes=int(limit * 1e6 * _BYTES_PER_PIXEL) + _SPARE_BYTES)
    header = read_header(content, where=uri)
    if header.megapixels > limit:
        raise DataError(
            f"{uri}: at most {limit:g} megapixels were required, it has {header.height} x {header.width}; "
            "make it smaller, or raise `max_megapixels`."
        )
    if source.masks is not None:
        decode_image(content, where=uri)
    return _Found(uri, digest_of_bytes(content), header.height, header.width)


def _labelled(
    campaign: Campaign, dataset: str, masks: Path, found: _Found, listing: Listing
) -> dict[str, Any]:
    """The mask columns of a labelled image; its class areas are noted.

    Raises:
        DataError: the mask is missing, unreadable, of another size or has an unknown value.
    """
    mask_path = masks / f"{stem_of(found.uri)}.png"
    if not mask_path.is_file():
        raise DataError(f"A mask was required at {mask_path}, but there is none.")
    mask = read_mask(mask_path, campaign.mask_encoding, campaign.classes, (found.height, found.width))
    areas = class_areas(mask, campaign.classes.count)
    listing.label_areas.append(
        {"dataset": dataset, "image_id": found.image_id, "pixels": mask.size, "class_px": areas.tolist()}
    )
    return {"mask_digest": map_digest(mask), "mask_uri": str(mask_path)}


def _reject(uri: str, reason: str) -> dict[str, Any]:
    return {
        "stage": "pool",
        "item": _shown(PurePosixPath(uri).name),
        "reason": _shown(reason),
        "uri": _shown(uri),
    }


def _shown(text: str) -> str:
    """The text; bytes of a file's name that are not UTF-8 as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()


@stage_task("list images")
def list_images(round_: Round) -> ArtifactRef:
    """The round's snapshot of pool, training set and familiar test set: taken once, at the round's start."""
    campaign = round_.campaign
    sources = {
        "training": campaign.training_set,
        "familiar": campaign.familiar_test_set,
        "pool": campaign.pool,  # last: a pool image that is also labelled is the labelled one
    }
    finished = [str(spec.path) for spec in _finished(campaign)]
    key = StageKey(
        "pool",
        VERSION,
        ({"finished_maps": finished} if finished else {})
        | {
            "campaign": campaign.name,
            "round": round_.number,
            "classes": campaign.classes.model_dump(mode="json"),
            "mask_encoding": campaign.mask_encoding.model_dump(mode="json"),
            "sources": {name: source.model_dump(mode="json") for name, source in sources.items()},
        },
    )

    def fill(draft: Draft) -> None:
        seen: dict[str, str] = {}
        listings = [list_source(campaign, name, source, seen) for name, source in sources.items()]
        for name, listing in zip(sources, listings, strict=True):
            if not listing.images:
                first = listing.rejects[0]["reason"] if listing.rejects else "no files"
                raise DataError(f"No image of `{name}` can be used; the first reason: {first}")
        for record, part in ((IMAGES, "images"), (REJECTS, "rejects"), (LABEL_AREAS, "label_areas")):
            draft.write_table(record, [row | round_.labels for one in listings for row in getattr(one, part)])

    return remember(round_, "pool", round_.open_store().make(key, fill))
