"""What a project's members may see: the storages of Label Studio, which here carry permissions and keys only.

Nothing is ever synchronised from them: tasks are published with the addresses of their pictures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks.services.label_studio_records import ServedBucket

LINK_MINUTES = 5  # how long a presigned link opens a picture for whoever has it; the page asks for a new one


def ensure_local_files(api: Any, project_id: int, folder: Path) -> None:
    """Allow a project's members to see the files of a folder; the folder is made. Idempotent."""
    folder.mkdir(parents=True, exist_ok=True)
    storages = api.import_storage.local.list(project=project_id)
    if all(storage.path != str(folder) for storage in storages):
        api.import_storage.local.create(
            project=project_id, path=str(folder), use_blob_urls=True, title="images"
        )


def ensure_bucket(api: Any, project_id: int, served: ServedBucket) -> None:
    """Allow a project's members to see the pictures of a bucket's folder. Idempotent.

    The server never shows the keys that it has, so they are sent each time. It tries them at once.
    """
    wanted = {
        "project": project_id,
        "bucket": served.bucket,
        "prefix": served.prefix,
        "s3endpoint": served.endpoint or "",
        "region_name": served.region or "",
        "aws_access_key_id": served.access_key,
        "aws_secret_access_key": served.secret_key,
        "presign": True,
        "presign_ttl": LINK_MINUTES,
        "use_blob_urls": True,
        "title": "pictures",
    }
    known = [s for s in api.import_storage.s3.list(project=project_id) if s.bucket == served.bucket]
    if known:
        api.import_storage.s3.update(id=known[0].id, **wanted)
    else:
        api.import_storage.s3.create(**wanted)
