"""The artefact store: what a stage made, written once under a key, its completion marker last.

A key says which stage, which version of its code, which config fields and which inputs. A stage whose marker
exists is loaded, not run. Two runners may work on the same key at once; the first marker wins and the other
runner loads the winner's result.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core.digests import digest_of, digest_of_bytes
from tasks.core.records import Record
from tasks.errors import DataError
from tasks.services.storage import Storage, open_storage

Row = Mapping[str, Any]
_ARROW_TYPES = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "list<int64>": pa.list_(pa.int64()),
}
_STORE_VERSION = 1


@dataclass(frozen=True)
class StageKey:
    """What decides a stage's result.

    Attributes:
        stage: folder of the stage's artefacts; may have sub-folders.
        version: version of the stage's code, raised when its result would change.
        config: the config fields that the stage declares, as plain values.
        inputs: name -> digest of every input.
    """

    stage: str
    version: int
    config: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of everything in the key."""
        return digest_of([self.stage, self.version, dict(self.config), dict(self.inputs)])


@dataclass(frozen=True)
class ArtifactRef:
    """A completed artefact: small and serialisable, so that tasks can hand it on.

    Attributes:
        stage: the stage that made it.
        key: digest of its key.
        digest: digest of its identity, the input digest of the stages after it.
        folder: name of its folder in the store.
    """

    stage: str
    key: str
    digest: str
    folder: str


class ArtifactStore:
    """Artefacts, blobs and round indices in one storage."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    @classmethod
    def at(cls, place: str | Path) -> ArtifactStore:
        """The store at a place: a folder, or `s3://bucket/prefix`."""
        return cls(open_storage(str(place)))

    def find(self, key: StageKey) -> ArtifactRef | None:
        """The completed artefact of `key`, or None."""
        content = self.storage.get(_marker_name(key.stage, key.digest))
        return None if content is None else _ref_of(json.loads(content))

    def found_under(self, stage: str) -> list[ArtifactRef]:
        """All completed artefacts of a stage, in name order."""
        names = [n for n in self.storage.names(f"artefacts/{stage}") if n.endswith("/complete.json")]
        return [_ref_of(json.loads(self.storage.get(name) or b"")) for name in names]

    def make(self, key: StageKey, fill: Callable[[Draft], None]) -> ArtifactRef:
        """The artefact of `key`: loaded if it is complete, else made by `fill` and committed."""
        found = self.find(key)
        if found is not None:
            return found
        with self.storage.scratch() as scratch:
            draft = Draft(scratch)
            fill(draft)
            return self._commit(key, draft)

    def marker(self, ref: ArtifactRef) -> dict[str, Any]:
        """The completion marker: files, tables, digests and when it was made."""
        content = self.storage.get(_marker_name(ref.stage, ref.key))
        if content is None:
            raise DataError(
                f"The artefact {ref.folder} has no completion marker any more; was it removed by hand?"
            )
        marker: dict[str, Any] = json.loads(content)
        return marker

    def table(self, ref: ArtifactRef, record: Record) -> pa.Table:
        """A table of the artefact, rows in key order."""
        return pq.read_table(self.path(ref, f"{record.name}.parquet"))

    def rows(self, ref: ArtifactRef, record: Record) -> list[dict[str, Any]]:
        """A table of the artefact as a list of plain rows, in key order."""
        return self.table(ref, record).to_pylist()  # type: ignore[no-any-return]

    def path(self, ref: ArtifactRef, name: str) -> Path:
        """A readable path to a file of the artefact."""
        return self.storage.local_path(f"{ref.folder}/{name}")

    def folder(self, ref: ArtifactRef, name: str) -> Path:
        """A readable folder with all files that the artefact has below `name/`."""
        files = [file for file in self.marker(ref)["files"] if file.startswith(f"{name}/")]
        paths = {file: self.path(ref, file) for file in files}
        if not paths:
            raise DataError(f"The artefact {ref.folder} should have files below {name}/, but it has none.")
        file, path = next(iter(paths.items()))
        folder: Path = path.parents[file.count("/") - name.count("/") - 1]
        return folder

    def put_blob(self, content: bytes, suffix: str) -> str:
        """Digest under which `content` is kept; storing the same bytes twice keeps one copy."""
        digest = digest_of_bytes(content)
        self.storage.put_if_absent(f"blobs/{digest}{suffix}", content)
        return digest

    def blob(self, digest: str, suffix: str) -> bytes:
        """The bytes kept under `digest`.

        Raises:
            DataError: they are missing, or no longer what was stored.
        """
        content = self.storage.get(f"blobs/{digest}{suffix}")
        if content is None or digest_of_bytes(content) != digest:
            raise DataError(
                f"The store should hold blob {digest}{suffix} unchanged, but it is missing or damaged."
            )
        return content

    def _commit(self, key: StageKey, draft: Draft) -> ArtifactRef:
        folder = f"artefacts/{key.stage}/{key.digest}/{uuid.uuid4().hex[:12]}"
        identity = draft.identity()
        marker = {
            "store_version": _STORE_VERSION,
            "stage": key.stage,
            "key": key.digest,
            "folder": folder,
            "digest": identity,
            "version": key.version,
            "config": dict(key.config),
            "inputs": dict(key.inputs),
            "tables": draft.tables,
            "files": draft.files,
            "created_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        for name in draft.names():
            self.storage.put_file(f"{folder}/{name}", draft.folder / name)
        self.storage.put_if_absent(_marker_name(key.stage, key.digest), json.dumps(marker, indent=1).encode())
        committed = self.find(key)  # another runner's, if its marker came first
        if committed is None:
            raise DataError(f"The completion marker of {folder} vanished while it was being written.")
        return committed


class Draft:
    """The files of an artefact before it is committed; everything in `folder` becomes part of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tables: dict[str, dict[str, Any]] = {}
        self.files: dict[str, str] = {}

    def write_table(self, record: Record, rows: pa.Table | Iterable[Row]) -> None:
        """Write a table, its rows in key order."""
        table = rows if isinstance(rows, pa.Table) else table_of(record, rows)
        table = table.sort_by([(name, "ascending") for name in record.key])
        pq.write_table(table, self.folder / f"{record.name}.parquet", compression="zstd")
        self.tables[record.name] = {"rows": table.num_rows, "identity": identity_digest(record, table)}

    def add_file(self, name: str, *, identity: bool) -> None:
        """Declare a file in `folder`; `identity` says whether its bytes are part of what was found."""
        content = (self.folder / name).read_bytes()
        self.files[name] = digest_of_bytes(content) if identity else ""

    def write_file(self, name: str, content: bytes, *, identity: bool) -> None:
        """Write and declare a file."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.add_file(name, identity=identity)

    def identity(self) -> str:
        """Digest over the identity of all tables and identity files."""
        return digest_of(
            [
                {name: facts["identity"] for name, facts in self.tables.items()},
                {name: digest for name, digest in self.files.items() if digest},
            ]
        )

    def names(self) -> list[str]:
        """Names of all files to keep."""
        declared = [*(f"{name}.parquet" for name in self.tables), *self.files]
        found = {
            path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()
        }
        undeclared = sorted(found.difference(declared))
        if undeclared:
            raise ValueError(f"every file of an artefact must be declared, but these are not: {undeclared}")
        return declared


def table_of(record: Record, rows: Iterable[Row]) -> pa.Table:
    """Rows as an Arrow table with exactly the record's columns.

    Raises:
        ValueError: a row has a column that the record does not know.
    """
    listed = list(rows)
    known = {column.name for column in record.columns}
    for row in listed:
        if not row.keys() <= known:
            raise ValueError(f"record {record.name!r} has no column(s) {sorted(row.keys() - known)}")
    return pa.table(
        {c.name: pa.array([row.get(c.name) for row in listed], _ARROW_TYPES[c.type]) for c in record.columns}
    )


def identity_digest(record: Record, table: pa.Table) -> str:
    """SHA-256 (hex) over the identity columns, rows in the order given (key order in the store)."""
    sha = hashlib.sha256()
    for column in record.columns:
        if not column.identity:
            continue
        values = table[column.name].combine_chunks()
        sha.update(f"{column.name}:{column.type}:{len(values)};".encode())
        sha.update(np.asarray(values.is_null()).tobytes())
        if column.type == "list<int64>":
            sha.update(np.asarray(values.value_lengths().fill_null(-1)).astype("<i8").tobytes())
            sha.update(np.asarray(values.flatten()).astype("<i8").tobytes())
        elif column.type == "string":
            for text in values.fill_null("").to_pylist():
                sha.update(f"{len(text)}:{text}".encode())
        else:
            numeric = np.asarray(
                values.cast(pa.float64() if column.type == "float64" else pa.int64()).fill_null(0)
            )
            # -0.0 and the many bit patterns of NaN are one value each
            sha.update(
                (
                    np.where(np.isnan(numeric), np.nan, numeric) + 0.0
                    if column.type == "float64"
                    else numeric
                ).tobytes()
            )
    return sha.hexdigest()


def _marker_name(stage: str, key: str) -> str:
    return f"artefacts/{stage}/{key}/complete.json"


def _ref_of(marker: Mapping[str, Any]) -> ArtifactRef:
    if marker["store_version"] > _STORE_VERSION:
        raise DataError(
            f"The store was written by a newer madloop (store version {marker['store_version']}, this one "
            f"knows {_STORE_VERSION}); update the checkout."
        )
    return ArtifactRef(marker["stage"], marker["key"], marker["digest"], marker["folder"])
