"""Pseudonyms: stable in a store, of no use without it, in everything that leaves."""

from __future__ import annotations

import hmac
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from configs.settings import Settings
from flows.__main__ import madloop
from tasks import announcements
from tasks.answer_log import append_to_log, read_log
from tasks.artifacts import ArtifactStore
from tasks.core.records import ANSWERS
from tasks.errors import TransientServiceError
from tasks.labelling import find_project
from tasks.pseudonyms import SALT, Pseudonyms
from tasks.rounds import require, stages_of
from tasks.track import round_record
from tests.lib.reported_rounds import reported_round
from tests.lib.written_campaigns import campaign_of, round_of

NAMES = ("ann", "ben", "zoe", "yan")  # of the played round
_NAMED = re.compile(rf"(?<![a-z])({'|'.join(NAMES)})(?![a-z])")


def test_a_pseudonym_is_stable_in_a_store_and_another_one_in_another_store(tmp_path: Path) -> None:
    here, there = ArtifactStore.at(tmp_path / "here"), ArtifactStore.at(tmp_path / "there")
    first = Pseudonyms(here).of("zoe")
    assert re.fullmatch("person-[a-z2-7]{4}", first)
    assert Pseudonyms(here).of("zoe") == first
    assert len(here.storage.get(SALT) or b"") == 32
    assert here.storage.get(SALT) != there.storage.get(SALT)
    both = {Pseudonyms(there).of(name) for name in NAMES} | {Pseudonyms(here).of(name) for name in NAMES}
    assert len(both) == 2 * len(NAMES)


def test_people_whose_pseudonyms_begin_alike_are_told_apart_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a digest whose first bytes are the same for all, the second person gets more letters."""
    digest = hmac.digest

    class Alike:
        def __init__(self, key: bytes, message: bytes) -> None:
            self._digest = bytes(3) + digest(key, message, "sha256")[3:]

        def digest(self) -> bytes:
            return self._digest

    monkeypatch.setattr(hmac, "new", lambda key, message, _: Alike(key, message))
    store = ArtifactStore.at(tmp_path)
    first, second = Pseudonyms(store).of("zoe"), Pseudonyms(store).of("yan")
    assert first == "person-aaaa"
    assert second.startswith("person-aaaa")
    assert len(second) > len(first)
    assert (Pseudonyms(store).of("yan"), Pseudonyms(store).of("zoe")) == (second, first)


def test_names_in_rows_and_in_the_reasons_of_their_states_are_replaced(tmp_path: Path) -> None:
    people = Pseudonyms(ArtifactStore.at(tmp_path))
    mal = people.of("mal")
    (drawing, answer) = people.rows(
        [
            {
                "annotator": "mal",
                "state": "malformed: annotation 3 by mal has mal-formed regions",
                "seconds": 1.0,
            },
            {"rater": "valid", "state": "valid"},
        ]
    )
    assert drawing == {
        "annotator": mal,
        "state": f"malformed: annotation 3 by {mal} has mal-formed regions",
        "seconds": 1.0,
    }
    assert answer == {"rater": people.of("valid"), "state": "valid"}


def test_a_campaign_keeps_everything_but_its_names(tmp_path: Path) -> None:
    campaign = campaign_of(
        tmp_path,
        ratings={"raters": ["ann", "ben"]},
        masks={"annotators": ["zoe", "ann"], "checkers": ["ben"], "max_turns": 2},
    )
    people = Pseudonyms(ArtifactStore.at(tmp_path / "store"))
    shown = people.campaign(campaign)
    assert shown.people == {people.of(name): roles for name, roles in campaign.people.items()}
    assert shown.model_copy(update={"ratings": campaign.ratings, "masks": campaign.masks}) == campaign
    assert people.campaign(campaign_of(tmp_path)).masks.checkers is None


def test_no_name_stands_in_a_report_a_page_of_results_or_an_export(tmp_path: Path) -> None:
    round_, report = reported_round(tmp_path)
    skipped = [row | {"state": "skipped", "annotation_id": 900} for row in read_log(round_, ANSWERS)[:2]]
    append_to_log(round_, ANSWERS, skipped)
    environment = {"MADLOOP_HOME": str(tmp_path)}
    for command in (
        ["results", "small", "--to", str(tmp_path / "out/results.md")],
        ["export", "small", "--to", str(tmp_path / "out/png")],
        ["export", "small", "--to", str(tmp_path / "out/coco"), "--format", "coco"],
        ["export", "small", "--to", str(tmp_path / "out/voc"), "--format", "voc"],
    ):
        done = CliRunner().invoke(madloop, command, env=environment)
        assert done.exit_code == 0, done.output
    store = round_.open_store()
    pages = [store.path(report, name) for name in ("report.html", "campaign.json")]
    pages += [
        path for path in (tmp_path / "out").rglob("*") if path.suffix in (".md", ".csv", ".json", ".txt")
    ]
    assert len(pages) > 8
    for page in pages:
        text = re.sub(r"data:image/[^\"]*", "", page.read_text(encoding="utf-8"))
        assert _NAMED.search(text.replace(str(tmp_path), "")) is None, page
    assert Pseudonyms(store).of("yan") in (tmp_path / "out/png/images.csv").read_text(encoding="utf-8")


def test_no_name_goes_to_mlflow(tmp_path: Path) -> None:
    round_, report = reported_round(tmp_path)
    record = round_record(round_, require(round_, "scores"), report)
    assert _NAMED.search(json.dumps(record.config) + json.dumps(record.tags)) is None
    assert record.config["masks"]["annotators"] == [
        Pseudonyms(round_.open_store()).of(name) for name in ("zoe", "yan")
    ]
    for path in record.artifacts.values():
        text = re.sub(rb"data:image/[^\"]*", b"", path.read_bytes()).decode(errors="replace")
        assert _NAMED.search(text.replace(str(tmp_path), "")) is None, path


def test_the_links_in_prefect_have_pseudonyms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(
        announcements, "create_markdown_artifact", lambda key, markdown: shown.append(markdown)
    )
    round_ = round_of(tmp_path)
    settings = Settings(home=tmp_path, label_studio_url="http://127.0.0.1:8080")
    announcements.announce_links.fn(round_, settings, "ratings", [("zoe", 7)])
    pseudonym = Pseudonyms(round_.open_store()).of("zoe")
    assert f"- {pseudonym}: [http://127.0.0.1:8080/projects/7]" in shown[0]
    assert "zoe" not in shown[0]


def test_a_service_error_in_a_run_has_pseudonyms(tmp_path: Path) -> None:
    class Refusing:
        def find_project(self, title: str) -> int:
            raise TransientServiceError(f"find the project {title!r}: no connection")

    round_ = round_of(tmp_path)
    with pytest.raises(TransientServiceError) as caught:
        find_project(Refusing(), round_, "rating", "zoe")  # type: ignore[arg-type]
    pseudonym = Pseudonyms(round_.open_store()).of("zoe")
    assert str(caught.value) == f"find the project 'small r1 rating {pseudonym}': no connection"
    assert caught.value.__suppress_context__


def test_two_stores_with_the_same_answers_have_the_same_digests(tmp_path: Path) -> None:
    (one, _), (two, _) = reported_round(tmp_path / "one"), reported_round(tmp_path / "two")
    names = [Pseudonyms(round_.open_store()).of("yan") for round_ in (one, two)]
    assert names[0] != names[1]
    digests = [{stage: ref.digest for stage, ref in stages_of(round_).items()} for round_ in (one, two)]
    assert digests[0] == digests[1]
