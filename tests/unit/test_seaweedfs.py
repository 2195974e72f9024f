"""Keys of the local object store: one pair for us, one for Label Studio."""

from __future__ import annotations

import json
from pathlib import Path

from configs.settings import load_settings, write_private
from infra.seaweedfs import seaweedfs_access, seaweedfs_picture_keys


def test_label_studio_has_keys_of_its_own_that_read_pictures_only(tmp_path: Path) -> None:
    settings = load_settings({"MADLOOP_HOME": str(tmp_path)})

    access, keys = seaweedfs_access(settings, "http://127.0.0.1:1"), seaweedfs_picture_keys(settings)

    assert (access, keys) == (
        seaweedfs_access(settings, "http://127.0.0.1:1"),
        seaweedfs_picture_keys(settings),
    )
    assert access.access_key != keys.access_key
    assert access.secret_key != keys.secret_key
    path = settings.services / "object_store" / "identities.json"
    actions = {i["name"]: i["actions"] for i in json.loads(path.read_text())["identities"]}
    assert actions["label-studio"] == ["Read:madloop/*/pictures/*", "List:madloop/*/pictures/*"]


def test_keys_of_an_older_installation_stay(tmp_path: Path) -> None:
    settings = load_settings({"MADLOOP_HOME": str(tmp_path)})
    old = {
        "name": "madloop",
        "credentials": [{"accessKey": "old", "secretKey": "old-secret"}],
        "actions": ["Admin"],
    }
    write_private(settings.services / "object_store" / "identities.json", {"identities": [old]})

    seaweedfs_picture_keys(settings)

    access = seaweedfs_access(settings, "http://127.0.0.1:1")
    assert access.access_key is not None
    assert access.access_key.get_secret_value() == "old"
