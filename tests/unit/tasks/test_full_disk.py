"""A disk that is full while a stage writes: a clear error, nothing half-written, the next run completes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from configs.settings import CHECKOUT
from tasks.artifacts import ArtifactRef
from tasks.core.label_maps import LabelMap
from tasks.core.records import IMAGES, PREDICTIONS
from tasks.engines import choose_engines
from tasks.pool import list_images
from tasks.predictions import predict_pool
from tests.lib.played_rounds import true_mask
from tests.lib.written_campaigns import HEIGHT, WIDTH, encoded, png, round_of, write_file, write_labelled

# A limit on the size of files is met in the same place as a full disk, and needs no disk of one's own.
LIMITED = """
import resource, signal, sys
from pathlib import Path
from tasks.errors import TerminalServiceError
from tests.lib.written_campaigns import round_of
def limit():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
root = Path(sys.argv[1])
"""
LISTING = """
from tasks.pool import list_images
limit()
try:
    list_images.fn(round_of(root))
except TerminalServiceError as error:
    print(error)
"""
PASS = """
from tests.unit.tasks.test_full_disk import pass_over_pool
try:
    pass_over_pool(root, limit)
except TerminalServiceError as error:
    print(error)
"""
PICTURES = """
from tasks.picture_places import LocalPictures
from tasks.served_pictures import PictureFolder
import numpy as np
limit()
pictures = PictureFolder(LocalPictures(root / "served"), "small")
try:
    pictures.put_map(np.zeros((24, 32), np.uint8), round_of(root).campaign.classes)
except TerminalServiceError as error:
    print(error)
"""


def said_under_limit(script: str, root: Path, limit: int) -> str:
    """What a script says whose process may write files of `limit` bytes."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED + script, str(root), str(limit)],
        cwd=CHECKOUT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def pass_over_pool(root: Path, begin: Callable[[], object] = lambda: None) -> dict[str, ArtifactRef]:
    """The prediction sets of models whose maps are there; `begin` is called just before the pass."""
    models = [{"kind": "label_maps", "name": name, "path": "maps"} for name in ("target", "rival")]
    plainly = {"engine": "torch", "processes": 1}
    round_ = round_of(root, repair=False, target=models[0], competitors=models[1:], predictions=plainly)
    specs = [round_.campaign.target, *round_.campaign.competitors]
    pool = list_images.fn(round_)
    engines = choose_engines.fn(round_, specs, pool)
    begin()
    return predict_pool.fn(round_, specs, engines, pool)


def test_a_disk_that_is_full_while_images_are_listed(tmp_path: Path) -> None:
    write_labelled(tmp_path / "training", "t", 1)
    write_labelled(tmp_path / "familiar", "f", 2)
    for seed in range(3, 30):
        write_file(tmp_path / f"pool/{seed}.png", png(seed))
    round_ = round_of(tmp_path)
    for limit in (0, 100, 2000, 6000):
        assert "free some space and run again" in said_under_limit(LISTING, tmp_path, limit), limit
        assert list((tmp_path / "store").rglob("complete.json")) == []
        assert list((tmp_path / "store").rglob("pool.json")) == []
    store = round_.open_store()
    assert len(store.rows(list_images.fn(round_), IMAGES)) == 29


@pytest.mark.parametrize(
    ("mask", "limit"),
    [(true_mask(1), 1000), (np.zeros((HEIGHT, WIDTH), np.uint8), 3000)],
    ids=["while maps are written", "while the table is written"],
)
def test_a_disk_that_is_full_during_the_pass_over_the_pool(
    tmp_path: Path, mask: LabelMap, limit: int
) -> None:
    write_labelled(tmp_path / "training", "t", 1)
    write_labelled(tmp_path / "familiar", "f", 2)
    for seed in range(3, 30):
        write_file(tmp_path / f"pool/{seed}.png", png(seed))
        write_file(tmp_path / f"maps/{seed}.png", encoded(mask))
    assert "free some space and run again" in said_under_limit(PASS, tmp_path, limit)
    assert list((tmp_path / "store/artefacts").glob("predictions/**/complete.json")) == []
    assert list((tmp_path / "store/attempts").iterdir()) == []
    sets = pass_over_pool(tmp_path)
    store = round_of(tmp_path).open_store()
    assert [len(store.rows(ref, PREDICTIONS)) for ref in sets.values()] == [27, 27]


def test_a_disk_that_is_full_while_a_picture_is_served(tmp_path: Path) -> None:
    said = said_under_limit(PICTURES, tmp_path, 10)
    assert "small/maps/" in said
    assert "free some space and run again" in said
    assert [path for path in (tmp_path / "served").rglob("*") if path.is_file()] == []
