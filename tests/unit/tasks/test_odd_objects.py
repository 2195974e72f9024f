"""Objects that cannot be used as images: each is refused by itself, as wrong data."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from botocore.response import StreamingBody
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
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stubber]:
    """Answers that the object store gives; it is not asked for real."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = object_store.open_client(ACCESS)
    monkeypatch.setattr(object_store, "open_client", lambda: client)
    with Stubber(client) as stubber:
        yield stubber


def test_an_archived_object_is_no_image(answers: Stubber) -> None:
    answers.add_client_error("get_object", "InvalidObjectState", http_status_code=403)
    with pytest.raises(
        DataError, match=r"s3://bucket/a.png, but answered 403 InvalidObjectState: it is arch"
    ):
        read_bytes(URI)


class Unread(io.BytesIO):
    """A body that must not be fetched."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise AssertionError("the body of an object that is too large was fetched")


def test_an_object_over_the_limit_is_not_fetched(answers: Stubber) -> None:
    body = Unread()
    answers.add_response("get_object", {"ContentLength": 11, "Body": StreamingBody(body, 11)})
    with pytest.raises(DataError, match=r"a.png: at most 10 bytes were required, .* it has 11"):
        read_bytes(URI, max_bytes=10)
    assert body.closed


def test_an_object_of_the_largest_size_is_read(answers: Stubber) -> None:
    answers.add_response(
        "get_object", {"ContentLength": 10, "Body": StreamingBody(io.BytesIO(b"0123456789"), 10)}
    )
    assert read_bytes(URI, max_bytes=10) == b"0123456789"
