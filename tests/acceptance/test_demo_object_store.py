"""`madloop demo --object-store`: the same round, with store and pool on a real S3 server."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from configs.settings import CHECKOUT, Settings, load_settings
from flows.demo import POOL_URI, STORE_URI
from flows.status import identity_digests
from tasks.services.object_store import list_objects, read_object

pytestmark = [pytest.mark.services, pytest.mark.timeout(1800)]


def _demo(settings: Settings, *options: str) -> str:
    """What the demo prints; it must exit with 0."""
    result = subprocess.run(
        [sys.executable, "-m", "flows", "demo", *options],
        cwd=CHECKOUT, env={**os.environ, "MADLOOP_HOME": str(settings.home)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 0, f"{result.stdout[-3000:]}\n{result.stderr[-6000:]}"
    return result.stdout


def test_the_demo_on_the_object_store_finds_what_it_finds_in_folders_and_keeps_no_key(
    services: Settings, label_studio_bin: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MADLOOP_LABEL_STUDIO_BIN", str(label_studio_bin))
    _demo(services)
    printed = _demo(services, "--object-store")
    monkeypatch.setenv("MADLOOP_HOME", str(services.home))
    in_folders = identity_digests("demo", load_settings())
    monkeypatch.setenv("MADLOOP_STORE", STORE_URI)
    settings = load_settings()

    assert in_folders == identity_digests("demo", settings)
    assert len(list(list_objects(POOL_URI))) == len(list((services.home / "demo/pool/images").iterdir()))
    report = re.search(r"^Report\s+(s3://\S+)$", printed, re.MULTILINE)
    assert report is not None
    assert b"<html" in read_object(report.group(1))
    assert settings.object_store.secret_key is not None
    secret = settings.object_store.secret_key.get_secret_value().encode()
    logs = [path for path in services.services.rglob("*.txt") if path.is_file()]
    kept = [read_object(uri) for uri in list_objects(STORE_URI)] + [path.read_bytes() for path in logs]
    assert not any(secret in content for content in [*kept, printed.encode()])
