"""Which projects and accounts a person has had in a round, from the notes in the store."""

from __future__ import annotations

from pathlib import Path

from tasks.label_studio_projects import accounts_of, newest_projects, note_project, people_asked
from tests.lib.written_campaigns import round_of


def test_accounts_and_projects_are_kept_and_what_an_older_madloop_noted_does_no_harm(tmp_path: Path) -> None:
    round_ = round_of(tmp_path)
    round_.open_store().storage.put_if_absent("campaigns/small/projects/0001/rating/zoe/7", b"")
    assert (people_asked(round_, "rating"), accounts_of(round_, "rating", "zoe")) == (["zoe"], frozenset())

    for project, account in ((7, 70), (7, 71), (9, 71)):
        note_project(round_, "rating", "zoe", project, account)

    assert accounts_of(round_, "rating", "zoe") == {70, 71}
    assert newest_projects(round_, [("rating", "zoe")]) == (("zoe", 9),)
