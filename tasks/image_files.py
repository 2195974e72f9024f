"""Image files of the pool, read again later: their bytes must still be those they were listed with."""

from __future__ import annotations

from pathlib import Path

from tasks.core.digests import digest_of_bytes
from tasks.errors import DataError


def read_verified(uri: str, image_id: str) -> bytes:
    """The bytes of an image file, which must still be those it was listed with.

    Raises:
        DataError: the file is gone, or its bytes have changed.
    """
    try:
        content = Path(uri).read_bytes()
    except OSError as error:
        raise DataError(
            f"The image {uri} was listed in the pool but cannot be read: {error.strerror}."
        ) from error
    if digest_of_bytes(content) != image_id:
        raise DataError(
            f"The image {uri} has changed since the pool was listed; the new one joins the next round."
        )
    return content
