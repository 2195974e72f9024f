"""Campaigns that repair nothing: which targets need it, and what becomes of versions and tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from configs.model_specs import MODEL_KINDS, LabelMaps, Onnx, can_be_trained
from tasks.artifacts import ArtifactRef
from tasks.core.records import PREDICTIONS, REJECTS, SCORES
from tasks.engines import choose_engines
from tasks.errors import ConfigError
from tasks.evaluation import evaluate
from tasks.pool import list_images
from tasks.predictions import predict_pool
from tasks.rounds import finish_round, remember
from tasks.score_tables import Scores, matrix_table, paper_table, version_names
from tasks.versions import spec_of_version, version_name
from tests.lib.small_networks import onnx_file, small_network
from tests.lib.written_campaigns import HEIGHT, WIDTH, campaign_of, encoded, png, round_of, write_file

ONNX = {"kind": "onnx", "name": "target", "path": "net.onnx"}
MAPS = {"kind": "label_maps", "name": "target", "path": "maps"}
REF = ArtifactRef("versions", "0" * 64, "artefacts/versions/x", "1" * 64)


@pytest.mark.parametrize("target", [ONNX, MAPS])
def test_a_target_that_cannot_be_trained_is_refused_unless_it_is_only_mined(
    tmp_path: Path, target: dict[str, str]
) -> None:
    with pytest.raises(ConfigError, match=rf"`target\.kind: {target['kind']}` cannot be .* `repair: false`"):
        campaign_of(tmp_path, target=target)
    campaign = campaign_of(tmp_path, target=target, repair=False)
    assert isinstance(campaign.target, Onnx | LabelMaps)
    assert campaign.target.path == tmp_path / target["path"]
    assert not can_be_trained(campaign.target)
    assert type(campaign).model_validate_json(campaign.model_dump_json()) == campaign


def test_a_target_of_another_label_set_can_be_mined(tmp_path: Path) -> None:
    target = {"kind": "smp_folder", "name": "t", "path": "t", "class_map": {3: "disc"}}
    with pytest.raises(ConfigError, match="another label set"):
        campaign_of(tmp_path, target=target)
    campaign_of(tmp_path, target=target, repair=False)


@pytest.mark.parametrize("kind", MODEL_KINDS)
def test_a_wrong_field_of_any_kind_is_named_as_it_stands_in_the_file(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ConfigError, match=r"`competitors\.0\.pth` is not a field"):
        campaign_of(tmp_path, competitors=[{"kind": kind, "name": "m", "pth": "x"}])


def test_without_repair_every_round_has_the_same_target(tmp_path: Path) -> None:
    round_ = round_of(tmp_path, 3, repair=False)
    finish_round(round_.at(1), REF, closing=False)
    assert version_name(round_, 2) == "target"
    assert spec_of_version(round_, 2) == round_.campaign.target


def test_repair_is_not_changed_in_the_middle_of_a_campaign(tmp_path: Path) -> None:
    repaired = round_of(tmp_path / "a", 2, repair=False)
    remember(repaired.at(1), "version", REF)
    finish_round(repaired.at(1), REF, closing=False)
    with pytest.raises(ConfigError, match=r"`repair: true` was required, because round 1 .* got false"):
        spec_of_version(repaired, 1)
    mined = round_of(tmp_path / "b", 2)
    finish_round(mined.at(1), REF, closing=False)
    with pytest.raises(ConfigError, match=r"`repair: false` was required, because round 1 .* got true"):
        spec_of_version(mined, 1)


def test_tables_have_one_row_for_the_target_and_all_its_scores(tmp_path: Path) -> None:
    campaign = campaign_of(tmp_path, repair=False)
    rows = [
        {
            "model_version": "target", "test_set": name, "part": part, "metric": "iou", "class_name": "mean",
            "value": 0.5, "n_images": 4,
        }
        for name, part in (("T(0)", "all"), ("T(0)", "reporting"), ("T(1)", "all"), ("T(2)", "all"))
    ]  # fmt: skip
    scores = Scores(rows)
    assert version_names(campaign, 3) == ["target"]
    assert [row.name for row in matrix_table(campaign, scores, 3).rows] == ["target", "rival"]
    assert paper_table(campaign, scores, 3).rows[-1].cells == (0.5, 0.5, 0.5)
    assert scores.is_judged("target", "T(2)")
    assert not scores.is_judged("rival", "T(2)")


@pytest.mark.parametrize("is_complete", [True, False])
def test_a_model_of_finished_maps_is_judged_on_sets_of_which_it_has_every_map(
    tmp_path: Path, is_complete: bool
) -> None:
    for base, folder in enumerate(("pool", "training", "familiar")):
        for number in range(2):
            write_file(tmp_path / folder / "images" / f"{folder}{number}.png", png(10 * base + number))
            mask = encoded(np.full((HEIGHT, WIDTH), number, np.uint8))
            write_file(tmp_path / folder / "masks" / f"{folder}{number}.png", mask)
    for name in ("all", "some"):
        write_file(tmp_path / name / "familiar0.png", encoded(np.full((HEIGHT, WIDTH), 0, np.uint8)))
    for name in ("all", "some") if is_complete else ("all",):
        write_file(tmp_path / name / "familiar1.png", encoded(np.full((HEIGHT, WIDTH), 1, np.uint8)))
    round_ = round_of(
        tmp_path,
        repair=False,
        pool={"images": "pool/images"},
        target={"kind": "label_maps", "name": "target", "path": "all"},
        competitors=[{"kind": "label_maps", "name": "rival", "path": "some"}],
    )
    pool = list_images.fn(round_)
    models = [round_.campaign.target, *round_.campaign.competitors]
    rows = round_.open_store().rows(evaluate.fn(round_, models, {1: pool}, {}), SCORES)
    scores = Scores(rows)
    assert scores.miou("target", "T(0)", "all") == 1
    assert scores.is_judged("rival", "T(0)") == is_complete


def test_an_image_without_a_finished_map_is_a_reject_of_that_model_alone(tmp_path: Path) -> None:
    for base, folder in enumerate(("pool", "training", "familiar")):
        for number in range(2):
            write_file(tmp_path / folder / "images" / f"{folder}{number}.png", png(10 * base + number))
            mask = encoded(np.full((HEIGHT, WIDTH), number, np.uint8))
            write_file(tmp_path / folder / "masks" / f"{folder}{number}.png", mask)
    graph = onnx_file(small_network(), tmp_path / "net.onnx", (HEIGHT, WIDTH), is_fixed=True)
    round_ = round_of(
        tmp_path,
        repair=False,
        pool={"images": "pool/images"},
        target={"kind": "onnx", "name": "target", "path": str(graph), "input_size": [HEIGHT, WIDTH]},
        competitors=[{"kind": "label_maps", "name": "rival", "path": "maps"}],
        predictions={"processes": 1},
    )
    write_file(tmp_path / "maps" / "pool0.png", encoded(np.zeros((HEIGHT, WIDTH), np.uint8)))
    pool = list_images.fn(round_)
    specs = [round_.campaign.target, *round_.campaign.competitors]
    store = round_.open_store()

    def counts() -> dict[str, tuple[int, int]]:
        sets = predict_pool.fn(round_, specs, choose_engines.fn(round_, specs, pool), pool)
        return {n: (len(store.rows(r, PREDICTIONS)), len(store.rows(r, REJECTS))) for n, r in sets.items()}

    assert counts() == {"target": (2, 0), "rival": (1, 1)}
    write_file(tmp_path / "maps" / "pool1.png", encoded(np.ones((HEIGHT, WIDTH), np.uint8)))
    assert counts() == {"target": (2, 0), "rival": (2, 0)}, "an added map is found in the next run"
