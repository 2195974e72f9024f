"""The append-only log of what people answered. Nothing is ever changed or removed in it.

A log is a folder of write-once segments, each named by its content, so writing one twice is harmless. An edit
of an answer is a new row with the same annotation id and a later time.
"""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.artifacts import Row, table_of
from tasks.core.digests import digest_of, digest_of_bytes
from tasks.core.records import ANSWERS, CHECKS, DRAWINGS, Record
from tasks.errors import DataError
from tasks.rounds import Round

VALID = "valid"
DELETED = "deleted"  # a row of this state notes that an answer is gone from Label Studio; ours stays

Subject = TypeVar("Subject", bound=Hashable)


@dataclass(frozen=True)
class Log:
    """A log of what people did.

    Attributes:
        record: its columns; the record's name is its folder.
        person: the column that says who.
        work: what is logged, as people call it.
    """

    record: Record
    person: str
    work: str


RATINGS_LOG = Log(ANSWERS, "rater", "ratings")
DRAWINGS_LOG = Log(DRAWINGS, "annotator", "masks")
CHECKS_LOG = Log(CHECKS, "checker", "checks")
LOGS = (RATINGS_LOG, DRAWINGS_LOG, CHECKS_LOG)


def read_log(round_: Round, record: Record) -> list[dict[str, Any]]:
    """All rows of a campaign's log, oldest first.

    Raises:
        DataError: a segment is damaged; answers are never left out in silence.
    """
    storage = round_.open_store().storage
    rows: list[dict[str, Any]] = []
    for name in storage.names(_folder(round_, record)):
        try:
            rows.extend(pq.read_table(io.BytesIO(storage.get(name) or b"")).to_pylist())
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                f"The segment {name} of the log of answers must be a Parquet file, but: {error}. Restore "
                "it from a backup; without one, remove it, and Label Studio is asked again."
            ) from error
    unique = {_row_digest(row): row for row in rows}
    return sorted(unique.values(), key=_moment)


def append_to_log(round_: Round, record: Record, rows: Iterable[Row]) -> int:
    """Write those of `rows` that the log does not hold yet; returns how many those were."""
    known = {_row_digest(row) for row in read_log(round_, record)}
    # As the log would give them back: 12 seconds and 12.0 seconds are one answer.
    given = {_row_digest(row): row for row in table_of(record, rows).to_pylist()}
    fresh = [row for digest, row in given.items() if digest not in known]
    if fresh:
        buffer = io.BytesIO()
        pq.write_table(table_of(record, fresh), buffer)
        content = buffer.getvalue()
        moment = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S")
        name = f"{_folder(round_, record)}/{moment}-{digest_of_bytes(content)[:16]}.parquet"
        round_.open_store().storage.put_if_absent(name, content)
    return len(fresh)


def newest_per_annotation(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The newest row of every annotation, oldest annotation first: an edit replaces what it edited."""
    newest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in sorted(rows, key=_moment):
        newest[(row["image_id"], person_of(row), row["annotation_id"])] = row
    return list(newest.values())


def person_of(row: Row) -> str:
    """Who gave the answer in a row of any of the logs."""
    return str(next(row[log.person] for log in LOGS if row.get(log.person) is not None))


def newest_valid(
    rows: Iterable[dict[str, Any]], subject: Callable[[dict[str, Any]], Subject]
) -> dict[Subject, dict[str, Any]]:
    """The newest valid answer to every subject.

    What came later and is not valid (a skip, a deletion, a change by somebody else) takes nothing away: the
    person's own last valid answer counts.

    Args:
        rows: of one log, in any order.
        subject: what an answer is about and who had to give it.
    """
    valid = [row for row in rows if row["state"] == VALID]
    return {subject(row): row for row in sorted(valid, key=_moment)}


def deletions(
    rows: Iterable[dict[str, Any]], present: Collection[int], noticed: datetime.datetime
) -> list[dict[str, Any]]:
    """Rows that note which answers are gone from Label Studio; each answer is noted once.

    Args:
        rows: what the log has of one project.
        present: ids of the annotations that the project has now.
        noticed: when that was looked at.
    """
    logged = sorted(rows, key=_moment)
    noted = {row["annotation_id"] for row in logged if row["state"] == DELETED}
    newest = {row["annotation_id"]: row for row in logged}
    gone = [row for number, row in newest.items() if number not in present and number not in noted]
    return [row | {"state": DELETED, "submitted_at": noticed.isoformat()} for row in gone]


def last_seen(rows: Iterable[dict[str, Any]]) -> datetime.datetime | None:
    """The time of the newest answer in `rows`, by the server's clock; None if there is none."""
    moments = [row["submitted_at"] for row in rows if row["state"] != DELETED]
    return max(map(datetime.datetime.fromisoformat, moments), default=None)


def _moment(row: Row) -> tuple[datetime.datetime, int]:
    # Compared as times: with and without a fraction of a second, times do not sort as text.
    return datetime.datetime.fromisoformat(row["submitted_at"]), row["annotation_id"]


def _row_digest(row: Row) -> str:
    return digest_of({k: v for k, v in row.items() if k not in ("campaign", "round") and v is not None})


def _folder(round_: Round, record: Record) -> str:
    return f"campaigns/{round_.campaign.name}/{record.name}"
