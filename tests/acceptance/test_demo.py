"""`madloop demo` from nothing to the report, on real servers, and again."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from configs.settings import CHECKOUT, Settings

TABLE_SIZES = re.compile(r"^round 1: \|M\| = \d+, \|T\| = \d+, \|S\| = \d+$", re.MULTILINE)


def madloop(settings: Settings, *arguments: str) -> str:
    """What the command prints; it must exit with 0."""
    result = subprocess.run(
        [sys.executable, "-m", "flows", *arguments],
        cwd=CHECKOUT, env={**os.environ, "MADLOOP_HOME": str(settings.home)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, f"{result.stdout[-3000:]}\n{result.stderr[-6000:]}"
    return result.stdout


@pytest.fixture(scope="module")
def first_output(services: Settings) -> str:
    """What the first demo printed."""
    return madloop(services, "demo")


def test_the_demo_ends_with_the_table_and_with_the_places_to_look_at(
    first_output: str, services: Settings
) -> None:
    assert TABLE_SIZES.search(first_output)
    assert "unet" in first_output
    report = Path(re.search(r"^Report\s+(\S+)$", first_output, re.MULTILINE).group(1))  # type: ignore[union-attr]
    assert "<html" in report.read_text(encoding="utf-8")
    for title in ("Prefect", "MLflow", "Label Studio"):
        url = re.search(rf"^{title}\s+(http://127\.0\.0\.1:\S+)$", first_output, re.MULTILINE).group(1)  # type: ignore[union-attr]
        assert httpx.get(url, follow_redirects=True, timeout=60).status_code == 200


def test_status_and_artifacts_tell_what_the_demo_made(first_output: str, services: Settings) -> None:
    status = madloop(services, "status", "demo")
    for step in ("candidates chosen", "rated", "test set drawn", "failures cut", "fine-tuned", "reported"):
        assert f"done     {step}" in status
    listed = madloop(services, "artifacts", "demo", "--round", "1")
    for stage in (
        "pool",
        "candidates",
        "ratings",
        "masks-failure",
        "masks-test",
        "version",
        "scores",
        "report",
    ):
        place = re.search(rf"^  {stage} +[0-9a-f]{{16}}  (\S+)$", listed, re.MULTILINE)
        assert place is not None
        assert Path(place.group(1)).is_dir()


def test_the_demo_run_again_says_what_is_already_there(first_output: str, services: Settings) -> None:
    again = madloop(services, "demo")
    assert "The demo has 1 finished round(s)" in again
    assert TABLE_SIZES.search(again)


def test_the_demo_leaves_its_traces_in_prefect_and_mlflow(first_output: str, services: Settings) -> None:
    api = services.require("prefect")
    flow_runs = httpx.post(f"{api}/flow_runs/filter", json={"limit": 200}, timeout=60).json()
    names = {run["name"] for run in flow_runs}
    assert {
        "troubleshoot demo",
        "demo: mine round 1",
        "demo: triage round 1",
        "demo: rectify round 1",
    } <= names
    artifacts = httpx.post(f"{api}/artifacts/latest/filter", json={"limit": 200}, timeout=60).json()
    keys = {artifact["key"] for artifact in artifacts}
    assert {"demo-round-1-candidates", "demo-round-1-results", "demo-round-1-mlflow"} <= keys
    registry = f"{services.require('mlflow')}/api/2.0/mlflow/registered-models/get"
    models = httpx.get(registry, params={"name": "demo"}, timeout=60)
    assert "challenger" in {alias["alias"] for alias in models.json()["registered_model"]["aliases"]}
