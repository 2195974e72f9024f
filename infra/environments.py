"""Install the two environments: madloop's own, and Label Studio's, which needs other versions.

Run with any Python 3.11 before anything is installed: standard library only. Environments are shared by all
clones of the same pins; each clone's `.venv` is a thin one that sees the shared packages and this checkout.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
COMPLETE = ".complete"


def shared_root() -> Path:
    """Folder of the shared environments: MADLOOP_ENVIRONMENTS, else the user's cache folder."""
    given = os.environ.get("MADLOOP_ENVIRONMENTS")
    if given:
        return Path(given)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "madloop"


def requirements() -> list[str]:
    """What madloop itself, its extras and its tests need, as pyproject.toml says."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    return [*project["dependencies"], *(package for extra in extras for package in extra)]


def ensure_shared(name: str, wanted: list[str], constraints: Path) -> Path:
    """The environment with `wanted` at the versions in `constraints`; installed once for all clones."""
    pins = constraints.read_text(encoding="utf-8")
    digest = hashlib.sha256("\n".join([sys.version, *wanted, pins]).encode()).hexdigest()[:16]
    folder = shared_root() / f"{name}-{digest}"
    with _only_one(folder):
        if not (folder / COMPLETE).exists():
            shutil.rmtree(folder, ignore_errors=True)
            print(f"installing {name} into {folder} (once for all clones; this takes minutes)", flush=True)  # noqa: T201
            _run([sys.executable, "-m", "venv", str(folder)])
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--constraint"]
            _run([*pip, str(constraints), *wanted])
            (folder / COMPLETE).write_text("")
    return folder


def ensure_thin(shared: Path) -> None:
    """This clone's `.venv`: a Python that sees the shared packages and the checkout, and `madloop`."""
    thin = CHECKOUT / ".venv"
    link = thin / "shared"
    command = thin / "bin" / "madloop"
    script = f'#!/bin/sh\nexec "{thin}/bin/python" -m flows "$@"\n'
    # The script names the checkout: one that was moved or copied gets a new environment.
    is_ours = command.is_file() and command.read_text(encoding="utf-8") == script
    if is_ours and link.is_symlink() and link.readlink() == shared:
        return
    shutil.rmtree(thin, ignore_errors=True)
    _run([sys.executable, "-m", "venv", "--without-pip", str(thin)])
    packages = next((thin / "lib").glob("python3*/site-packages"))
    shared_packages = next((shared / "lib").glob("python3*/site-packages"))
    (packages / "madloop.pth").write_text(f"{CHECKOUT}\n{shared_packages}\n", encoding="utf-8")
    link.symlink_to(shared)
    command.write_text(script, encoding="utf-8")
    command.chmod(0o755)


def ensure_label_studio() -> None:
    """This clone's `.venv-label-studio`: a link to the shared environment of the Label Studio server."""
    constraints = CHECKOUT / "infra" / "label_studio" / "constraints.txt"
    shared = ensure_shared("label-studio", ["label-studio"], constraints)
    link = CHECKOUT / ".venv-label-studio"
    if not (link.is_symlink() and link.readlink() == shared):
        link.unlink(missing_ok=True)
        link.symlink_to(shared)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Hold a lock, so that two clones do not install the same environment at once."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: list[str]) -> None:
    result = subprocess.run(command, check=False)
    if result.returncode != 0:
        raise SystemExit(f"this command failed with exit code {result.returncode}: {' '.join(command)}")


def main() -> None:
    """Install whatever is missing."""
    if sys.version_info[:2] != (3, 11):
        raise SystemExit(
            f"Python 3.11 is required, this is {sys.version.split()[0]}; call `make PYTHON=... setup`"
        )
    ensure_thin(ensure_shared("main", requirements(), CHECKOUT / "constraints.txt"))
    ensure_label_studio()


if __name__ == "__main__":
    main()
