"""The benchmark of Label Studio in its quick form: it checks what comes back, and prints its ratios last."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from configs.settings import CHECKOUT, Settings

pytestmark = pytest.mark.services


def test_the_quick_benchmark_ends_with_its_ratios_and_writes_its_table(
    services: Settings, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.label_studio", "--quick", "--running", "--to", str(tmp_path)],
        cwd=CHECKOUT,
        env=dict(os.environ) | {"MADLOOP_HOME": str(services.home)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"ratios( \w+=\d+\.\d+){3}", done.stdout.splitlines()[-1])
    assert "| collect 60 answers, all new |" in (tmp_path / "label_studio.md").read_text(encoding="utf-8")
