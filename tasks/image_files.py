"""Image files wherever they are: in a folder, below a prefix in a bucket, or named in a text file.

A place is a path or an `s3://` URI. What cannot be an image is never left out in silence: it is named, with
the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath

from configs.locations import is_foreign_uri, is_object_uri, split_object_uri
from models.decoding import IMAGE_SUFFIXES
from tasks.core.digests import digest_of_bytes
from tasks.errors import ConfigError, DataError
from tasks.services.object_store import list_objects, read_object


@dataclass
class FoundFiles:
    """What a source has.

    Attributes:
        uris: places of files that may be images, in a fixed order.
        unusable: places of what cannot be read as one, each with its reason.
    """

    uris: list[str] = field(default_factory=list)
    unusable: list[tuple[str, str]] = field(default_factory=list)


def find_image_files(images: Path | str, *, what: str) -> FoundFiles:
    """The image files of a source.

    A folder is searched recursively, links to folders are followed; a file counts by its suffix. In a text
    file every line that is not empty names one file, whatever its suffix; relative paths count from its
    folder.

    Args:
        images: a folder, `s3://bucket/prefix`, or a text file of places.
        what: names the source in errors.

    Raises:
        ConfigError: it is none of these.
        ServiceError: the object store does not answer or refused.
    """
    if is_object_uri(images):
        uris = [uri for uri in list_objects(str(images)) if is_image_name(uri)]
        return FoundFiles(uris)
    path = Path(images)
    if path.is_dir():
        return _files_below(path)
    if path.is_file():
        return FoundFiles(_listed_places(path, what))
    raise ConfigError(
        f"`{what}.images` must be a folder of images, a text file that names one image a line, or an "
        f"`s3://bucket/prefix`, but {images} is none of these."
    )


def is_image_name(uri: str) -> bool:
    """Whether a file of this name is looked at."""
    return PurePosixPath(uri).suffix.lower() in IMAGE_SUFFIXES


def stem_of(uri: str) -> str:
    """The name by which masks, metadata and listings know an image."""
    return PurePosixPath(uri).stem


def read_bytes(uri: str, *, max_bytes: int | None = None) -> bytes:
    """The bytes of an image file.

    Args:
        uri: path or `s3://` URI.
        max_bytes: what the file may have, as `max_megapixels` says; a larger one is not read.

    Raises:
        DataError: there is no such file, it is something else than a file, cannot be read, or is too large.
        ServiceError: the object store does not answer or refused.
    """
    if is_object_uri(uri):
        return read_object(uri, max_bytes=max_bytes)
    path = Path(uri)
    try:
        if not path.is_file():  # a pipe would be waited for, a device never ends
            raise DataError(f"{uri}: a file was required, but {_what_is_at(path)}.")
        size = path.stat().st_size
        if max_bytes is None or size <= max_bytes:
            with path.open("rb") as file:  # what is written to meanwhile, or has no size, may have more
                content = file.read(-1 if max_bytes is None else max_bytes + 1)
            size = len(content)
    except OSError as error:
        raise DataError(f"{uri}: an image was required, but it cannot be read: {error.strerror}.") from error
    if max_bytes is not None and size > max_bytes:
        raise DataError(
            f"{uri}: at most {max_bytes} bytes were required, as `max_megapixels` says, it has {size}."
        )
    return content


def read_verified(uri: str, image_id: str) -> bytes:
    """The bytes of an image file, which must still be those it was listed with.

    Raises:
        DataError: the file is gone, or its bytes have changed.
        ServiceError: the object store does not answer or refused.
    """
    try:
        content = read_bytes(uri)
    except DataError as error:
        raise DataError(f"The image {uri} was listed in the pool but cannot be read: {error}") from error
    if digest_of_bytes(content) != image_id:
        raise DataError(
            f"The image {uri} has changed since the pool was listed; the new one joins the next round."
        )
    return content


def _files_below(root: Path) -> FoundFiles:
    """Image files in a folder and all folders below it, sorted by path."""
    found = FoundFiles()
    waiting: list[tuple[Path, frozenset[tuple[int, int]]]] = [(root, frozenset())]
    while waiting:
        folder, above = waiting.pop()
        try:
            status = folder.stat()
            identity = (status.st_dev, status.st_ino)
            if identity in above:
                found.unusable.append((str(folder), "a link to a folder that it lies in; it is not followed"))
                continue
            entries = list(folder.iterdir())
        except OSError as error:
            found.unusable.append((str(folder), f"the folder cannot be read: {error.strerror}"))
            continue
        for path in entries:
            try:
                if path.is_dir():
                    waiting.append((path, above | {identity}))
                elif is_image_name(path.name):
                    _note(path, found)
            except OSError as error:
                found.unusable.append((str(path), f"what is there cannot be told: {error.strerror}"))
    found.uris.sort(key=PurePath)
    found.unusable.sort()
    return found


def _note(path: Path, found: FoundFiles) -> None:
    if path.is_file():
        found.uris.append(str(path))
    else:
        found.unusable.append((str(path), f"a file was required, but {_what_is_at(path)}"))


def _what_is_at(path: Path) -> str:
    if path.is_symlink() and not path.exists():
        return "this is a link to nothing"
    return "this is something else" if path.exists() else "there is none"


def _listed_places(listing: Path, what: str) -> list[str]:
    """Places named in a text file."""
    try:
        lines = [line.strip() for line in listing.read_text(encoding="utf-8").splitlines()]
    except (UnicodeDecodeError, OSError) as error:
        raise ConfigError(
            f"`{what}.images` {listing} is a file, so it must be UTF-8 text that names one image a line: "
            f"{error}."
        ) from error
    for number, line in enumerate(lines, start=1):
        # What is refused may hold a signature or a password, so it is not repeated.
        if is_foreign_uri(line) or (is_object_uri(line) and not _names_an_object(line)):
            raise ConfigError(
                f"{listing}, line {number}: a path or an `s3://bucket/key` with a bucket's lower-case name "
                "was required, but this is another URI; correct it, or fetch the image and name the file."
            )
    return [line if is_object_uri(line) else str(listing.parent / line) for line in lines if line]


def _names_an_object(uri: str) -> bool:
    try:
        _, key = split_object_uri(uri)
    except ValueError:
        return False
    return key != ""
