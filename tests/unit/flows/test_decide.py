"""`madloop decide`: the word is recorded with who and when, or refused with nothing recorded."""

from __future__ import annotations

import getpass
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flows.__main__ import madloop
from tasks.decisions import decisions_of
from tasks.pseudonyms import Pseudonyms
from tests.lib.played_rounds import mined_round, played_round


def decide(home: Path, *arguments: str) -> Result:
    """The command on the campaign `small`, whose store is below `home`."""
    return CliRunner().invoke(madloop, ["decide", "small", *arguments], env={"MADLOOP_HOME": str(home)})


def test_a_word_is_recorded_with_who_and_when(tmp_path: Path) -> None:
    round_ = mined_round(tmp_path)
    done = decide(tmp_path, "--rater", "ann", "--out-of-domain", "disregard")
    assert done.exit_code == 0, done.output
    assert "Recorded for round 1: disregard what ann declared" in done.stdout
    assert decisions_of(round_) == {"ann": "disregard"}
    (file,) = (tmp_path / "store/campaigns/small/decisions").iterdir()
    assert json.loads(file.read_text())["decided_by"] == getpass.getuser()

    called = Pseudonyms(round_.open_store()).of("ann")
    assert decide(tmp_path, "--rater", called, "--out-of-domain", "accept", "--round", "1").exit_code == 0
    assert decisions_of(round_) == {"ann": "accept"}
    assert len(list((tmp_path / "store/campaigns/small/decisions").iterdir())) == 2, "nothing is replaced"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rater", "zoe"), "got 'zoe'; there are ann, ben"),
        (("--rater", "ann", "--round", "2"), r"that has begun was required; there are [1]"),
    ],
)
def test_nobody_and_no_round_are_refused(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    round_ = mined_round(tmp_path)
    done = decide(tmp_path, *arguments, "--out-of-domain", "accept")
    assert done.exit_code == 2
    assert message in done.stderr
    assert decisions_of(round_) == {}


def test_a_word_after_the_ratings_were_closed_is_refused(tmp_path: Path) -> None:
    round_ = played_round(tmp_path)
    done = decide(tmp_path, "--rater", "ann", "--out-of-domain", "accept")
    assert done.exit_code == 2
    assert "they are closed" in done.stderr
    assert decisions_of(round_) == {}
