"""Images per second of the prediction stage against the usual script, all models of a campaign.

The usual script: one process, torch with its default threads, eager, one image at a time; Pillow decodes and
resizes for each model; logits are brought to the comparison size; the argmax is saved as PNG. It keeps no
uncertainties and compares no maps. Ours is the whole stage, start of its processes included: decoding, maps,
uncertainties, joint histograms, zstd, commits. The two take turns.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from benchmarks.common import RESULTS, Table, report
from benchmarks.passes import CAMVID, PoolRound, Timed, campaign_of, timed
from configs.model_specs import Network
from configs.schema import Campaign
from models.decoding import read_image
from models.inference import InputImage, predict
from models.preprocess import comparison_shape
from models.zoo import build_network, load_model
from tasks.artifacts import ArtifactRef
from tasks.core.label_maps import LabelMap
from tasks.core.records import ENGINES
from tasks.prediction_cache import StoredMap, maps_of

LEAST_AGREEMENT = 0.999  # of the stage's maps with those of torch, eager, from the same inputs
_CHECKED = 8  # images

Maps = Iterator[tuple[str, str, LabelMap]]  # (model, image_id, map)


class UsualScript:
    """What most people write to run segmentation models over a folder."""

    def __init__(self, campaign: Campaign, output: Path) -> None:
        self._specs = [s for s in (campaign.target, *campaign.competitors) if isinstance(s, Network)]
        self._networks = [build_network(spec) for spec in self._specs]
        self._size, self._output = campaign.predictions.comparison_size, output

    def run(self, images: list[tuple[str, str]]) -> None:
        """Save every model's map of every image."""
        for spec, network in zip(self._specs, self._networks, strict=True):
            folder = self._output / spec.name
            folder.mkdir(exist_ok=True)
            for image_id, uri in images:
                Image.fromarray(self._label_map(spec, network, uri)).save(folder / f"{image_id}.png")

    def saved(self, images: list[tuple[str, str]]) -> Maps:
        """The maps that were saved."""
        for spec in self._specs:
            for image_id, _ in images:
                yield (
                    spec.name,
                    image_id,
                    np.asarray(Image.open(self._output / spec.name / f"{image_id}.png")),
                )

    def _label_map(self, spec: Network, network: torch.nn.Module, uri: str) -> NDArray[np.uint8]:
        image = Image.open(uri).convert("RGB")
        size = comparison_shape(image.height, image.width, self._size)
        if spec.input_size is not None:
            image = image.resize(spec.input_size[::-1], Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        mean, std = (torch.tensor(values).view(3, 1, 1) for values in (spec.mean, spec.std))
        with torch.no_grad():
            logits = network(((pixels - mean) / std)[None])
        logits = functional.interpolate(logits, size, mode="bilinear", align_corners=False)
        return logits.argmax(dim=1)[0].to(torch.uint8).numpy()


@dataclass
class Measured:
    """What was timed, per image and turn; `choices` are whole choices of engines."""

    usual: list[Timed] = field(default_factory=list)
    ours: list[Timed] = field(default_factory=list)
    choices: list[Timed] = field(default_factory=list)
    agreement: float = 0.0
    agreement_with_usual: float = 0.0
    n_images: int = 0
    engines: list[dict[str, Any]] = field(default_factory=list)


def measure(campaign: Campaign, images: int, repeats: int, folder: Path) -> Measured:
    """Run the usual script on some images and our stage on all, in turns."""
    found, threads, output = Measured(), torch.get_num_threads(), folder / "usual"
    output.mkdir()
    script = UsualScript(campaign, output)
    for turn in range(repeats):
        pass_ = PoolRound.of(campaign, 1, folder / f"store-{turn}", campaign.target)
        listed = pass_.images
        some = listed[turn * images % len(listed) :][:images]
        torch.set_num_threads(threads)
        script.run(some[:2])
        _, seconds = timed(partial(script.run, some))
        found.usual.append(_each(seconds, len(some)))
        engines, seconds = pass_.choose_engines()
        found.choices.append(seconds)
        sets, seconds = pass_.predict(engines)
        found.ours.append(_each(seconds, len(listed)))
        found.agreement = _agreement(pass_, sets, _eager_maps(pass_, some[:_CHECKED]))
        found.agreement_with_usual = _agreement(pass_, sets, script.saved(some))
        found.n_images, found.engines = len(listed), pass_.round_.open_store().rows(engines, ENGINES)
    torch.set_num_threads(threads)
    return found


@click.command()
@click.option("--config", type=click.Path(path_type=Path), default=CAMVID, show_default=True)
@click.option("--images", type=click.IntRange(1), default=60, help="A turn of the usual script; default 60.")
@click.option("--repeats", type=click.IntRange(1), default=2, show_default=True)
@click.option("--to", "folder", type=click.Path(path_type=Path), default=RESULTS, help="Folder of the table.")
def main(config: Path, images: int, repeats: int, folder: Path) -> None:
    """Time both, interleaved; check that they give the same maps."""
    with tempfile.TemporaryDirectory(prefix="madloop-benchmark-") as scratch:
        found = measure(campaign_of(config), images, repeats, Path(scratch))
    if found.agreement < LEAST_AGREEMENT:
        raise click.ClickException(f"the maps agree on {found.agreement:.4f} of the pixels only")
    usual, ours, choice = (_median(times) for times in (found.usual, found.ours, found.choices))
    with_choice = ours.wall + choice.wall / found.n_images
    table = Table(
        f"{found.n_images} images, {len(found.engines)} models, {repeats} turns, medians. Of the pixels "
        f"{found.agreement:.4%} are of the same class as by torch from the same inputs, and "
        f"{found.agreement_with_usual:.2%} as by the usual script, whose inputs Pillow resized",
        ("what", "images a second", "CPU seconds an image"),
        (
            (f"usual script, {torch.get_num_threads()} threads", f"{1 / usual.wall:.2f}", f"{usual.cpu:.3f}"),
            ("prediction stage", f"{1 / ours.wall:.2f}", f"{ours.cpu:.3f}"),
            ("prediction stage and choice of engines", f"{1 / with_choice:.2f}", ""),
        ),
    )
    engines = Table(
        f"Engines; export and comparison, once per model: {choice.wall:.0f} s",
        ("model", "engine", "agreement with torch", "images"),
        tuple(
            (r["model"], r["engine"], f"{r['agreement'] or 0:.6f}", str(r["n_images"])) for r in found.engines
        ),
    )
    ratios = {
        "images_per_second": usual.wall / ours.wall,
        "with_choice_of_engines": usual.wall / with_choice,
        "cpu_seconds": usual.cpu / ours.cpu,
    }
    report("inference", __doc__ or "", [table, engines], ratios, folder)


def _median(times: list[Timed]) -> Timed:
    return Timed(statistics.median(t.wall for t in times), statistics.median(t.cpu for t in times))


def _each(total: Timed, images: int) -> Timed:
    return Timed(total.wall / images, total.cpu / images)


def _eager_maps(pass_: PoolRound, images: list[tuple[str, str]]) -> Maps:
    """Maps by torch of the stage's own inputs: what its maps must be."""
    campaign = pass_.round_.campaign
    for spec in pass_.specs:
        model = load_model(spec, campaign.classes.names)
        for image_id, uri in images:
            image = InputImage(read_image(Path(uri)), image_id, Path(uri).stem)
            height, width = image.pixels.shape[:2]
            height, width = comparison_shape(height, width, campaign.predictions.comparison_size)
            yield spec.name, image_id, predict(model, image, height=height, width=width).label_map


def _agreement(pass_: PoolRound, sets: dict[str, ArtifactRef], others: Maps) -> float:
    """Share of pixels on which the stage's maps and others are of one class."""
    store, equal, pixels = pass_.round_.open_store(), 0, 0
    rows = {name: maps_of(store, ref) for name, ref in sets.items()}
    for name, image_id, theirs in others:
        ours = StoredMap.of(rows[name][image_id]).read(store)
        equal, pixels = equal + int((ours == theirs).sum()), pixels + ours.size
    return equal / pixels


if __name__ == "__main__":
    main()
