"""Whether pages of a site may read what lies in a bucket (CORS), and the rule of the bucket that lets them.

Label Studio's pages read pictures by script, so without the permission people see none.
"""

from __future__ import annotations

import time
from typing import Any

import httpx
from botocore.exceptions import ClientError

from configs.settings import ObjectStoreAccess, PictureKeys
from tasks.errors import TerminalServiceError, TransientServiceError
from tasks.services.object_store import Endpoint, endpoint, error_code, open_client, split_uri, translated

_LOOKS = 6  # at a rule that was just set: an object store may take some seconds to follow it
_LINK_S = 60


def allow_pages(uri: str, origin: str, keys: PictureKeys) -> None:
    """Make sure that pages of `origin` can read `uri`, and its neighbours, by presigned links. Idempotent.

    Tries it as a browser would. If the answer lacks the permission, a rule is added to those of the bucket.

    Args:
        uri: an object of the bucket.
        origin: scheme, host and port of the pages, `https://labels.example.org`.
        keys: those that presigned links are made with.

    Raises:
        TerminalServiceError: the keys do not open the object, or the rule was refused.
        TransientServiceError: the object store does not answer.
    """
    place = endpoint()
    if _is_allowed(uri, origin, keys, place):
        return
    bucket, _ = split_uri(uri)
    _add_rule(bucket, origin)
    for look in range(_LOOKS):
        time.sleep(look)
        if _is_allowed(uri, origin, keys, place):
            return
    raise TerminalServiceError(
        f"The bucket {bucket} was required to let pages of {origin} read pictures, and has a rule that says "
        "so, but its server does not follow it. Allow the origin in the server's settings, then run again."
    )


def _is_allowed(uri: str, origin: str, keys: PictureKeys, place: Endpoint) -> bool:
    access = ObjectStoreAccess(url=place.url, access_key=keys.access_key, secret_key=keys.secret_key)
    bucket, key = split_uri(uri)
    link = open_client(access).generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=_LINK_S
    )
    try:
        answer = httpx.get(link, headers={"Origin": origin}, timeout=60.0, trust_env=place.is_public)
    except httpx.HTTPError as error:  # what it says holds no address, so no signature
        raise TransientServiceError(
            f"The object store was asked for {uri} as a browser would, but: {error or type(error).__name__}."
        ) from None
    if answer.status_code != httpx.codes.OK:
        raise TerminalServiceError(
            f"The keys for Label Studio were required to read {uri}, but a link made with them was answered "
            f"{answer.status_code}. Check MADLOOP_PICTURE_ACCESS_KEY_ID and what it may read."
        )
    return answer.headers.get("access-control-allow-origin") in ("*", origin)


def _add_rule(bucket: str, origin: str) -> None:
    client = open_client()
    rule = {"AllowedMethods": ["GET", "HEAD"], "AllowedOrigins": [origin], "AllowedHeaders": ["*"]}
    try:
        with translated(f"the CORS rules of {bucket}"):
            rules = [*_rules(client, bucket), rule]
            client.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})
    except TerminalServiceError as error:
        raise TerminalServiceError(
            f"The bucket {bucket} was required to let pages of {origin} read pictures, but its rules could "
            f"not be changed. Add the CORS rule {rule} to it, then run again. {error}"
        ) from error


def _rules(client: Any, bucket: str) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = client.get_bucket_cors(Bucket=bucket)["CORSRules"]
    except ClientError as error:
        if error_code(error) == "NoSuchCORSConfiguration":
            return []
        raise
    return found
