"""Pool: which images there are, known by the digest of their bytes, and which were rejected and why."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.schema import Campaign, ImageSource
from models.preprocess import decode_image, read_mask
from tasks.artifacts import ArtifactRef, Draft, StageKey
from tasks.core.digests import canonical_json, digest_of_bytes
from tasks.core.label_maps import class_areas, map_digest
from tasks.core.records import IMAGES, LABEL_AREAS, REJECTS
from tasks.errors import ConfigError, DataError
from tasks.progress import Progress, progress
from tasks.rounds import Round, remember
from tasks.stage import stage_task

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
VERSION = 1

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

    path: Path
    image_id: str
    width: int
    height: int


def image_files(source: ImageSource, *, what: str) -> list[Path]:
    """The image files of a source, sorted by path.

    Raises:
        ConfigError: the folder or the listing does not exist, or there is no image.
    """
    if not source.images.is_dir():
        raise ConfigError(f"`{what}.images` must be a folder of images, but {source.images} is not a folder.")
    files = sorted(p for p in source.images.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file())
    if source.listing is not None:
        files = _listed(files, source.listing, what)
    if not files:
        raise ConfigError(f"`{what}.images` must hold at least one image, but {source.images} holds none.")
    return files


def _listed(files: list[Path], listing: Path, what: str) -> list[Path]:
    if not listing.is_file():
        raise ConfigError(
            f"`{what}.listing` must be a text file of image stems, but {listing} does not exist."
        )
    wanted = {line.strip() for line in _text_of(listing, what).splitlines() if line.strip()}
    missing = wanted - {p.stem for p in files}
    if missing:
        some = ", ".join(sorted(missing)[:5])
        raise ConfigError(
            f"`{what}.listing` {listing} names {len(missing)} image(s) that do not exist: {some} ..."
        )
    return [p for p in files if p.stem in wanted]


def _text_of(listing: Path, what: str) -> str:
    try:
        return listing.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"`{what}.listing` {listing} must be UTF-8 text: {error}.") from error


def read_metadata(source: ImageSource) -> dict[str, dict[str, str]]:
    """Metadata rows by stem; empty without a metadata file.

    Raises:
        ConfigError: the file is missing, or lacks a column that the source names.
    """
    if source.metadata is None:
        return {}
    try:
        with source.metadata.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            for needed in ("stem", source.group_column):
                if needed is not None and needed not in (reader.fieldnames or ()):
                    raise ConfigError(
                        f"{source.metadata} needs a column {needed!r}, it has {reader.fieldnames}."
                    )
            rows = {}
            for row in reader:
                if None in row or None in row.values():
                    raise ConfigError(
                        f"{source.metadata}, line {reader.line_num}, needs {len(reader.fieldnames or ())} "
                        f"fields, as its header has, got {list(row.values())}."
                    )
                rows[row.pop("stem")] = row
            return rows
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{source.metadata} must be a CSV file in UTF-8: {error}.") from error
    except OSError as error:
        raise ConfigError(f"The metadata file {source.metadata} cannot be read: {error.strerror}.") from error


def group_of(stem: str, source: ImageSource, metadata: dict[str, dict[str, str]]) -> str | None:
    """The scene an image belongs to; None where the source has no scenes and each image is its own.

    Raises:
        DataError: a group was asked for and this image has none.
    """
    if source.group_column is not None:
        group = metadata.get(stem, {}).get(source.group_column)
        if not group:
            raise DataError(
                f"{source.metadata} has no `{source.group_column}` for {stem!r}, which needs one."
            )
        return group
    if source.group_pattern is not None:
        match = re.search(source.group_pattern, stem)
        group = None if match is None else match.group(1 if match.groups() else 0)
        if group is None:
            raise DataError(f"`group_pattern` {source.group_pattern!r} does not match {stem!r}.")
        return group if source.group_frames is None else _block(group, match, source.group_frames)
    return None


def _block(video: str, match: re.Match[str] | None, frames: int) -> str:
    """Name of the block of `frames` frames that a frame of `video` belongs to."""
    number = "" if match is None else match.group(2) or ""
    if not number.isdecimal():
        raise DataError(
            f"The second group of `group_pattern` must be a frame's number, got {number!r} in {video}."
        )
    return f"{video}-{int(number) // frames:04d}"


def list_source(campaign: Campaign, dataset: str, source: ImageSource, seen: dict[str, str]) -> Listing:
    """All images of one source.

    Args:
        campaign: for the classes and the encoding of masks.
        dataset: `pool`, `training` or `familiar`.
        source: where the images are.
        seen: image_id -> where it was first found; images of earlier sources are left out as duplicates.
    """
    listing = Listing([], [], [])
    metadata = read_metadata(source)
    files = _without_twins(source, image_files(source, what=dataset), listing)
    with progress(f"reading {dataset} images", len(files), "image") as shown:
        for found in _readable(files, seen, listing, shown):
            try:
                row = {
                    "dataset": dataset,
                    "image_id": found.image_id,
                    "uri": str(found.path),
                    "width": found.width,
                    "height": found.height,
                    "group": group_of(found.path.stem, source, metadata) or found.image_id,
                    "attributes": canonical_json(metadata.get(found.path.stem, {})),
                }
                if source.masks is not None:
                    row |= _labelled(campaign, dataset, source.masks, found, listing)
            except DataError as error:
                listing.rejects.append(_reject(found.path, str(error)))
            else:
                listing.images.append(row)
    return listing


def _without_twins(source: ImageSource, files: list[Path], listing: Listing) -> list[Path]:
    """The files that masks and metadata, which go by stem, can be told apart for; twins go to the rejects."""
    if source.masks is None and source.metadata is None:
        return files
    counts = Counter(path.stem for path in files)
    for path in files:
        if counts[path.stem] > 1:
            listing.rejects.append(
                _reject(
                    path,
                    f"{counts[path.stem]} images are called {path.stem!r}; masks and metadata go by that",
                )
            )
    return [path for path in files if counts[path.stem] == 1]


def _readable(files: list[Path], seen: dict[str, str], listing: Listing, shown: Progress) -> Iterator[_Found]:
    """The files that are images and were not seen before; the others go to the rejects."""
    for path in files:
        shown.advance()
        if _shown(path) != str(path):
            listing.rejects.append(
                _reject(path, "the path is not UTF-8, so no record could name it; rename it")
            )
            continue
        try:
            content = path.read_bytes()
            image_id = digest_of_bytes(content)
            if image_id in seen:
                listing.rejects.append(_reject(path, f"same content as {seen[image_id]}"))
                continue
            height, width = decode_image(content, where=str(path)).shape[:2]
        except (DataError, OSError) as error:
            listing.rejects.append(_reject(path, str(error)))
            continue
        seen[image_id] = path.name
        yield _Found(path, image_id, width, height)


def _labelled(
    campaign: Campaign, dataset: str, masks: Path, found: _Found, listing: Listing
) -> dict[str, Any]:
    """The mask columns of a labelled image; its class areas are noted.

    Raises:
        DataError: the mask is missing, unreadable, of another size or has an unknown value.
    """
    mask_path = masks / f"{found.path.stem}.png"
    if not mask_path.is_file():
        raise DataError(f"A mask was required at {mask_path}, but there is none.")
    mask = read_mask(mask_path, campaign.mask_encoding, campaign.classes)
    if mask.shape != (found.height, found.width):
        raise DataError(
            f"{mask_path} must have its image's size {found.height} x {found.width}, it is "
            f"{mask.shape[0]} x {mask.shape[1]}."
        )
    areas = class_areas(mask, campaign.classes.count)
    listing.label_areas.append(
        {"dataset": dataset, "image_id": found.image_id, "pixels": mask.size, "class_px": areas.tolist()}
    )
    return {"mask_digest": map_digest(mask), "mask_uri": str(mask_path)}


def _reject(path: Path, reason: str) -> dict[str, Any]:
    return {"stage": "pool", "item": _shown(Path(path.name)), "reason": reason, "uri": _shown(path)}


def _shown(path: Path) -> str:
    """The path as text; bytes that are not UTF-8 as escapes."""
    return str(path).encode("utf-8", "backslashreplace").decode()


@stage_task("list images")
def list_images(round_: Round) -> ArtifactRef:
    """The round's snapshot of pool, training set and familiar test set: taken once, at the round's start."""
    campaign = round_.campaign
    sources = {
        "training": campaign.training_set,
        "familiar": campaign.familiar_test_set,
        "pool": campaign.pool,  # last: a pool image that is also labelled is the labelled one
    }
    key = StageKey(
        "pool",
        VERSION,
        {
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
