"""Benchmarks: each runs in its quick form, checks what it compares, and prints its ratios last."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.common import interleaved_medians
from configs.settings import CHECKOUT
from tests.lib.tiny_campaign import make_tiny_campaign

QUICK = {
    "codec": ["--quick"],
    "discrepancy": ["--quick"],
    "inference": ["--images", "2", "--repeats", "1"],
    "rounds": [],
}


@pytest.mark.parametrize("name", QUICK)
def test_a_quick_benchmark_ends_with_its_ratios_and_writes_its_table(tmp_path: Path, name: str) -> None:
    arguments = QUICK[name]
    if name not in {"codec", "discrepancy"}:  # the others run a campaign's models
        arguments = [*arguments, "--config", str(make_tiny_campaign(tmp_path / "tiny", pool=4).config)]
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments, "--to", str(tmp_path)]
    done = subprocess.run(
        command, cwd=CHECKOUT, env=dict(os.environ), capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"ratios( \w+=\d+\.\d+)+", done.stdout.splitlines()[-1])
    page = (tmp_path / f"{name}.md").read_text(encoding="utf-8")
    assert "| commit |" in page
    assert "| processor |" in page


def test_measures_take_turns_and_medians_are_theirs() -> None:
    now, order = [0.0], []

    def taking(name: str, seconds: float) -> None:
        order.append(name)
        now[0] += seconds

    measures = {"fast": lambda: taking("fast", 1.0), "slow": lambda: taking("slow", 3.0)}
    assert interleaved_medians(measures, rounds=3, clock=lambda: now[0]) == {"fast": 1.0, "slow": 3.0}
    assert order == ["fast", "slow"] * 4
