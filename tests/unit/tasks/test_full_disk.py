"""A disk that is full while a stage writes: a clear error, nothing half-written, the next run completes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from configs.settings import CHECKOUT
from tasks.core.records import IMAGES
from tasks.pool import list_images
from tests.lib.written_campaigns import png, round_of, write_file, write_labelled

# A limit on the size of files is met in the same place as a full disk, and needs no disk of one's own.
LISTING = """
import resource, signal, sys
from pathlib import Path
from tasks.errors import TerminalServiceError
from tasks.pool import list_images
from tests.lib.written_campaigns import round_of
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    list_images.fn(round_of(Path(sys.argv[1])))
except TerminalServiceError as error:
    print(error)
"""


def test_a_disk_that_is_full_while_images_are_listed(tmp_path: Path) -> None:
    write_labelled(tmp_path / "training", "t", 1)
    write_labelled(tmp_path / "familiar", "f", 2)
    for seed in range(3, 30):
        write_file(tmp_path / f"pool/{seed}.png", png(seed))
    round_ = round_of(tmp_path)
    for limit in (0, 100, 2000, 6000):
        done = subprocess.run(
            [sys.executable, "-c", LISTING, str(tmp_path), str(limit)],
            cwd=CHECKOUT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "free some space and run again" in done.stdout, limit
        assert list((tmp_path / "store").rglob("complete.json")) == []
        assert list((tmp_path / "store").rglob("pool.json")) == []
    store = round_.open_store()
    assert len(store.rows(list_images.fn(round_), IMAGES)) == 29
