"""Two worker processes that write their ids into a folder and wait to be ended."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tasks.worker_processes import share_out


def wait_in(folder: str) -> None:
    """Say who works here, then wait to be ended."""
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(600)


if __name__ == "__main__":
    list(share_out(wait_in, [sys.argv[1]] * 2, 2))
