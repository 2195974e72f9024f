"""What tracking promises, checked on a real MLflow server."""

from __future__ import annotations

import json
import math
import socket
import uuid
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import ViewType
from safetensors.torch import load_file, save_file

from configs.settings import Settings
from tasks.errors import ConfigError, DataError, TerminalServiceError, TransientServiceError
from tasks.services.tracking import CHANGED_TAG, Tracking
from tasks.services.tracking_connection import KEY_TAG
from tasks.services.tracking_registry import DIGEST_TAG, ModelRegistry
from tasks.services.tracking_values import ModelRecord, RoundRecord, model_digest

pytestmark = pytest.mark.services

MOMENT_MS = 1_700_000_000_000


@pytest.fixture(scope="module")
def tracking(services: Settings) -> Tracking:
    assert services.mlflow_uri is not None
    return Tracking(services.mlflow_uri)


@pytest.fixture(scope="module")
def registry(services: Settings) -> ModelRegistry:
    assert services.mlflow_uri is not None
    return ModelRegistry(services.mlflow_uri)


@pytest.fixture(scope="module")
def client(services: Settings) -> MlflowClient:
    return MlflowClient(tracking_uri=services.mlflow_uri, registry_uri=services.mlflow_uri)


@pytest.fixture
def experiment(tracking: Tracking) -> str:
    return tracking.ensure_experiment(f"tracking-{uuid.uuid4().hex[:10]}")


@pytest.fixture
def run(tracking: Tracking, experiment: str) -> str:
    return tracking.ensure_run(experiment, key="c1/round-1", name="round 1", parent_run_id=None, tags={})


def _model_folder(folder: Path, seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(seed)
    save_file({"w": torch.randn(4, 3, generator=generator)}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"architecture": "unet"}))
    return folder


def _model(run_id: str, folder: Path) -> ModelRecord:
    return ModelRecord(
        registered_name=f"tracking-{uuid.uuid4().hex[:10]}",
        key="c1/round-1/f1",
        run_id=run_id,
        folder=folder,
        params={"learning_rate": 5e-5, "network": {"architecture": "unet"}},
        metrics={"miou/T0": 0.78, "miou/T1": math.nan},
        step=1,
        timestamp_ms=MOMENT_MS,
    )


def _files(client: MlflowClient, run_id: str, path: str = "") -> list[str]:
    found: list[str] = []
    for entry in client.list_artifacts(run_id, path):
        found += _files(client, run_id, entry.path) if entry.is_dir else [entry.path]
    return sorted(found)


def test_an_experiment_asked_for_twice_is_the_same(tracking: Tracking) -> None:
    name = f"tracking-{uuid.uuid4().hex[:10]}"
    assert tracking.ensure_experiment(name) == tracking.ensure_experiment(name)


def test_a_deleted_experiment_is_refused_with_the_way_out(tracking: Tracking, client: MlflowClient) -> None:
    name = f"tracking-{uuid.uuid4().hex[:10]}"
    experiment_id = tracking.ensure_experiment(name)
    client.delete_experiment(experiment_id)
    with pytest.raises(TerminalServiceError, match=f"experiments restore --experiment-id {experiment_id}"):
        tracking.ensure_experiment(name)


def test_a_run_asked_for_twice_is_the_same_and_knows_its_parent(
    tracking: Tracking, client: MlflowClient, experiment: str
) -> None:
    parent = tracking.ensure_run(experiment, key="c1", name="c1", parent_run_id=None, tags={"campaign": "c1"})
    first = tracking.ensure_run(
        experiment, key="c1/round-1", name="round 1", parent_run_id=parent, tags={"round": "1"}
    )
    again = tracking.ensure_run(
        experiment, key="c1/round-1", name="first round", parent_run_id=parent, tags={"x": "2"}
    )
    assert first == again
    found = client.get_run(first)
    assert found.info.run_name == "first round"
    assert {
        "mlflow.parentRunId": parent,
        "round": "1",
        "x": "2",
        KEY_TAG: "c1/round-1",
    }.items() <= found.data.tags.items()
    assert len(client.search_runs([experiment])) == 2


def test_of_twin_runs_the_oldest_stays(tracking: Tracking, client: MlflowClient, experiment: str) -> None:
    tags = {KEY_TAG: "twin"}
    younger = client.create_run(experiment, start_time=2_000, tags=tags).info.run_id
    older = client.create_run(experiment, start_time=1_000, tags=tags).info.run_id
    assert older == tracking.ensure_run(experiment, key="twin", name="twin", parent_run_id=None, tags={})
    deleted = client.search_runs([experiment], run_view_type=ViewType.DELETED_ONLY)
    assert [younger] == [found.info.run_id for found in deleted]


def test_a_key_with_a_quote_is_refused(tracking: Tracking, experiment: str) -> None:
    with pytest.raises(ValueError, match="`key`"):
        tracking.ensure_run(experiment, key="it's", name="x", parent_run_id=None, tags={})


def test_a_round_logged_twice_changes_nothing(
    tracking: Tracking, client: MlflowClient, run: str, tmp_path: Path
) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "a.json").write_text("{}")
    (tmp_path / "report.html").write_text("<p>report</p>")
    record = RoundRecord(
        config={"seed": 3, "candidates": {"quota": 25, "windows": None}, "raters": ["a", "b"],
                "competitors": [{"name": "g1"}, {"name": "g2"}]},
        metrics={"miou/T0": 0.7887, "iou/T1/traffic light?": 0.25, "undefined": math.nan},
        step=1, timestamp_ms=MOMENT_MS, tags={"madloop.candidates": "12"},
        artifacts={"": tmp_path / "report.html", "records": tmp_path / "in"},
    )  # fmt: skip
    assert tracking.log_round(run, record) == ()
    first = client.get_run(run)
    assert tracking.log_round(run, record) == ()
    again = client.get_run(run)
    assert first.data.params == again.data.params == {
        "seed": "3", "candidates.quota": "25", "candidates.windows": "null", "raters": '["a", "b"]',
        "competitors.0.name": "g1", "competitors.1.name": "g2",
    }  # fmt: skip
    assert first.data.tags == again.data.tags
    assert len(again.data.metrics) == 3
    for name in again.data.metrics:
        history = client.get_metric_history(run, name)
        assert [(point.timestamp, point.step) for point in history] == [(MOMENT_MS, 1)]
    assert math.isnan(again.data.metrics["undefined"])
    assert _files(client, run) == ["records/deep/a.json", "report.html"]


def test_a_changed_parameter_is_said_and_kept_as_a_tag(
    tracking: Tracking, client: MlflowClient, run: str
) -> None:
    tracking.log_round(run, RoundRecord(config={"seed": 3, "epochs": 80}))
    assert tracking.log_round(run, RoundRecord(config={"seed": 4, "epochs": 80})) == ("seed",)
    data = client.get_run(run).data
    assert data.params["seed"] == "3"
    assert data.tags[CHANGED_TAG + "seed"] == "4"


def test_long_values_and_many_of_them_fit(tracking: Tracking, client: MlflowClient, run: str) -> None:
    config = {"long": "x" * 20_000, "many": {f"p{i}": i for i in range(230)}}
    metrics = {f"m{i}": float(i) for i in range(1_200)}
    record = RoundRecord(config=config, metrics=metrics, timestamp_ms=MOMENT_MS, tags={"t": "y" * 20_000})
    assert tracking.log_round(run, record) == ()
    assert tracking.log_round(run, record) == ()
    data = client.get_run(run).data
    assert len(data.params["long"]) == 6_000
    assert len(data.params) == 231
    assert len(data.metrics) == 1_200
    assert tracking.log_round(run, RoundRecord(config={"long": "x" * 20_001})) == ("long",)


def test_a_missing_artifact_is_named(tracking: Tracking, run: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent\.html"):
        tracking.log_round(run, RoundRecord(artifacts={"": tmp_path / "absent.html"}))


def test_a_curve_logged_twice_is_one_curve(tracking: Tracking, client: MlflowClient, run: str) -> None:
    values = [1 / (1 + step) for step in range(1_500)]
    moments = [MOMENT_MS + 1_000 * step for step in range(1_500)]
    tracking.log_curve(run, "loss/lr 1e-05", values, moments)
    tracking.log_curve(run, "loss/lr 1e-05", values, moments)
    history = sorted(client.get_metric_history(run, "loss/lr 1e-05"), key=lambda point: point.step)
    assert [point.value for point in history] == values
    assert moments == [point.timestamp for point in history]


def test_a_data_set_logged_twice_is_one_input(tracking: Tracking, client: MlflowClient, run: str) -> None:
    for _ in range(2):
        tracking.log_dataset(run, "T(1)", "ab" * 32, 30, "evaluation")
    (entry,) = client.get_run(run).inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == ("T(1)", ("ab" * 32)[:36])
    assert json.loads(entry.dataset.profile) == {"num_rows": 30}
    assert [(tag.key, tag.value) for tag in entry.tags] == [("mlflow.data.context", "evaluation")]


def test_a_finished_run_keeps_its_end_time(tracking: Tracking, client: MlflowClient, run: str) -> None:
    tracking.finish(run, "FINISHED")
    first = client.get_run(run).info
    tracking.finish(run, "FINISHED")
    again = client.get_run(run).info
    assert (again.status, again.end_time) == ("FINISHED", first.end_time)


def test_a_model_comes_back_from_the_registry_bit_equal_and_without_pickle(
    registry: ModelRegistry, run: str, tmp_path: Path
) -> None:
    record = _model(run, _model_folder(tmp_path / "model"))
    version = registry.ensure_model_version(record)
    registry.set_alias(record.registered_name, "current", version.version)
    registry.set_alias(record.registered_name, "current", version.version)
    for uri in (version.uri, f"models:/{record.registered_name}@current"):
        place = registry.download_model(uri, tmp_path / uuid.uuid4().hex)
        names = sorted(found.name for found in place.rglob("*") if found.is_file())
        assert {"config.json", "model.safetensors"} <= set(names)
        assert not [name for name in names if Path(name).suffix in {".pkl", ".pickle", ".pt", ".pth", ".bin"}]
        sent = (record.folder / "model.safetensors").read_bytes()
        assert sent == (place / "model.safetensors").read_bytes()
        assert torch.equal(
            load_file(record.folder / "model.safetensors")["w"], load_file(place / "model.safetensors")["w"]
        )


def test_a_model_registered_twice_is_one_version_with_one_row_a_metric(
    registry: ModelRegistry, client: MlflowClient, experiment: str, run: str, tmp_path: Path
) -> None:
    record = _model(run, _model_folder(tmp_path / "model"))
    assert registry.ensure_model_version(record) == registry.ensure_model_version(record)
    second = replace(record, key="c1/round-2/f2")
    assert registry.ensure_model_version(second).version == 2
    (version, _) = sorted(
        client.search_model_versions(f"name='{record.registered_name}'"), key=lambda v: int(v.version)
    )
    assert (version.run_id, version.tags[KEY_TAG]) == (run, record.key)
    stored = client.get_logged_model(version.source.removeprefix("models:/"))
    assert stored.status == "READY"
    assert stored.params == {"learning_rate": "5e-05", "network.architecture": "unet"}
    assert {metric.key: metric.value for metric in stored.metrics} == {"miou/T0": 0.78}
    assert math.isnan(client.get_run(run).data.metrics["miou/T1"])
    assert len(client.search_logged_models([experiment])) == 2
    assert len(client.get_metric_history(run, "miou/T0")) == 1


def test_a_half_made_model_is_completed(
    registry: ModelRegistry, client: MlflowClient, experiment: str, run: str, tmp_path: Path
) -> None:
    record = _model(run, _model_folder(tmp_path / "model"))
    tags = {KEY_TAG: record.key, DIGEST_TAG: model_digest(record.folder)}
    half = client.create_logged_model(experiment, name="half", tags=tags)
    version = registry.ensure_model_version(record)
    assert (registry.download_model(version.uri, tmp_path / "back") / "model.safetensors").is_file()
    (only,) = client.search_logged_models([experiment])
    assert only.model_id == half.model_id


def test_of_twin_versions_the_lowest_stays(
    registry: ModelRegistry, client: MlflowClient, run: str, tmp_path: Path
) -> None:
    record = _model(run, _model_folder(tmp_path / "model"))
    first = registry.ensure_model_version(record)
    (version,) = client.search_model_versions(f"name='{record.registered_name}'")
    client.create_model_version(
        version.name, version.source, run, tags=version.tags, model_id=version.source.removeprefix("models:/")
    )
    assert registry.ensure_model_version(record) == first
    assert len(client.search_model_versions(f"name='{record.registered_name}'")) == 1


def test_other_weights_under_a_known_key_are_refused(
    registry: ModelRegistry, run: str, tmp_path: Path
) -> None:
    record = _model(run, _model_folder(tmp_path / "one"))
    registry.ensure_model_version(record)
    with pytest.raises(TerminalServiceError, match="other weights"):
        registry.ensure_model_version(replace(record, folder=_model_folder(tmp_path / "two", seed=1)))


@pytest.mark.parametrize("name", ["model.pkl", "extra.pt"])
def test_a_folder_with_a_possible_pickle_is_refused(
    registry: ModelRegistry, run: str, tmp_path: Path, name: str
) -> None:
    folder = _model_folder(tmp_path / "model")
    (folder / name).write_bytes(b"")
    with pytest.raises(DataError, match=name):
        registry.ensure_model_version(_model(run, folder))


def test_a_folder_without_weights_is_refused(registry: ModelRegistry, run: str, tmp_path: Path) -> None:
    folder = _model_folder(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"needs model\.safetensors"):
        registry.ensure_model_version(_model(run, folder))


def test_a_port_where_nothing_listens_is_worth_another_try() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(TransientServiceError, match="check that the server runs"):
        Tracking(f"http://somebody:secret@127.0.0.1:{port}")


def test_no_password_gets_into_a_message() -> None:
    with pytest.raises(TransientServiceError) as caught:
        Tracking("http://somebody:secret@127.0.0.1:9")
    assert "secret" not in str(caught.value)


def test_an_address_that_is_no_server_is_a_setting_error() -> None:
    with pytest.raises(ConfigError, match="http"):
        Tracking("sqlite:///mlflow.db")


def test_an_unknown_run_is_terminal(tracking: Tracking) -> None:
    with pytest.raises(TerminalServiceError, match="read run"):
        tracking.run_url("0" * 32)


def test_addresses_lead_to_the_pages_of_the_server(
    tracking: Tracking, services: Settings, experiment: str, run: str
) -> None:
    base = f"{services.mlflow_uri}/#/experiments/{experiment}"
    assert tracking.experiment_url(experiment) == f"{base}/runs?workflowType=machine_learning"
    assert tracking.run_url(run) == f"{base}/runs/{run}?workflowType=machine_learning"


def test_no_global_state_is_left_behind(tracking: Tracking, experiment: str) -> None:
    before = mlflow.get_tracking_uri()
    tracking.ensure_run(experiment, key="k", name="n", parent_run_id=None, tags={})
    assert mlflow.active_run() is None
    assert before == mlflow.get_tracking_uri()
