"""What is run for each server: the command and the whole environment.

Nothing here calls home: every switch that was found is set, and Label Studio, which asks GitHub for tips
whenever a page is opened, is given a proxy that refuses.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from configs.settings import CHECKOUT, MAIL_DOMAIN, ServiceName, Settings, write_private
from infra.processes import LOOPBACK, Launch
from infra.seaweedfs import seaweedfs_launch
from tasks.errors import ConfigError

LABEL_STUDIO_BIN = "MADLOOP_LABEL_STUDIO_BIN"

# What a server may see of the caller's environment. Label Studio in particular would take a stray HOST, PORT,
# USERNAME or PASSWORD as its own setting.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")

_NOWHERE = f"http://{LOOPBACK}:9"  # the discard port: what would call home fails at once


@dataclass(frozen=True, repr=False)
class Administrator:
    """The account the pipeline uses in the local Label Studio."""

    email: str
    password: str
    token: str


def label_studio_executable(environ: Mapping[str, str]) -> Path:
    """The program of Label Studio's own virtual environment.

    Raises:
        ConfigError: it is not installed.
    """
    given = environ.get(LABEL_STUDIO_BIN)
    executable = Path(given) if given else CHECKOUT / ".venv-label-studio" / "bin" / "label-studio"
    if not os.access(executable, os.X_OK):
        raise ConfigError(
            f"Label Studio's own environment was required at {executable}, but there is no such program. "
            f"Install it with `make setup`, or set {LABEL_STUDIO_BIN} to an installed `label-studio`."
        )
    return executable


def administrator(settings: Settings) -> Administrator:
    """Administrator and token of the local Label Studio: made before its first start, read ever after.

    Raises:
        ConfigError: Label Studio has data, but the file with its administrator is gone.
    """
    folder = settings.services / "label_studio"
    path = folder / "credentials.json"
    if path.exists():
        return Administrator(**json.loads(path.read_text(encoding="utf-8")))
    if (folder / "data").exists():
        raise ConfigError(
            f"{path} was required to reach the Label Studio data in {folder / 'data'}, but it is gone. "
            "Put it back, or move the data away to start with an empty Label Studio."
        )
    made = Administrator(
        email=f"admin@{MAIL_DOMAIN}", password=secrets.token_urlsafe(15), token=secrets.token_hex(20)
    )
    write_private(path, asdict(made))
    return made


def launch_of(settings: Settings, name: ServiceName, port: int, s3_endpoint: str | None = None) -> Launch:
    """Command, environment and folder of one service; makes the folder.

    Label Studio is told the address of the object store here, and it is the launch's remark: where it listens
    on a private network or on this machine, Label Studio takes the address from its operator only.

    Raises:
        ConfigError: Label Studio or SeaweedFS is not installed, or the file of Label Studio's administrator
            is lost.
    """
    folder = settings.services / name
    folder.mkdir(parents=True, exist_ok=True)
    base = {key: os.environ[key] for key in PASSED_ON if key in os.environ}
    command_of = {
        "prefect": _prefect,
        "mlflow": _mlflow,
        "label_studio": _label_studio,
        "object_store": seaweedfs_launch,
    }
    command, own = command_of[name](settings, port)
    remark = ""
    if name == "label_studio" and s3_endpoint is not None:
        remark = own["LABEL_STUDIO_S3_ENDPOINT"] = s3_endpoint
        own["NO_PROXY"] += f",{urlsplit(s3_endpoint).hostname}"
    return Launch(command=command, environment=base | own, folder=folder, port=port, remark=remark)


def _prefect(settings: Settings, port: int) -> tuple[list[str], dict[str, str]]:
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", LOOPBACK, "--port", str(port)]
    return command, {
        "PREFECT_HOME": str(settings.services / "prefect" / "home"),
        "PREFECT_API_URL": f"http://{LOOPBACK}:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # One writer a second instead of one for each event: SQLite takes one at a time, and writers that met
        # were seen to stand still until its busy timeout of 60 s.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
        "DO_NOT_TRACK": "1",
    }


def _mlflow(settings: Settings, port: int) -> tuple[list[str], dict[str, str]]:
    folder = settings.services / "mlflow"
    command = [sys.executable, "-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", (folder / "artifacts").as_uri()]
    return command, {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # spares eight processes nobody here uses
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }


def _label_studio(settings: Settings, port: int) -> tuple[list[str], dict[str, str]]:
    executable = label_studio_executable(os.environ)
    admin = administrator(settings)
    settings.label_studio_files.mkdir(parents=True, exist_ok=True)
    command = [str(executable), "start", "--no-browser", "--internal-host", LOOPBACK, "--port", str(port)]
    submit = {"annotation:submit": {"key": "enter", "mac": "enter", "description": "Submit the answer"}}
    return [*command, "--log-level", "WARNING"], {
        "PYTHONPATH": str(Path(__file__).parent / "label_studio" / "server"),
        "DJANGO_SETTINGS_MODULE": "madloop_label_studio",
        "LABEL_STUDIO_BASE_DATA_DIR": str(settings.services / "label_studio" / "data"),
        "LABEL_STUDIO_HOST": f"http://{LOOPBACK}:{port}",
        "LABEL_STUDIO_USERNAME": admin.email,
        "LABEL_STUDIO_PASSWORD": admin.password,
        "LABEL_STUDIO_USER_TOKEN": admin.token,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(settings.label_studio_files),
        "EDITOR_KEYMAP": json.dumps(submit),
        "TASK_LOCK_TTL": "3600",  # a task somebody left open is free again after an hour, not a day
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "HTTP_PROXY": _NOWHERE,
        "HTTPS_PROXY": _NOWHERE,
        "NO_PROXY": f"{LOOPBACK},localhost,.amazonaws.com",
    }
