"""Damaged inputs for every reader: `python -m tests.lib.reader_fuzz --inputs 100000`.

The readers run in a child process with a memory limit and a time limit per input, so that a crash, a hang and
hunger for memory are seen as such. Input n of seed s is the same on every machine; a finding names both.
"""

from __future__ import annotations

import argparse
import datetime
import faulthandler
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from configs.classes import Classes, MaskEncoding
from configs.image_sources import ImageSource
from configs.model_specs import LabelMaps
from models.decoding import decode_image, read_mask
from models.finished_maps import FinishedMaps
from models.state_dicts import load_state
from tasks.core.brush_masks import BrushRegion, compose_mask
from tasks.core.rating_needs import RatingNeed
from tasks.core.rle import decode_brush
from tasks.errors import TroubleshootError
from tasks.image_files import find_image_files
from tasks.image_metadata import read_metadata
from tasks.label_map_files import read_label_map
from tasks.rating_polls import answer_row
from tasks.services.label_studio_answers import Answer, parse_regions
from tasks.services.label_studio_checks import NoCheck, ParsedCheck, parse_check
from tests.lib.fuzz_seeds import COLOURS, HEIGHT, NAMES, WIDTH, Seeds, cut_short, damaged, damaged_json, seeds

SECONDS_PER_INPUT = 10
MEMORY_BYTES = 4 << 30
# Shares of the inputs: images have by far the most code behind them.
KINDS = (
    ("image",) * 8
    + ("mask",) * 3
    + ("map", "pickle", "safetensors")
    + ("frame", "brush", "brush", "answer", "answer", "metadata", "listing")
)
_MOMENT = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_CLASSES = Classes(names=NAMES, colours=COLOURS)


@dataclass
class Outcome:
    """What came of some inputs.

    Attributes:
        counts: (kind, `accepted` or `refused`) -> inputs.
        findings: one line for each input that a reader did not take or refuse as it should.
    """

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    @property
    def n_inputs(self) -> int:
        """Inputs that came to an end of any kind."""
        return sum(self.counts.values()) + len(self.findings)


def made_input(known: Seeds, seed: int, number: int) -> tuple[str, bytes, bool]:
    """Kind and bytes of input `number`, and whether it is a valid file that was only cut short."""
    rng = np.random.default_rng([seed, number])
    kind = KINDS[number % len(KINDS)]
    whole = known[kind][int(rng.integers(len(known[kind])))]
    other = known[kind][int(rng.integers(len(known[kind])))]
    if kind == "answer":
        return kind, damaged_json(rng, whole), False
    if rng.integers(6) == 0:
        return kind, cut_short(rng, whole, other), True
    return kind, damaged(rng, whole, other), False


def read_one(kind: str, content: bytes, folder: Path) -> None:
    """Give an input to its reader, as the product does.

    Raises:
        TroubleshootError: it was refused.
    """
    _READERS[kind](content, folder)


def _read_image(content: bytes, folder: Path) -> None:
    decode_image(content, "the input")


def _read_mask(content: bytes, folder: Path) -> None:
    path = folder / "mask.png"
    path.write_bytes(content)
    refusals = []
    for kind in ("index", "palette", "colours"):
        try:
            mask = read_mask(path, MaskEncoding(kind=kind), _CLASSES, (HEIGHT, WIDTH))
        except TroubleshootError as error:
            refusals.append(error)
        else:
            assert set(np.unique(mask)) <= {0, 1, 2, 255}
    if len(refusals) == 3:
        raise refusals[0]


def _read_map(content: bytes, folder: Path) -> None:
    path = folder / "maps/a.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    model = FinishedMaps(LabelMaps(name="elsewhere", path=path.parent), NAMES)
    assert set(np.unique(model.label_map("id", "a", (HEIGHT, WIDTH)))) <= {0, 1, 2, 255}


def _read_state(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    for tensor in load_state(path).values():
        assert tensor.dtype != torch.float16


def _read_pickle(content: bytes, folder: Path) -> None:
    _read_state(content, folder / "state.pt")


def _read_safetensors(content: bytes, folder: Path) -> None:
    _read_state(content, folder / "state.safetensors")


def _read_frame(content: bytes, folder: Path) -> None:
    path = folder / "artefacts/predictions/key/attempt/maps.zst"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    row = {"offset": 0, "size_bytes": len(content), "height": HEIGHT, "width": WIDTH}
    assert read_label_map(path, row).shape == (HEIGHT, WIDTH)


def _read_brush(content: bytes, folder: Path) -> None:
    try:
        alpha = decode_brush(list(content), height=HEIGHT, width=WIDTH)
    except ValueError as error:
        raise TroubleshootError(str(error)) from error  # tasks.masks makes it a state of the answer
    assert alpha.shape == (HEIGHT, WIDTH)


def _read_answer(content: bytes, folder: Path) -> None:
    result = json.loads(content)
    data = {"key": "k", "image_id": "i", "map_digest": "m"}
    if isinstance(result, list):
        answer = Answer(1, 2, "k", data, 3, 3, False, result, 1.5, _MOMENT, _MOMENT)
        state = answer_row(answer, RatingNeed("i", "m", "rater"), {3})["state"]
        assert isinstance(state, str)
        assert isinstance(parse_check(answer, height=HEIGHT, width=WIDTH), ParsedCheck | NoCheck)
        try:
            regions = [
                BrushRegion(r.label, decode_brush(r.rle, height=HEIGHT, width=WIDTH), r.is_human)
                for r in parse_regions(result, height=HEIGHT, width=WIDTH, where="the input")
            ]
            compose_mask(regions, names=NAMES, base=None, height=HEIGHT, width=WIDTH)
        except ValueError as error:
            raise TroubleshootError(str(error)) from error


def _read_metadata(content: bytes, folder: Path) -> None:
    path = folder / "metadata.csv"
    path.write_bytes(content)
    read_metadata(ImageSource(images=str(folder), metadata=path, group_column="drive"))


def _read_listing(content: bytes, folder: Path) -> None:
    path = folder / "listing.txt"
    path.write_bytes(content)
    find_image_files(str(path), what="pool")


_READERS: dict[str, Callable[[bytes, Path], None]] = {
    "image": _read_image, "mask": _read_mask, "map": _read_map, "pickle": _read_pickle,
    "safetensors": _read_safetensors, "frame": _read_frame, "brush": _read_brush,
    "answer": _read_answer, "metadata": _read_metadata, "listing": _read_listing,
}  # fmt: skip


def pillow_reads(content: bytes) -> bool:
    """Whether Pillow, by default strict about files that are cut short, reads every pixel."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(content)) as file:
                file.load()
        except Exception:  # noqa: BLE001 - of the oracle only its verdict counts
            return False
    return True


def fuzz(n_inputs: int, seed: int) -> Outcome:
    """Run inputs 0 .. n_inputs - 1 of a seed, in a new child process after each crash."""
    outcome, done = Outcome(), 0
    while done < n_inputs:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "tests.lib.reader_fuzz", "--child", folder]
            command += ["--first", str(done), "--inputs", str(n_inputs), "--seed", str(seed)]
            errors = Path(folder, "stderr.txt")
            with errors.open("wb") as stderr:
                code = subprocess.run(command, stderr=stderr, check=False).returncode
            for line in Path(folder, "results.txt").read_text(encoding="utf-8").splitlines():
                kind, result, *text = line.split("\t")
                done += 1
                if text:
                    outcome.findings.append(f"{kind}: {text[0]}")
                else:
                    outcome.counts[kind, result] += 1
            if code != 0:
                kind, _, _ = made_input(seeds(), seed, done)
                last = errors.read_text(encoding="utf-8", errors="replace").splitlines()[-25:]
                outcome.findings.append(
                    f"{kind}: input {done} of seed {seed} ended the process with {code}:\n" + "\n".join(last)
                )
                done += 1
    return outcome


def _child(folder: Path, first: int, n_inputs: int, seed: int) -> None:
    """Read the inputs one after the other, a line of results for each."""
    faulthandler.enable()
    known = seeds()
    mapped = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0]) * resource.getpagesize()
    limit = mapped + MEMORY_BYTES  # the libraries alone, once loaded, span gigabytes of addresses
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    warnings.simplefilter("error")
    with Path(folder, "results.txt").open("w", encoding="utf-8", buffering=1) as results:
        for number in range(first, n_inputs):
            kind, content, is_cut = made_input(known, seed, number)
            signal.setitimer(signal.ITIMER_REAL, SECONDS_PER_INPUT)  # SIGALRM ends the process
            line = f"{kind}\taccepted"
            try:
                read_one(kind, content, folder)
                if kind == "image" and is_cut and not pillow_reads(content):
                    line = f"{kind}\tfinding\tinput {number} of seed {seed} is cut short, but was accepted"
            except TroubleshootError:
                line = f"{kind}\trefused"
            except Exception as error:  # noqa: BLE001 - what is looked for
                said = repr(error).replace("\n", " ").replace("\t", " ")
                line = f"{kind}\tfinding\tinput {number} of seed {seed} raised {said}"
            signal.setitimer(signal.ITIMER_REAL, 0)
            results.write(f"{line}\n")
    os._exit(0)  # exit code 0 says that all inputs were read, whatever the libraries do at their end


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is not None:
        _child(args.child, args.first, args.inputs, args.seed)
        return
    outcome = fuzz(args.inputs, args.seed)
    for finding in outcome.findings:
        sys.stdout.write(f"{finding}\n")
    for (kind, result), count in sorted(outcome.counts.items()):
        sys.stdout.write(f"{kind:12} {result:10} {count}\n")
    sys.stdout.write(f"{outcome.n_inputs} inputs, {len(outcome.findings)} findings\n")
    sys.exit(1 if outcome.findings else 0)


if __name__ == "__main__":
    main()
