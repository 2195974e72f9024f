"""The command `madloop`: its help, and its exit codes by kind of error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner, Result

from configs.settings import CHECKOUT
from flows.__main__ import Commands, madloop
from tasks.errors import (
    ConfigError,
    DataError,
    NotReadyError,
    ServiceError,
    TerminalServiceError,
    TransientServiceError,
    TroubleshootError,
    Waiting,
)
from tests.lib.written_campaigns import campaign_values

COMMANDS = {
    "artifacts", "backup", "decide", "demo", "export", "people", "plan", "prune", "restore", "results",
    "run", "services", "status",
}  # fmt: skip


def run(home: Path, *arguments: str) -> Result:
    """`madloop` with its home below `home`."""
    return CliRunner().invoke(madloop, arguments, env={"MADLOOP_HOME": str(home)})


def test_help_lists_every_command_and_exit_code() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows", "--help"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert set(madloop.commands) == COMMANDS
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert "4 waiting for people" in done.stdout


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(tmp_path: Path, command: str) -> None:
    result = run(tmp_path, command, "--help")
    assert result.exit_code == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TroubleshootError("x"), 1),
        (ConfigError("x"), 2),
        (DataError("x"), 3),
        (NotReadyError(Waiting("ratings", 1, 6)), 4),
        (ServiceError("x"), 5),
        (TerminalServiceError("x"), 5),
        (TransientServiceError("x"), 6),
    ],
)
def test_an_error_is_one_message_with_the_exit_code_of_its_class(error: TroubleshootError, code: int) -> None:
    @click.group(cls=Commands)
    def group() -> None:
        pass

    @group.command()
    def fail() -> None:
        raise error

    result = CliRunner().invoke(group, ["fail"])
    assert result.exit_code == code
    assert result.stderr == f"{type(error).__name__}: {error}\n"


@pytest.mark.parametrize("command", ["status", "artifacts"])
@pytest.mark.parametrize("name", ["unknown", "../unknown", "a/b", ""])
def test_a_campaign_that_is_not_in_the_store_fails_with_1(tmp_path: Path, command: str, name: str) -> None:
    result = run(tmp_path, command, name)
    assert result.exit_code == 1
    assert f"A campaign {name!r} was asked for, but the store has none" in result.stderr


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_missing_campaign_file_fails_with_2(tmp_path: Path, command: str) -> None:
    result = run(tmp_path, command, str(tmp_path / "none.yaml"))
    assert result.exit_code == 2
    assert "A campaign file was required" in result.stderr


def test_a_run_without_services_fails_with_2_and_says_how_to_start_them(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump(campaign_values()), encoding="utf-8")
    result = run(tmp_path / "home", "run", str(config))
    assert result.exit_code == 2
    assert "Prefect was required" in result.stderr
    assert "madloop services up" in result.stderr
    assert not (tmp_path / "home").exists()


def test_simulated_people_need_their_section(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(yaml.safe_dump(campaign_values()), encoding="utf-8")
    result = run(tmp_path / "home", "run", str(config), "--annotators", "simulated")
    assert result.exit_code == 2
    assert "has no section `simulated_people`" in result.stderr


def test_services_that_were_never_started_are_reported_as_such(tmp_path: Path) -> None:
    result = run(tmp_path, "services", "status")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 3
