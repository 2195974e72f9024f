"""Backup and restore: everything comes back, nothing is replaced, damage is named."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import zstandard
from click.testing import CliRunner, Result

from configs.settings import Settings
from flows.__main__ import madloop
from tasks.answer_log import read_log
from tasks.artifacts import ArtifactStore
from tasks.backup import Manifest, is_answer, verify_backup
from tasks.core.records import ANSWERS, DRAWINGS, MASKS, RATINGS
from tasks.errors import DataError, Waiting
from tasks.pseudonyms import Pseudonyms
from tasks.ratings import RatingSources, collect_ratings
from tasks.rounds import Round, load_campaign_by_name, require
from tests.lib.played_rounds import made, played_round


def command(home: Path, *arguments: str) -> Result:
    """`madloop` with its home at `home`."""
    return CliRunner().invoke(madloop, arguments, env={"MADLOOP_HOME": str(home)})


def backed_up(home: Path) -> Path:
    """A backup of the campaign below `home`."""
    file = home / "small.tar.zst"
    done = command(home, "backup", "small", "--to", str(file))
    assert done.exit_code == 0, done.output
    return file


def files_of(store: Path) -> dict[str, bytes]:
    """Every file of a store."""
    return {
        path.relative_to(store).as_posix(): path.read_bytes() for path in store.rglob("*") if path.is_file()
    }


def packed(path: Path, members: dict[str, bytes], *links: str) -> Path:
    """An archive with these members, as a stranger might send it."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for name in links:
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(link)
    path.write_bytes(zstandard.compress(plain.getvalue()))
    return path


def test_a_restored_store_is_the_old_one_and_its_answers_serve_again(tmp_path: Path) -> None:
    old = played_round(tmp_path / "old")
    file = backed_up(tmp_path / "old")
    done = command(tmp_path / "new", "restore", str(file))
    assert done.exit_code == 0, done.output
    before, after = files_of(tmp_path / "old/store"), files_of(tmp_path / "new/store")
    assert before == after

    store = ArtifactStore.at(tmp_path / "new/store")
    new = Round(load_campaign_by_name(store, "small"), 1, str(tmp_path / "new/store"))
    for record in (ANSWERS, DRAWINGS):
        assert read_log(new, record) == read_log(old, record)
    # No service is known here, so this could ask nobody: the answers of the log are enough.
    sources = RatingSources(*(require(new, s) for s in ("pool", "maps", "candidates", "rating_plan")))
    ratings = collect_ratings.fn(new, Settings(home=tmp_path / "new"), "target", sources)
    assert not isinstance(ratings, Waiting)
    assert store.rows(ratings, RATINGS) == old.open_store().rows(require(old, "ratings"), RATINGS)
    for row in store.rows(require(new, "masks-test"), MASKS):
        assert store.blob(row["mask_digest"], ".png")


def test_restoring_again_changes_nothing(tmp_path: Path) -> None:
    played_round(tmp_path)
    file = backed_up(tmp_path)
    before = files_of(tmp_path / "store")
    done = command(tmp_path, "restore", str(file))
    assert done.exit_code == 0
    assert "restored 0 file(s)" in done.stdout
    assert files_of(tmp_path / "store") == before


def test_another_file_of_that_name_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    played_round(tmp_path / "old")
    file = backed_up(tmp_path / "old")
    index = tmp_path / "new/store/campaigns/small/rounds/0001/pool.json"
    index.parent.mkdir(parents=True)
    index.write_text("{}", encoding="utf-8")
    refused = command(tmp_path / "new", "restore", str(file))
    assert refused.exit_code == 3
    assert "campaigns/small/rounds/0001/pool.json" in refused.stderr
    assert list(files_of(tmp_path / "new/store")) == ["campaigns/small/rounds/0001/pool.json"]

    assert command(tmp_path / "new", "restore", str(file), "--answers-only").exit_code == 0
    folders = {"/".join(name.split("/")[:3:2]) for name in files_of(tmp_path / "new/store")}
    assert {"campaigns/answers", "campaigns/drawings", "campaigns/rounds"} < folders
    assert index.read_text(encoding="utf-8") == "{}"


def test_trials_and_predictions_stay_outside_and_no_index_entry_leads_nowhere(tmp_path: Path) -> None:
    round_ = played_round(tmp_path)
    made(round_, "trial-0.001", {MASKS: []}, "trials")
    made(round_, "version", {MASKS: []}, "versions")
    (tmp_path / "store/attempts").mkdir(exist_ok=True)
    (tmp_path / "store/attempts/checkpoint").write_bytes(b"unfinished")
    names = verify_backup(backed_up(tmp_path)).files
    assert "campaigns/small/rounds/0001/version.json" in names
    assert not any("trial" in name or "attempts" in name for name in names)
    assert {name.split("/")[0] for name in names} == {"artefacts", "blobs", "campaigns"}


def test_what_the_store_lacks_is_said_and_all_else_is_kept(tmp_path: Path) -> None:
    round_ = played_round(tmp_path)
    gone = require(round_, "candidates")
    (tmp_path / f"store/artefacts/{gone.stage}/{gone.key}/complete.json").unlink()
    file = tmp_path / "small.tar.zst"
    done = command(tmp_path, "backup", "--all", "--to", str(file))
    assert done.exit_code == 3
    assert "campaigns/small/rounds/0001/candidates.json" in done.stderr
    assert any(name.startswith("campaigns/small/answers/") for name in verify_backup(file).files)


def test_every_cut_and_every_flipped_bit_is_found(tmp_path: Path) -> None:
    played_round(tmp_path)
    content = backed_up(tmp_path).read_bytes()
    damaged, whole = tmp_path / "damaged.tar.zst", verify_backup(tmp_path / "small.tar.zst")
    places = range(0, len(content), max(1, len(content) // 300))
    for place in places:
        damaged.write_bytes(content[:place])
        with pytest.raises(DataError):
            verify_backup(damaged)
        damaged.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        assert _manifest_or_none(damaged) in (None, whole), "a bit that says nothing may flip unseen"


def _manifest_or_none(file: Path) -> Manifest | None:
    try:
        return verify_backup(file)
    except DataError:
        return None


def test_a_changed_file_is_named(tmp_path: Path) -> None:
    played_round(tmp_path)
    file = backed_up(tmp_path)
    with zstandard.open(file) as plain, tarfile.open(fileobj=io.BytesIO(plain.read())) as archive:
        members = {m.name: (archive.extractfile(m) or io.BytesIO()).read() for m in archive.getmembers()}
    name = next(name for name in members if "/answers/" in name)
    members[name] = members[name][:-1] + b"x"
    forged = packed(tmp_path / "forged.tar.zst", members)
    done = command(tmp_path / "new", "restore", str(forged))
    assert done.exit_code == 3
    assert name in done.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/evil",
        "artefacts/../../evil",
        "artefacts//x",
        "artefacts/.hidden",
        "attempts/x",
        "evil",
    ],
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="was required to be a file of a store"):
        verify_backup(packed(tmp_path / "evil.tar.zst", {name: b"x"}))


def test_links_and_doubles_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="was required to be a file of a store"):
        verify_backup(packed(tmp_path / "evil.tar.zst", {}, "artefacts/link"))
    with pytest.raises(DataError, match="its content is not what its name says"):
        verify_backup(packed(tmp_path / "evil.tar.zst", {"blobs/aa.png": b"x"}))
    text = tmp_path / "text.tar.zst"
    text.write_text("hello", encoding="utf-8")
    with pytest.raises(DataError, match="no backup"):
        verify_backup(text)


def test_a_backup_replaces_no_file_and_needs_one_name_or_all(tmp_path: Path) -> None:
    played_round(tmp_path)
    file = backed_up(tmp_path)
    assert command(tmp_path, "backup", "small", "--to", str(file)).exit_code == 2
    assert command(tmp_path, "backup", "--to", str(tmp_path / "x")).exit_code == 2
    assert command(tmp_path, "backup", "small", "--all", "--to", str(tmp_path / "x")).exit_code == 2
    assert command(tmp_path, "restore", str(tmp_path / "none")).exit_code == 2
    assert sorted(path.name for path in tmp_path.iterdir() if "unfinished" in path.name) == []


def test_check_only_reads(tmp_path: Path) -> None:
    played_round(tmp_path / "old")
    done = command(tmp_path / "new", "restore", "--check", str(backed_up(tmp_path / "old")))
    assert done.exit_code == 0
    assert "whole; campaigns small of" in done.stdout
    assert "4 masks among them" in done.stdout
    assert not (tmp_path / "new").exists()


def test_pseudonyms_come_back_into_an_empty_store_and_give_way_to_those_there_are(tmp_path: Path) -> None:
    home, fresh, other = tmp_path / "home", tmp_path / "fresh", tmp_path / "other"
    played_round(home)

    def pseudonym(place: Path) -> str:
        return Pseudonyms(ArtifactStore.at(place / "store")).of("yan")

    given = pseudonym(home)
    file = backed_up(home)
    assert command(fresh, "restore", str(file)).exit_code == 0
    assert pseudonym(fresh) == given
    before = pseudonym(other)
    assert before != given
    assert command(other, "restore", str(file)).exit_code == 0
    assert pseudonym(other) == before


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("blobs/00.png", True),
        ("campaigns/x/answers/1.parquet", True),
        ("campaigns/x/drawings/1.parquet", True),
        ("campaigns/x/checks/1.parquet", True),
        ("campaigns/x/rounds/0001/pool.json", False),
        ("campaigns/x", False),
        ("reports/answers", False),
    ],
)
def test_what_is_an_answer_is_told_by_its_name(name: str, expected: bool) -> None:
    assert is_answer(name) == expected
