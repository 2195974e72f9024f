"""Logins of people: made once, kept private, marked when removed."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from configs.logins import ensure_logins, mark_removed, renew_login
from configs.settings import Settings, read_logins
from tasks.errors import ConfigError
from tests.lib.written_campaigns import campaign_of


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def test_logins_are_made_once_and_kept_private(settings: Settings) -> None:
    first = ensure_logins(settings, ["rater-1", "rater-2", "rater-1"])
    second = ensure_logins(settings, ["rater-2", "annotator-1"])

    assert list(first) == ["rater-1", "rater-2"]
    assert second["rater-2"] == first["rater-2"]
    assert sorted(read_logins(settings)) == ["annotator-1", "rater-1", "rater-2"]
    assert stat.S_IMODE(settings.people_file.stat().st_mode) == 0o600
    secret = first["rater-1"].password.get_secret_value()
    assert len(secret) >= 8
    assert secret not in repr(first)


def test_roles_are_added_to_those_there_are(settings: Settings) -> None:
    ensure_logins(settings, ["zoe"], ["annotator"])
    ensure_logins(settings, ["zoe"], ["checker", "annotator"])
    ensure_logins(settings, ["zoe"])
    assert read_logins(settings)["zoe"].roles == ("annotator", "checker")


def test_a_file_from_before_there_were_roles_is_read(settings: Settings) -> None:
    settings.people_file.parent.mkdir(parents=True)
    settings.people_file.write_text(
        json.dumps({"zoe": {"email": "zoe@madloop.local", "password": "hush-hush"}})
    )
    login = read_logins(settings)["zoe"]
    assert (login.roles, login.removed) == ((), False)
    assert ensure_logins(settings, ["zoe"], ["rater"])["zoe"].password.get_secret_value() == "hush-hush"


def test_who_is_removed_keeps_the_row_and_comes_back_under_another_address(settings: Settings) -> None:
    before = ensure_logins(settings, ["zoe"], ["rater"])["zoe"]
    mark_removed(settings, "zoe")
    assert ensure_logins(settings, ["zoe"])["zoe"].removed, "asking for a login brings nobody back"

    renewed = renew_login(settings, "zoe")
    assert (renewed.email, renewed.roles, renewed.removed) == ("zoe+2@madloop.local", ("rater",), False)
    assert renewed.password != before.password
    mark_removed(settings, "zoe")
    assert renew_login(settings, "zoe").email == "zoe+3@madloop.local"
    assert read_logins(settings)["zoe"].email == "zoe+3@madloop.local"


def test_a_name_with_a_number_is_no_further_account(settings: Settings) -> None:
    ensure_logins(settings, ["rater-2"])
    mark_removed(settings, "rater-2")
    assert renew_login(settings, "rater-2").email == "rater-2+2@madloop.local"


def test_a_file_that_is_none_of_ours_is_reported(settings: Settings) -> None:
    settings.people_file.parent.mkdir(parents=True)
    settings.people_file.write_text(
        '{"zoe": {"email": "zoe@madloop.local", "password": "hush", "roles": ["cook"]}}'
    )
    with pytest.raises(ConfigError, match=r"people\.json must map each name") as caught:
        read_logins(settings)
    assert "hush" not in str(caught.value)


def test_people_of_a_campaign_have_the_roles_of_its_sections(tmp_path: Path) -> None:
    sections = {
        "ratings": {"raters": ["ann", "ben"]},
        "masks": {"annotators": ["zoe", "ann"], "checkers": None},
    }
    assert campaign_of(tmp_path, **sections).people == {
        "ann": ("rater", "annotator", "checker"),
        "ben": ("rater",),
        "zoe": ("annotator", "checker"),
    }
    alone = campaign_of(tmp_path, masks={"annotators": ["zoe"], "max_turns": 0})
    assert alone.people["zoe"] == ("annotator",)
