"""`madloop people` where no server is needed: names, the list, and who may not be removed."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from configs.logins import ensure_logins, mark_removed
from configs.settings import Settings
from flows.__main__ import madloop
from tasks.artifacts import ArtifactStore
from tasks.pseudonyms import Pseudonyms
from tasks.rounds import finish_round, require
from tests.lib.played_rounds import played_round


def people(root: Path, *arguments: str) -> Result:
    """`madloop people` of the home `root`."""
    return CliRunner().invoke(madloop, ["people", *arguments], env={"MADLOOP_HOME": str(root)})


def test_a_name_that_no_campaign_could_have_is_refused(tmp_path: Path) -> None:
    done = people(tmp_path, "add", "Zoë Miller")
    assert done.exit_code == 2
    assert "small letters, digits and dashes was required, got 'Zoë Miller'" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_nobody_is_added_without_a_server(tmp_path: Path) -> None:
    done = people(tmp_path, "add", "zoe", "--role", "rater")
    assert done.exit_code == 2
    assert "Label Studio was required" in done.stderr
    assert not Settings(home=tmp_path).people_file.exists()


def test_the_list_has_names_logins_roles_and_campaigns_and_no_password(tmp_path: Path) -> None:
    played_round(tmp_path)
    settings = Settings(home=tmp_path)
    logins = ensure_logins(settings, ["ann", "eve"], ["rater", "checker"])
    mark_removed(settings, "eve")
    done = people(tmp_path, "list")
    pseudonyms = Pseudonyms(ArtifactStore.at(settings.store))
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["ann", pseudonyms.of("ann"), "ann@madloop.local", "rater,", "checker", "small"],
        ["eve", pseudonyms.of("eve"), "eve@madloop.local", "rater,", "checker", "-", "removed"],
    ]
    assert not any(login.password.get_secret_value() in done.stdout for login in logins.values())


def test_who_was_never_added_cannot_be_removed(tmp_path: Path) -> None:
    done = people(tmp_path, "remove", "zoe")
    assert done.exit_code == 2
    assert "'zoe' was to be removed, but has no login here; these have: -" in done.stderr


def test_who_is_needed_by_an_open_round_is_not_removed(tmp_path: Path) -> None:
    played_round(tmp_path, has_masks=False)
    ensure_logins(Settings(home=tmp_path), ["ann", "zoe"])
    refused = people(tmp_path, "remove", "zoe")
    assert refused.exit_code == 2
    assert "is needed: round 1 of small as annotator, checker" in refused.stderr
    # Her ratings are closed, so only the missing server stands in the way.
    assert "Label Studio was required" in people(tmp_path, "remove", "ann").stderr


def test_a_round_that_has_ended_needs_nobody(tmp_path: Path) -> None:
    round_ = played_round(tmp_path, has_masks=False)
    finish_round(round_, require(round_, "ratings"), closing=False)
    ensure_logins(Settings(home=tmp_path), ["zoe"])
    assert "Label Studio was required" in people(tmp_path, "remove", "zoe").stderr
