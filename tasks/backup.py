"""What a backup of a campaign holds, and the file it is kept in.

A backup holds everything that people did (answers, drawings, masks) and what is needed to make sense of it
and to go on: the campaign, the indices of its rounds and every artefact they name, the chosen networks among
them. Left out is what a machine makes again: maps of the pool, networks of single trials, counts on test
sets. An index entry is in the backup if its artefact is. Logins and tokens are not in the store, so they are
never in a backup.

The file is a tar archive, compressed with zstd, members in the order in which they must come back: what is
referred to before what refers to it. The last member is a manifest with the SHA-256 of all others, so a file
that was cut short has none.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import zstandard
from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.answer_log import LOGS, read_log
from tasks.artifacts import ArtifactRef, ArtifactStore
from tasks.core.digests import digest_of_bytes
from tasks.core.records import DRAWINGS
from tasks.errors import ConfigError, DataError
from tasks.pseudonyms import FOLDER as PEOPLE
from tasks.rounds import Round, index_entries

FORMAT, VERSION = "madloop-backup", 1
MANIFEST = "manifest.json"
LEFT_OUT = frozenset({"trials"})  # stages whose index entries stay outside
_FOLDERS = ("artefacts", "blobs", "campaigns", PEOPLE, "reports")
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_CHUNK_BYTES = 1 << 20
_PACKED_BYTES = 1 << 16
_BROKEN = (zstandard.ZstdError, tarfile.TarError, EOFError)


class Stored(BaseModel):
    """One file of a backup."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    size_bytes: int


class Manifest(BaseModel):
    """The last member of a backup: what all others must be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str
    version: int
    campaigns: tuple[str, ...]
    created_at: str
    files: dict[str, Stored]


class BackupContent:
    """Names of the files of a backup, in the order in which they must come back; and what is missing."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store
        self._names: dict[str, None] = {}  # a set that keeps its order
        self._indices: list[str] = []
        self.missing: list[str] = []

    @property
    def names(self) -> list[str]:
        """All names; the indices of rounds come last."""
        return [*self._names, *self._indices]

    def add_campaign(self, first: Round) -> None:
        """Add all of a campaign, given by its first round."""
        name, storage = first.campaign.name, self._store.storage
        for row in read_log(first, DRAWINGS):
            if row["mask_digest"] is not None:
                self._names[f"blobs/{row['mask_digest']}.png"] = None
        for entry, ref in index_entries(self._store, name).items():
            if ref.stage not in LEFT_OUT and self._add_artefact(entry, ref):
                self._indices.append(entry)
        for log in LOGS:
            self._names |= dict.fromkeys(storage.names(f"campaigns/{name}/{log.record.name}"))
        reports = (n for n in storage.names("reports") if re.fullmatch(rf"reports/{name}-round-\d+.*", n))
        self._names |= dict.fromkeys(reports)
        rounds = f"campaigns/{name}/rounds/"
        self._names |= dict.fromkeys(storage.names(PEOPLE))
        others = (n for n in storage.names(f"campaigns/{name}") if not n.startswith(rounds))
        self._names |= dict.fromkeys(others)

    def _add_artefact(self, entry: str, ref: ArtifactRef) -> bool:
        """Whether the artefact that an index entry names is there, and is in the backup now."""
        try:
            marker = self._store.marker(ref)
        except DataError as error:
            self.missing.append(f"{entry}: {error}")
            return False
        if marker["folder"] != ref.folder:
            self.missing.append(f"{entry}: names {ref.folder}, which was made anew since.")
            return False
        files = [*(f"{table}.parquet" for table in marker["tables"]), *marker["files"]]
        self._names |= dict.fromkeys(f"{ref.folder}/{file}" for file in files)
        self._names[f"artefacts/{ref.stage}/{ref.key}/complete.json"] = None
        return True


def write_backup(
    store: ArtifactStore, content: BackupContent, campaigns: Iterable[str], moment: str, sink: IO[bytes]
) -> Manifest:
    """Write the files into `sink`; what the store should hold and does not is added to `content.missing`.

    Args:
        store: where the files are.
        content: which they are.
        campaigns: names of the campaigns.
        moment: ISO date and time of the backup.
        sink: an empty binary file.
    """
    files: dict[str, Stored] = {}
    compressor = zstandard.ZstdCompressor(write_checksum=True)
    with (
        compressor.stream_writer(sink, closefd=False) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name in content.names:
            data = store.storage.get(name)
            if data is None or (name.startswith("blobs/") and digest_of_bytes(data) != Path(name).stem):
                content.missing.append(f"{name}: missing in the store, or damaged.")
                continue
            files[name] = Stored(sha256=digest_of_bytes(data), size_bytes=len(data))
            _add(archive, name, data)
        manifest = Manifest(
            format=FORMAT, version=VERSION, campaigns=tuple(campaigns), created_at=moment, files=files
        )
        _add(archive, MANIFEST, manifest.model_dump_json(indent=1).encode())
    return manifest


def verify_backup(path: Path) -> Manifest:
    """The manifest of a backup, after every file in it was read and compared with it.

    Raises:
        ConfigError: there is no such file.
        DataError: it is no backup, is damaged or cut short, has a name that leads elsewhere, or was written
            by a newer madloop. The message names the member.
    """
    found: dict[str, Stored] = {}
    manifest: Manifest | None = None
    for name, stream in _members(path):
        if manifest is not None:
            raise DataError(f"{path}: the manifest was required to come last, but {name} follows it.")
        if name == MANIFEST:
            manifest = _manifest_of(path, _content(path, name, stream))
            continue
        if name in found:
            raise DataError(f"{path}: {name} was required to be there once, but is there twice.")
        found[name] = _stored(path, name, stream)
        if name.startswith("blobs/") and found[name].sha256 != Path(name).stem:
            raise DataError(f"{path}: {name} is damaged: its content is not what its name says.")
    if manifest is None:
        raise DataError(
            f"{path} was cut short after {list(found)[-1:] or 'its beginning'}: it has no manifest."
        )
    wrong = [
        name for name in manifest.files.keys() | found.keys() if manifest.files.get(name) != found.get(name)
    ]
    if wrong:
        raise DataError(
            f"{path}: {min(wrong)} and {len(wrong) - 1} other(s) are damaged, missing or not listed."
        )
    return manifest


def is_answer(name: str) -> bool:
    """Whether a file is of a log of what people did, or a mask: named by content, in nobody's way."""
    parts = name.split("/")
    logs = {log.record.name for log in LOGS}
    return parts[0] == "blobs" or (parts[0] == "campaigns" and len(parts) > 2 and parts[2] in logs)


def conflicts(store: ArtifactStore, files: Mapping[str, Stored]) -> list[str]:
    """Names that the store has with other content."""
    held = ((name, store.storage.get(name)) for name in files)
    return [name for name, data in held if data is not None and digest_of_bytes(data) != files[name].sha256]


def restore_files(path: Path, store: ArtifactStore, manifest: Manifest, wanted: Callable[[str], bool]) -> int:
    """Put the wanted files of a verified backup into the store; how many were not there before.

    Nothing is replaced. Interrupted, it leaves nothing that refers to what is not there; run it again.

    Raises:
        DataError: the store has another file under such a name, or the backup changed since it was verified.
    """
    fresh = 0
    for name, stream in _members(path):
        if name == MANIFEST or not wanted(name):
            continue
        data = _content(path, name, stream)
        if name not in manifest.files or digest_of_bytes(data) != manifest.files[name].sha256:
            raise DataError(f"{path}: {name} has changed since the backup was verified; run it again.")
        if store.storage.put_if_absent(name, data):
            fresh += 1
        elif store.storage.get(name) != data:
            raise DataError(f"The store has another {name} than {path}; it was left as it is.")
    return fresh


class _Frame(io.BufferedIOBase):
    """What a zstd frame holds; one that was cut short is an error even where only its checksum is missing."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._rest = b""

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes, at most `size`; none at the end of the frame."""
        size = _CHUNK_BYTES if size is None or size < 0 else size
        while len(self._rest) < size and not self._frame.eof:
            packed = self._file.read(_PACKED_BYTES)
            if not packed:
                raise EOFError("the file ends before its data do")
            self._rest += self._frame.decompress(packed)
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


@contextmanager
def _reading(path: Path) -> Iterator[tuple[tarfile.TarFile, _Frame]]:
    try:
        with path.open("rb") as file:
            plain = _Frame(file)
            with tarfile.open(fileobj=plain, mode="r|") as archive:
                yield archive, plain
    except OSError as error:
        raise ConfigError(
            f"A backup was required at {path}, but it cannot be read: {error.strerror}."
        ) from error


def _members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and content of every member, in order; names and kinds are checked."""
    last = "its beginning"
    try:
        with _reading(path) as (archive, plain):
            for member in archive:
                stream = archive.extractfile(member) if member.isreg() else None
                if stream is None or not _is_ours(member.name):
                    raise DataError(
                        f"{path}: {member.name!r} was required to be a file of a store, which it is not; "
                        "nothing was restored."
                    )
                last = member.name
                yield member.name, stream
            while plain.read(_CHUNK_BYTES):  # to the end, where the checksum is
                pass
    except _BROKEN as error:
        raise _damaged(path, last, error) from error


def _content(path: Path, name: str, stream: IO[bytes], size: int = -1) -> bytes:
    """The next `size` bytes of a member, all that is left by default."""
    try:
        return stream.read(size)
    except _BROKEN as error:
        raise _damaged(path, name, error) from error


def _damaged(path: Path, last: str, error: Exception) -> DataError:
    return DataError(f"{path} is no backup, or is damaged, in {last} or after it: {error}.")


def _is_ours(name: str) -> bool:
    parts = name.split("/")
    is_safe = all(_PART.fullmatch(part) for part in parts)
    return name == MANIFEST or (is_safe and len(parts) > 1 and parts[0] in _FOLDERS)


def _manifest_of(path: Path, content: bytes) -> Manifest:
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        raise DataError(f"{path}: {MANIFEST} is not that of a backup: {error}.") from error
    if manifest.format != FORMAT or manifest.version > VERSION:
        raise DataError(
            f"{path} was required to be a {FORMAT} of version {VERSION} or older, but is a {manifest.format} "
            f"of version {manifest.version}; update the checkout."
        )
    return manifest


def _stored(path: Path, name: str, stream: IO[bytes]) -> Stored:
    sha, size = hashlib.sha256(), 0
    while chunk := _content(path, name, stream, _CHUNK_BYTES):
        sha.update(chunk)
        size += len(chunk)
    return Stored(sha256=sha.hexdigest(), size_bytes=size)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(data), 0o600
    archive.addfile(member, io.BytesIO(data))
