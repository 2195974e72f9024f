"""What holds for the whole house: who imports whom, nothing at import, records, presets, README."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from importlinter.api import read_configuration
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from configs.load import load_campaign
from configs.settings import CHECKOUT
from tasks.core.records import ALL_RECORDS, Record

PACKAGES = ("flows", "tasks", "models", "configs", "infra")
NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")

# Runs in a process of its own: an audit hook cannot be taken off again.
IMPORT_ALL = """
import importlib, json, logging, os, sys, threading
network, variables, handlers = [], [], {}

def hook(event, arguments):
    if event in NETWORK:
        network.append(f"{event} {arguments!r}")

class Recording(type(os.environ)):
    def __getitem__(self, key):
        if key.startswith("MADLOOP_"):
            variables.append(key)
        return super().__getitem__(key)

os.environ.__class__ = Recording
sys.addaudithook(hook)
for name in MODULES:
    importlib.import_module(name)
    for handler in logging.root.handlers:
        if not type(handler).__module__.startswith("prefect."):  # Prefect puts up its own when it is imported
            handlers.setdefault(name, repr(handler))
ours = [n for n, log in logging.root.manager.loggerDict.items()
        if n.split(".")[0] in PACKAGES and getattr(log, "handlers", None)]
print(json.dumps({"network": network, "variables": variables, "handlers": handlers, "ours": ours,
                  "threads": [t.name for t in threading.enumerate() if t is not threading.main_thread()]}))
"""


def module_names() -> list[str]:
    """Every module of ours, by its dotted name; what is no package is not ours to import."""
    found = [path for package in PACKAGES for path in sorted((CHECKOUT / package).rglob("*.py"))]
    files = [path for path in found if (path.parent / "__init__.py").exists()]
    dotted = (".".join(path.relative_to(CHECKOUT).with_suffix("").parts) for path in files)
    return [name.removesuffix(".__init__") for name in dotted]


def in_new_process(code: str, cwd: Path, **names: Any) -> Any:
    """What `code` prints as JSON, run in an empty folder with `names` defined."""
    defined = "".join(f"{name} = {value!r}\n" for name, value in names.items())
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MADLOOP_", "PREFECT_"))}
    environment |= {"PYTHONPATH": str(CHECKOUT), "PREFECT_HOME": str(cwd.parent / "prefect-home")}
    done = subprocess.run(
        [sys.executable, "-c", defined + code],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_the_import_contracts_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    result = lint_imports(str(CHECKOUT / "pyproject.toml"), no_cache=True, no_logo=True)
    assert result == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_every_stage_and_every_service_is_under_a_contract() -> None:
    contracts = {
        c["id"]: c for c in read_configuration(str(CHECKOUT / "pyproject.toml"))["contracts_options"]
    }
    stages = {
        f"tasks.{path.stem}"
        for path in (CHECKOUT / "tasks").glob("*.py")
        if "\n@stage_task(" in path.read_text(encoding="utf-8")
    }
    services = {f"tasks.services.{p.stem}" for p in (CHECKOUT / "tasks/services").glob("*.py")}
    listed = {
        name for id_ in ("storage", "tracking", "label-studio") for name in contracts[id_]["source_modules"]
    }
    assert stages == set(contracts["stages"]["modules"])
    assert services - {"tasks.services.__init__"} == listed


def test_nothing_happens_at_import(tmp_path: Path) -> None:
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    modules = module_names()
    assert len(modules) > 60
    seen = in_new_process(IMPORT_ALL, cwd, MODULES=modules, PACKAGES=PACKAGES, NETWORK=NETWORK)
    assert seen["network"] == []
    assert seen["variables"] == []
    assert seen["handlers"] == {}
    assert seen["ours"] == []
    assert list(cwd.iterdir()) == []


def test_the_command_starts_without_the_heavy_packages(tmp_path: Path) -> None:
    code = (
        "import json, sys, flows.__main__\nprint(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    )
    loaded = set(in_new_process(code, tmp_path))
    assert loaded & {"torch", "prefect", "mlflow", "pyarrow", "numba", "cv2", "label_studio_sdk"} == set()
    assert "click" in loaded


def test_status_needs_neither_torch_nor_a_service(tmp_path: Path) -> None:
    code = "import json, sys, flows.status\nprint(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    assert set(in_new_process(code, tmp_path)) & {"torch", "prefect", "mlflow", "label_studio_sdk"} == set()


@pytest.mark.parametrize("package", PACKAGES)
def test_our_package_names_resolve_inside_the_checkout(package: str) -> None:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin == str(CHECKOUT / package / "__init__.py")


def test_the_packages_are_empty_doors() -> None:
    doors = [path for package in PACKAGES for path in (CHECKOUT / package).rglob("__init__.py")]
    assert [str(path) for path in doors if path.read_text(encoding="utf-8").strip()] == []


def test_all_presets_are_campaigns() -> None:
    presets = sorted((CHECKOUT / "configs" / "presets").glob("*.yaml"))
    assert "demo" in {path.stem for path in presets}
    for path in presets:
        assert load_campaign(path).name == path.stem


def test_the_first_commands_of_the_readme_are_make_targets() -> None:
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    commands = next(block for block in re.findall(r"```\w*\n(.*?)```", readme, re.DOTALL))
    wanted = re.findall(r"^make ([\w-]+)", commands, re.MULTILINE)
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    assert wanted
    assert set(wanted) <= set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))


@pytest.mark.parametrize("record", ALL_RECORDS, ids=lambda record: record.name)
def test_a_record_has_campaign_and_round_and_its_key(record: Record) -> None:
    names = [column.name for column in record.columns]
    assert {"campaign", "round"} <= set(names)
    assert len(set(names)) == len(names)
    assert record.key
    assert set(record.key) <= set(names)
    assert any(column.identity for column in record.columns)


def test_every_record_is_defined_once() -> None:
    source = (CHECKOUT / "tasks/core/records.py").read_text()
    defined = re.findall(r'= _record\(\s*"(\w+)"', source)
    assert sorted(defined) == sorted({record.name for record in ALL_RECORDS})
