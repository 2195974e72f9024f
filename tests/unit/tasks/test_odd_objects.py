"""Objects that cannot be used as images: each is refused by itself, as wrong data."""

from __future__ import annotations

import pytest
from botocore.stub import Stubber
from pydantic import SecretStr

from configs.settings import ObjectStoreAccess
from tasks.errors import DataError
from tasks.image_files import read_bytes
from tasks.services import object_store

ACCESS = ObjectStoreAccess(
    url="http://127.0.0.1:1", access_key=SecretStr("key"), secret_key=SecretStr("secret")
)
URI = "s3://bucket/a.png"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Stubber:
    """Answers that the object store gives; it is not asked for real."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = object_store.open_client(ACCESS)
    monkeypatch.setattr(object_store, "open_client", lambda: client)
    stubber = Stubber(client)
    stubber.activate()
    return stubber


def test_an_archived_object_is_no_image(answers: Stubber) -> None:
    answers.add_client_error("get_object", "InvalidObjectState", http_status_code=403)
    with pytest.raises(
        DataError, match=r"s3://bucket/a.png, but answered 403 InvalidObjectState: it is arch"
    ):
        read_bytes(URI)
