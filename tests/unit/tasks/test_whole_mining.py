"""Mining as a whole: the candidates of the pipeline are those of the definition, worked out slowly."""

from __future__ import annotations

from pathlib import Path

import pytest

from configs.schema import Campaign
from models.decoding import read_image
from models.inference import InputImage, predict, set_threads
from models.zoo import load_model
from tasks.artifacts import ArtifactRef
from tasks.candidates import choose_candidates
from tasks.core.digests import digest_of_bytes
from tasks.core.records import CANDIDATES, DRAWING_ORDER, SHORTFALLS, WINDOWS
from tasks.discrepancies import compute_discrepancies
from tasks.engines import choose_engines
from tasks.pool import list_images
from tasks.predictions import predict_pool
from tasks.rounds import Round
from tests.lib.oracles import Map, SlowRule, slow_candidates, slow_main_class

# Wide enough for images to fall inside, narrow enough for some to fall outside.
WINDOWS_GIVEN = {"disc": (0.002, 0.25), "square": (0.0, 0.5)}


def mined(campaign: Campaign, store: Path, excluded: list[str]) -> tuple[Round, ArtifactRef]:
    """The candidates of round 1, without asking anybody."""
    round_ = Round(campaign, 1, str(store))
    pool = list_images.fn(round_)
    specs = [campaign.target, *campaign.competitors]
    maps = predict_pool.fn(round_, specs, choose_engines.fn(round_, specs, pool), pool)
    discrepancies = {
        spec.name: compute_discrepancies.fn(round_, spec.name, maps["target"], maps[spec.name])
        for spec in campaign.competitors
    }
    return round_, choose_candidates.fn(round_, pool, discrepancies, excluded)


def with_section(campaign: Campaign, section: str, **changes: object) -> Campaign:
    """The campaign with some fields of one section changed."""
    return campaign.model_copy(update={section: getattr(campaign, section).model_copy(update=changes)})


@pytest.fixture(scope="session")
def windowed(tiny: Campaign) -> Campaign:
    """The tiny campaign with windows and a quota that bite, its pool in one shard."""
    return with_section(
        with_section(tiny, "candidates", windows=WINDOWS_GIVEN, quota=3), "predictions", shard_size=64
    )


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store shared by the tests, so that the models run once."""
    return tmp_path_factory.mktemp("mined")


@pytest.fixture(scope="session")
def direct_maps(tiny: Campaign) -> dict[str, dict[str, Map]]:
    """Model -> image id -> map, straight from the networks: no store, no histogram, no cache."""
    set_threads(1)
    files = {digest_of_bytes(p.read_bytes()): p for p in sorted(tiny.pool.images.iterdir())}
    maps: dict[str, dict[str, Map]] = {}
    for spec in (tiny.target, *tiny.competitors):
        model = load_model(spec, tiny.classes.names, "cpu")
        maps[spec.name] = {
            image_id: predict(
                model, InputImage(read_image(path), image_id, path.stem), height=64, width=64
            ).label_map
            for image_id, path in files.items()
        }
    return maps


@pytest.mark.parametrize("metric", ["miou", "pixel_accuracy"])
@pytest.mark.parametrize("n_excluded", [0, 5])
def test_the_candidates_are_those_of_the_slow_definition(
    windowed: Campaign, direct_maps: dict[str, dict[str, Map]], store: Path, metric: str, n_excluded: int
) -> None:
    campaign = with_section(windowed, "discrepancies", metric=metric, min_class_px=3)
    targets = direct_maps["target"]
    excluded = sorted(targets)[:n_excluded]
    rule = SlowRule(
        n_classes=3,
        classes=(1, 2),
        windows={1: WINDOWS_GIVEN["disc"], 2: WINDOWS_GIVEN["square"]},
        quota=3,
        metric=metric,
        min_class_px=3,
        excluded=excluded,
    )
    expected = slow_candidates(targets, {c.name: direct_maps[c.name] for c in campaign.competitors}, rule)
    round_, ref = mined(campaign, store, excluded)
    artefacts, names = round_.open_store(), campaign.classes.names
    rows = artefacts.rows(ref, CANDIDATES)
    got = {(r["image_id"], r["competitor"], r["side"], r["class_name"], r["rank"]): r for r in rows}
    want = {(c.image_id, c.competitor, c.side, names[c.class_index], c.rank): c for c in expected}
    assert want.keys() == got.keys()
    assert 0 < len(want) < 2 * 2 * 2 * 3 + 1
    for key, candidate in want.items():
        assert candidate.discrepancy == pytest.approx(got[key]["discrepancy"], abs=1e-12)
        assert candidate.area_fraction == pytest.approx(got[key]["area_fraction"], abs=1e-12)
    order = artefacts.rows(ref, DRAWING_ORDER)
    assert sorted({c.image_id for c in expected}) == sorted(row["image_id"] for row in order)
    assert [row["position"] for row in order] == list(range(len(order)))
    for row in order:
        main = slow_main_class(targets[row["image_id"]], (1, 2))
        assert row["main_class"] == (None if main is None else names[main])
        best = max(c.discrepancy for c in expected if c.image_id == row["image_id"])
        assert row["discrepancy"] == pytest.approx(best, abs=1e-12)


def test_the_candidates_do_not_depend_on_the_size_of_shards(
    windowed: Campaign, store: Path, tmp_path: Path
) -> None:
    digests = {mined(windowed, store, [])[1].digest}
    for size in (1, 7):
        campaign = with_section(windowed, "predictions", shard_size=size)
        digests.add(mined(campaign, tmp_path / str(size), [])[1].digest)
    assert len(digests) == 1


def test_choosing_again_under_other_settings_runs_no_model(windowed: Campaign, store: Path) -> None:
    mined(windowed, store, [])
    predictions = store / "artefacts" / "predictions"
    before = sorted(predictions.rglob("*"))
    round_, ref = mined(with_section(windowed, "candidates", quota=1), store, [])
    assert before == sorted(predictions.rglob("*"))
    assert {row["rank"] for row in round_.open_store().rows(ref, CANDIDATES)} == {1}


def test_given_windows_and_unfilled_quotas_are_written_down(windowed: Campaign, store: Path) -> None:
    round_, ref = mined(with_section(windowed, "candidates", quota=1000), store, [])
    artefacts = round_.open_store()
    windows = {row["class_name"]: row for row in artefacts.rows(ref, WINDOWS)}
    assert {n: (w["low"], w["high"], w["n_masks"]) for n, w in windows.items()} == {
        name: (*bounds, None) for name, bounds in WINDOWS_GIVEN.items()
    }
    counted = len(artefacts.rows(ref, CANDIDATES))
    short = artefacts.rows(ref, SHORTFALLS)
    assert len(short) == 2 * 2 * 2
    assert counted == sum(row["got"] for row in short)
