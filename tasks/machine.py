"""What a run or a measurement was made with: versions, hardware, commit; no name of machine or person."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

_PACKAGES = ("numpy", "numba", "torch", "onnxruntime")


def machine_facts(checkout: Path) -> dict[str, str]:
    """Facts by their name, in the order in which they are shown; unknown where the system does not say.

    Args:
        checkout: folder of the code, whose commit is named.
    """
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": f"Python {platform.python_version()}, {versions}",
        "commit": _commit(checkout),
    }


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", _text(Path("/proc/cpuinfo")), re.MULTILINE)
    return found.group(1).strip() if found else platform.processor() or "unknown"


def _memory() -> str:
    found = re.search(r"^MemTotal:\s+(\d+) kB$", _text(Path("/proc/meminfo")), re.MULTILINE)
    return f"{int(found.group(1)) / 2**20:.0f} GiB" if found else "unknown"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _commit(checkout: Path) -> str:
    """Short digest of the commit, and whether files differ from it."""
    head = _git(checkout, "rev-parse", "--short=12", "HEAD")
    if head is None:
        return "unknown"
    return f"{head} with changes" if _git(checkout, "status", "--porcelain") else head


def _git(checkout: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments],  # noqa: S607 - git is what the checkout was made with
            cwd=checkout,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):  # no git here, or no checkout: the caller says unknown
        return None
    return done.stdout.strip()
