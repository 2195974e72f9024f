"""Where this checkout keeps its things and reaches its services: endpoints and secrets, never method numbers.

The environment wins; what it leaves open comes from `services.json`, which `madloop services up` writes.
Nothing is read at import: `load_settings` is called by the command that needs it.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from configs.locations import is_object_uri, split_object_uri
from configs.people_sections import PersonRole
from tasks.errors import ConfigError

CHECKOUT = Path(__file__).resolve().parents[1]
MAIL_DOMAIN = "madloop.local"  # people's logins are names, not mailboxes: nothing is ever sent

ServiceName = Literal["prefect", "mlflow", "label_studio", "object_store"]

# service -> (what people call it, environment variable of its address)
SERVICES: dict[ServiceName, tuple[str, str]] = {
    "prefect": ("Prefect", "MADLOOP_PREFECT_API_URL"),
    "mlflow": ("MLflow", "MADLOOP_MLFLOW_URI"),
    "label_studio": ("Label Studio", "MADLOOP_LABEL_STUDIO_URL"),
    "object_store": ("Object store", "MADLOOP_S3_ENDPOINT_URL"),  # optional: a store may be a folder
}
TOKEN_VARIABLE = "MADLOOP_LABEL_STUDIO_TOKEN"  # noqa: S105 - the name of a variable, not a token
PICTURE_KEY_VARIABLES = ("MADLOOP_PICTURE_ACCESS_KEY_ID", "MADLOOP_PICTURE_SECRET_ACCESS_KEY")


class Frozen(BaseModel):
    """Base of what is read here: immutable, no unknown keys; a secret's value never stands in an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ObjectStoreAccess(Frozen):
    """Endpoint of the object store, with keys where it is the local one; None leaves it to boto3."""

    url: str | None = None
    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None


class PictureKeys(Frozen):
    """Keys by which Label Studio reads the pictures in an object store; they should open nothing else."""

    access_key: SecretStr
    secret_key: SecretStr


class Endpoints(Frozen):
    """Addresses of the services, and what the pipeline shows to them; None means not known."""

    prefect_api_url: str | None = None
    mlflow_uri: str | None = None
    label_studio_url: str | None = None
    label_studio_token: SecretStr | None = None
    object_store: ObjectStoreAccess = ObjectStoreAccess()
    picture_keys: PictureKeys | None = None


class Login(Frozen):
    """How one person gets into Label Studio.

    Attributes:
        email: the address of the account the person has now; never a mailbox.
        password: of that account.
        roles: what the person was asked for so far, or is meant for.
        removed: whether the account was taken out of Label Studio; the row stays with its name.
    """

    email: str
    password: SecretStr
    roles: tuple[PersonRole, ...] = ()
    removed: bool = False


class LabelStudioAccess(Frozen):
    """Address of Label Studio and the token of the account the pipeline uses."""

    url: str
    token: SecretStr


class Settings(Endpoints):
    """Places and endpoints of one installation.

    Attributes:
        home: folder of everything that is kept.
        store_place: where the artefact store is if not in `store` below `home`: a folder or `s3://bucket/prefix`.
    """

    home: Path
    store_place: str | None = None

    @property
    def store(self) -> str:
        """Place of the artefact store: a folder or `s3://bucket/prefix`."""
        return self.store_place or str(self.home / "store")

    @property
    def services(self) -> Path:
        """Folder of the locally run services: data, logs, process records, secrets."""
        return self.home / "services"

    @property
    def label_studio_files(self) -> Path:
        """Document root of Label Studio's local files: only our own PNG files, no links."""
        return self.services / "label_studio" / "files"

    @property
    def endpoints_file(self) -> Path:
        """Where `madloop services up` writes the endpoints (mode 0600)."""
        return self.services / "services.json"

    @property
    def people_file(self) -> Path:
        """People's logins by name (mode 0600)."""
        return self.services / "people.json"

    def address(self, service: ServiceName) -> str | None:
        """The address of a service, None when it is not known."""
        return {
            "prefect": self.prefect_api_url,
            "mlflow": self.mlflow_uri,
            "label_studio": self.label_studio_url,
            "object_store": self.object_store.url,
        }[service]

    def shown(self, service: ServiceName) -> str | None:
        """The address of a service as it may be shown: without a password, without the path of an API."""
        url = self.address(service)
        parts = urlsplit(url or "")
        place = parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"
        path = parts.path.removesuffix("/api")
        return None if url is None else urlunsplit((parts.scheme, place or "", path, "", ""))

    def require(self, service: ServiceName) -> str:
        """The address of a service that is needed now.

        Raises:
            ConfigError: neither the environment nor `services.json` names it.
        """
        title, variable = SERVICES[service]
        url = self.address(service)
        if url is None:
            raise ConfigError(
                f"{title} was required, but no address is known: {variable} is not set and "
                f"{self.endpoints_file} does not name one. Run `madloop services up`, or set {variable}."
            )
        return url

    def require_label_studio(self) -> LabelStudioAccess:
        """Label Studio's address together with its token.

        Raises:
            ConfigError: the address or the token is not known.
        """
        url = self.require("label_studio")
        if self.label_studio_token is None:
            raise ConfigError(
                f"A token for Label Studio at {url} was required, but none is known. "
                f"Set {TOKEN_VARIABLE} (Label Studio, Account & Settings, Access Token)."
            )
        return LabelStudioAccess(url=url, token=self.label_studio_token)

    def require_picture_keys(self) -> PictureKeys:
        """The keys that Label Studio is given to read pictures in the store's bucket.

        Raises:
            ConfigError: none are known.
        """
        if self.picture_keys is None:
            access_key, secret_key = PICTURE_KEY_VARIABLES
            raise ConfigError(
                f"Keys for Label Studio to read {self.store}/pictures were required, but none are known. Set "
                f"{access_key} and {secret_key} to keys that may read and list that folder and nothing else: "
                "whoever is a member of Label Studio can read what they open."
            )
        return self.picture_keys


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this checkout: the environment first, then what `madloop services up` wrote.

    Args:
        environ: variables to read; default: the process environment.

    Raises:
        ConfigError: `services.json` exists but is not what was written there.
    """
    variables = os.environ if environ is None else environ
    home = Path(variables.get("MADLOOP_HOME") or CHECKOUT / ".madloop").expanduser().resolve()
    local = read_endpoints(Settings(home=home).endpoints_file)
    given = {service: variables.get(variable) or None for service, (_, variable) in SERVICES.items()}
    given_token = variables.get(TOKEN_VARIABLE) or None
    label_studio_url = _address(given["label_studio"]) or local.label_studio_url
    token = SecretStr(given_token) if given_token else None
    # The local server's token is shown to the local server only, never to an address from the environment.
    if token is None and label_studio_url == local.label_studio_url:
        token = local.label_studio_token
    object_store = _object_store(_address(given["object_store"]), local.object_store)
    return Settings(
        home=home,
        store_place=_store_place(variables.get("MADLOOP_STORE")),
        object_store=object_store,
        picture_keys=_picture_keys(variables)
        or (local.picture_keys if object_store == local.object_store else None),
        prefect_api_url=_address(given["prefect"]) or local.prefect_api_url,
        mlflow_uri=_address(given["mlflow"]) or local.mlflow_uri,
        label_studio_url=label_studio_url,
        label_studio_token=token,
    )


def _store_place(given: str | None) -> str | None:
    if not given:
        return None
    if not is_object_uri(given):
        return str(Path(given).expanduser().resolve())
    try:
        split_object_uri(given)
    except ValueError as error:
        raise ConfigError(f"MADLOOP_STORE: {error}.") from error
    return given.rstrip("/")


def _object_store(url: str | None, local: ObjectStoreAccess) -> ObjectStoreAccess:
    """The endpoint, with the local server's keys for the local server only."""
    if url in (None, local.url):
        return local
    parts = urlsplit(url or "")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ConfigError(
            "MADLOOP_S3_ENDPOINT_URL must be an address such as https://s3.example.org, without user and "
            "password; keys are given by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or by a profile."
        )
    return ObjectStoreAccess(url=url)


def _picture_keys(variables: Mapping[str, str]) -> PictureKeys | None:
    access_key, secret_key = (variables.get(name) for name in PICTURE_KEY_VARIABLES)
    if not access_key and not secret_key:
        return None
    if not access_key or not secret_key:
        raise ConfigError(f"{' and '.join(PICTURE_KEY_VARIABLES)} must be set together, but one is missing.")
    return PictureKeys(access_key=SecretStr(access_key), secret_key=SecretStr(secret_key))


def _address(url: str | None) -> str | None:
    return None if url is None else url.rstrip("/")


def read_endpoints(path: Path) -> Endpoints:
    """The endpoints in `path`; all unknown when the file does not exist."""
    raw = _read_json(path)
    try:
        return Endpoints.model_validate(raw or {})
    except ValidationError as error:
        raise ConfigError(
            f"{path} is not what `madloop services up` writes: {error}. Remove it and run that again."
        ) from error


def write_endpoints(path: Path, endpoints: Endpoints) -> None:
    """Put the endpoints, with the token and the keys in clear, into a file only its owner can read."""
    write_private(path, in_clear(endpoints.model_dump()))


def in_clear(value: Any) -> Any:
    """A dumped model with the values of its secrets, for a private file."""
    if isinstance(value, dict):
        return {name: in_clear(part) for name, part in value.items()}
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def read_logins(settings: Settings) -> dict[str, Login]:
    """Everybody's login, by name; empty before anybody was given one.

    Raises:
        ConfigError: the file exists but is not a mapping of names to logins.
    """
    path = settings.people_file
    try:
        return {name: Login.model_validate(login) for name, login in (_read_json(path) or {}).items()}
    except ValidationError as error:
        raise ConfigError(f"{path} must map each name to an `email` and a `password`: {error}.") from error


def write_private(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON that only the owner may read, replacing the old file at once; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=1, sort_keys=True)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


def _read_json(path: Path) -> dict[str, Any] | None:
    """The mapping in a JSON file, None when there is no such file."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} was required to hold JSON, but cannot be read: {error}.") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} was required to hold a JSON mapping, got {type(raw).__name__}.")
    return raw
