"""Where endpoints and secrets come from."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from configs.settings import (
    CHECKOUT,
    Endpoints,
    ObjectStoreAccess,
    PictureKeys,
    load_settings,
    read_endpoints,
    write_endpoints,
)
from tasks.errors import ConfigError

LOCAL = Endpoints(
    prefect_api_url="http://127.0.0.1:4200/api",
    mlflow_uri="http://127.0.0.1:5000",
    label_studio_url="http://127.0.0.1:8080",
    label_studio_token=SecretStr("local-token"),
    object_store=ObjectStoreAccess(
        url="http://127.0.0.1:8333", access_key=SecretStr("local-key"), secret_key=SecretStr("hush-hush")
    ),
    picture_keys=PictureKeys(access_key=SecretStr("local-reader"), secret_key=SecretStr("hush-too")),
)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Variables of a home where services were started."""
    environ = {"MADLOOP_HOME": str(tmp_path)}
    write_endpoints(load_settings(environ).endpoints_file, LOCAL)
    return environ


def test_without_anything_the_home_is_below_the_checkout_and_nothing_is_known() -> None:
    settings = load_settings({})

    assert settings.home == CHECKOUT / ".madloop"
    assert (settings.store, settings.services) == (str(settings.home / "store"), settings.home / "services")
    assert settings.object_store == ObjectStoreAccess()


def test_what_services_up_wrote_is_read_back(environ: dict[str, str]) -> None:
    settings = load_settings(environ)

    assert read_endpoints(settings.endpoints_file) == LOCAL
    assert settings.require("prefect") == LOCAL.prefect_api_url
    assert settings.require_label_studio().token.get_secret_value() == "local-token"


def test_the_environment_wins(environ: dict[str, str]) -> None:
    settings = load_settings({**environ, "MADLOOP_MLFLOW_URI": "https://mlflow.example.org/"})

    assert settings.mlflow_uri == "https://mlflow.example.org"
    assert settings.prefect_api_url == LOCAL.prefect_api_url


def test_the_local_token_is_never_shown_to_another_server(environ: dict[str, str]) -> None:
    settings = load_settings({**environ, "MADLOOP_LABEL_STUDIO_URL": "https://labels.example.org"})

    assert settings.label_studio_token is None
    with pytest.raises(ConfigError, match="MADLOOP_LABEL_STUDIO_TOKEN"):
        settings.require_label_studio()


def test_the_local_keys_are_never_shown_to_another_object_store(environ: dict[str, str]) -> None:
    assert load_settings(environ).object_store == LOCAL.object_store
    same = load_settings({**environ, "MADLOOP_S3_ENDPOINT_URL": "http://127.0.0.1:8333/"})
    assert same.object_store == LOCAL.object_store
    other = load_settings({**environ, "MADLOOP_S3_ENDPOINT_URL": "https://s3.example.org"})
    assert other.object_store == ObjectStoreAccess(url="https://s3.example.org")
    assert "hush" not in repr(same) + same.model_dump_json()


def test_picture_keys_are_of_the_same_server_as_the_store_and_come_in_pairs(environ: dict[str, str]) -> None:
    local = load_settings(environ)
    assert local.require_picture_keys() == LOCAL.picture_keys
    other = {**environ, "MADLOOP_S3_ENDPOINT_URL": "https://s3.example.org"}
    with pytest.raises(ConfigError, match=r"MADLOOP_PICTURE_ACCESS_KEY_ID.*read and list that folder"):
        load_settings(other).require_picture_keys()
    given = {"MADLOOP_PICTURE_ACCESS_KEY_ID": "reader", "MADLOOP_PICTURE_SECRET_ACCESS_KEY": "hush"}
    assert load_settings(other | given).require_picture_keys().access_key.get_secret_value() == "reader"
    with pytest.raises(ConfigError, match="must be set together"):
        load_settings(other | {"MADLOOP_PICTURE_ACCESS_KEY_ID": "reader"})
    assert "hush" not in repr(load_settings(other | given))


@pytest.mark.parametrize("url", ["s3.example.org", "ftp://s3.example.org", "https://key:hush@s3.example.org"])
def test_an_endpoint_must_be_an_address_without_keys(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="MADLOOP_S3_ENDPOINT_URL must be an address") as caught:
        load_settings({"MADLOOP_HOME": str(tmp_path), "MADLOOP_S3_ENDPOINT_URL": url})
    assert "hush" not in str(caught.value)


def test_a_store_is_a_folder_or_a_uri_without_keys(tmp_path: Path) -> None:
    home = {"MADLOOP_HOME": str(tmp_path)}
    assert load_settings({**home, "MADLOOP_STORE": f"{tmp_path}/x/../y"}).store == f"{tmp_path}/y"
    assert load_settings({**home, "MADLOOP_STORE": "s3://bucket/a/"}).store == "s3://bucket/a"
    with pytest.raises(ConfigError, match="MADLOOP_STORE: an object URI must not hold") as caught:
        load_settings({**home, "MADLOOP_STORE": "s3://key:hush@bucket/a"})
    assert "hush" not in str(caught.value)


def test_what_is_not_known_is_reported_with_the_way_out(tmp_path: Path) -> None:
    settings = load_settings({"MADLOOP_HOME": str(tmp_path)})

    with pytest.raises(
        ConfigError, match=r"Label Studio was required.*madloop services up.*MADLOOP_LABEL_STUDIO_URL"
    ):
        settings.require("label_studio")


@pytest.mark.parametrize("content", ["", "[]", '{"prefect_api_url": 3}', '{"something": "else"}'])
def test_a_damaged_file_is_reported_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "services.json").write_text(content)

    with pytest.raises(ConfigError, match=r"services\.json"):
        load_settings({"MADLOOP_HOME": str(tmp_path)})


def test_a_damaged_file_does_not_show_its_secret(tmp_path: Path) -> None:
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "services.json").write_text('{"label_studio_token": ["hush-hush"]}')

    with pytest.raises(ConfigError) as caught:
        load_settings({"MADLOOP_HOME": str(tmp_path)})

    assert "hush" not in str(caught.value)
