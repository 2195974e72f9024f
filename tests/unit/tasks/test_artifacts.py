"""The artefact store: made once, first marker wins, digests of what was found and not of where."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tasks.artifacts import ArtifactStore, Draft, StageKey, identity_digest, table_of
from tasks.core.records import ALL_RECORDS, ANSWERS, CANDIDATES, HISTOGRAMS, Record
from tasks.errors import DataError

KEY = StageKey("stage", 1, {"quota": 2}, {"pool": "ab"})
ROW = {"image_id": "a", "competitor": "rival", "side": "target", "class_name": "disc", "rank": 1}


def _fill(draft: Draft) -> None:
    draft.write_table(CANDIDATES, [ROW])
    draft.write_file("notes/page.txt", b"text", identity=True)


def test_what_is_complete_is_loaded_and_not_made_again(tmp_path: Path) -> None:
    store, runs = ArtifactStore.at(tmp_path), []

    def fill(draft: Draft) -> None:
        runs.append(1)
        _fill(draft)

    first = store.make(KEY, fill)
    again = ArtifactStore.at(tmp_path).make(KEY, fill)
    assert (first, 1) == (again, len(runs))
    assert store.find(KEY) == first
    assert store.path(first, "notes/page.txt").read_bytes() == b"text"
    assert store.rows(first, CANDIDATES)[0]["competitor"] == "rival"


@pytest.mark.parametrize(
    "other",
    [
        StageKey("other", 1, {"quota": 2}, {"pool": "ab"}),
        StageKey("stage", 2, {"quota": 2}, {"pool": "ab"}),
        StageKey("stage", 1, {"quota": 3}, {"pool": "ab"}),
        StageKey("stage", 1, {"quota": 2}, {"pool": "ac"}),
        StageKey("stage", 1, {"quota": 2}, {"images": "ab"}),
    ],
)
def test_every_part_of_a_key_counts(other: StageKey) -> None:
    assert KEY.digest != other.digest


def test_a_failed_fill_leaves_no_artefact(tmp_path: Path) -> None:
    store = ArtifactStore.at(tmp_path)

    def fill(draft: Draft) -> None:
        _fill(draft)
        raise DataError("half way")

    with pytest.raises(DataError, match="half way"):
        store.make(KEY, fill)
    assert store.find(KEY) is None
    assert store.make(KEY, _fill) == store.find(KEY)


def test_the_first_marker_wins_and_the_loser_loads_the_winners_result(tmp_path: Path) -> None:
    store = ArtifactStore.at(tmp_path)
    winners = []

    def slow_fill(draft: Draft) -> None:
        winners.append(ArtifactStore.at(tmp_path).make(KEY, _fill))
        draft.write_table(CANDIDATES, [ROW | {"rank": 2}])

    loaded = store.make(KEY, slow_fill)
    assert winners == [loaded]
    assert [row["rank"] for row in store.rows(loaded, CANDIDATES)] == [1]


def test_a_file_that_nobody_declared_is_refused(tmp_path: Path) -> None:
    def fill(draft: Draft) -> None:
        _fill(draft)
        (draft.folder / "candidates").write_bytes(b"a table's name without its suffix")

    with pytest.raises(ValueError, match=r"must be declared, but these are not: \['candidates'\]"):
        ArtifactStore.at(tmp_path).make(KEY, fill)


def test_a_column_that_the_record_does_not_know_is_refused() -> None:
    with pytest.raises(ValueError, match=r"record 'candidates' has no column\(s\) \['colour'\]"):
        table_of(CANDIDATES, [ROW | {"colour": "red"}])


def _value(column_type: str, variant: int) -> Any:
    values: dict[str, Any] = {
        "string": ("a", "b"), "int64": (1, 2), "float64": (0.5, 0.25), "bool": (True, False),
        "list<int64>": ([1, 2], [1, 3]),
    }  # fmt: skip
    return values[column_type][variant]


def _digest(record: Record, rows: list[dict[str, Any]]) -> str:
    return identity_digest(record, table_of(record, rows))


@pytest.mark.parametrize("record", ALL_RECORDS, ids=lambda record: record.name)
def test_the_digest_sees_every_identity_column_and_no_provenance(record: Record) -> None:
    row = {column.name: _value(column.type, 0) for column in record.columns}
    before = _digest(record, [row])
    for column in record.columns:
        changed = _digest(record, [row | {column.name: _value(column.type, 1)}])
        missing = _digest(record, [row | {column.name: None}])
        assert (changed != before) == column.identity, column.name
        assert (missing != before) == column.identity, column.name


def test_the_order_in_which_rows_are_written_changes_nothing(tmp_path: Path) -> None:
    rows = [ROW | {"image_id": name, "discrepancy": 0.5} for name in "abc"]
    digests = set()
    for number, order in enumerate((rows, rows[::-1])):
        draft = Draft(tmp_path / str(number))
        draft.folder.mkdir()
        draft.write_table(CANDIDATES, order)
        digests.add(draft.identity())
    assert len(digests) == 1


def test_nothing_is_not_zero() -> None:
    for column, zero in (("rank", 0), ("discrepancy", 0.0), ("class_name", ""), ("discrepancy", math.nan)):
        assert _digest(CANDIDATES, [ROW | {column: None}]) != _digest(CANDIDATES, [ROW | {column: zero}])
    assert _digest(ANSWERS, [{"out_of_domain": None}]) != _digest(ANSWERS, [{"out_of_domain": False}])
    empty, missing = [{"joint_px": []}], [{"joint_px": None}]
    assert _digest(HISTOGRAMS, empty) != _digest(HISTOGRAMS, missing)


def test_all_bit_patterns_of_nan_and_of_zero_are_one_value() -> None:
    for one, other in ((math.nan, -math.nan), (0.0, -0.0)):
        rows = [ROW | {"discrepancy": one}], [ROW | {"discrepancy": other}]
        assert _digest(CANDIDATES, rows[0]) == _digest(CANDIDATES, rows[1])


def test_values_do_not_run_into_each_other() -> None:
    texts = [{"image_id": "ab"}, {"image_id": "c"}], [{"image_id": "a"}, {"image_id": "bc"}]
    lists = [{"joint_px": [1, 2]}, {"joint_px": [3]}], [{"joint_px": [1]}, {"joint_px": [2, 3]}]
    assert _digest(CANDIDATES, texts[0]) != _digest(CANDIDATES, texts[1])
    assert _digest(HISTOGRAMS, lists[0]) != _digest(HISTOGRAMS, lists[1])


def test_files_count_in_the_digest_as_they_were_declared(tmp_path: Path) -> None:
    digests = []
    for number, (identity, content) in enumerate([(True, b"x"), (True, b"y"), (False, b"x"), (False, b"y")]):
        draft = Draft(tmp_path / str(number))
        draft.folder.mkdir()
        draft.write_file("file", content, identity=identity)
        digests.append(draft.identity())
    assert digests[0] != digests[1]
    assert digests[2] == digests[3]


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    store = ArtifactStore.at(tmp_path)
    ref = store.make(KEY, _fill)
    name = f"artefacts/{ref.stage}/{ref.key}/complete.json"
    marker = json.loads(store.storage.get(name) or b"")
    store.storage.put(name, json.dumps(marker | {"store_version": 99}).encode())
    with pytest.raises(DataError, match="newer madloop"):
        store.find(KEY)


def test_a_marker_removed_by_hand_is_named(tmp_path: Path) -> None:
    store = ArtifactStore.at(tmp_path)
    ref = store.make(KEY, _fill)
    (tmp_path / f"artefacts/{ref.stage}/{ref.key}/complete.json").unlink()
    with pytest.raises(DataError, match="no completion marker"):
        store.marker(ref)


def test_a_blob_is_kept_once_and_damage_is_seen(tmp_path: Path) -> None:
    store = ArtifactStore.at(tmp_path)
    digest = store.put_blob(b"mask", ".png")
    assert store.put_blob(b"mask", ".png") == digest
    assert store.blob(digest, ".png") == b"mask"
    (tmp_path / f"blobs/{digest}.png").write_bytes(b"mask with a flipped bit")
    with pytest.raises(DataError, match="missing or damaged"):
        store.blob(digest, ".png")
    with pytest.raises(DataError, match="missing or damaged"):
        store.blob("0" * 64, ".png")
