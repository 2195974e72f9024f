"""The benchmark of Label Studio runs on the real server in a small form, and leaves no project behind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.label_studio import main
from configs.settings import Settings
from tasks.labelling import label_studio

pytestmark = pytest.mark.services


def test_it_checks_what_it_compares_and_ends_with_its_ratios(
    services: Settings, label_studio_bin: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MADLOOP_HOME", str(services.home))
    monkeypatch.setenv("MADLOOP_LABEL_STUDIO_BIN", str(label_studio_bin))

    options = ["--tasks", "40", "--listed", "20", "--here", "--to", str(tmp_path)]
    done = CliRunner().invoke(main, options, catch_exceptions=False)

    assert re.fullmatch(r"ratios( \w+=\d+\.\d+)+", done.output.splitlines()[-1])
    assert "| 40 answers collected and parsed |" in (tmp_path / "label_studio.md").read_text()
    with label_studio(services) as service:
        titles = [project.title for project in service._api.projects.list()]
    assert not any(title.startswith("benchmark") for title in titles)
