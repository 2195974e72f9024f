"""Where the pictures of Label Studio's tasks lie: in a folder of this machine, or in the store's bucket."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from configs.locations import split_object_uri
from configs.settings import Settings
from tasks.errors import DataError
from tasks.services import object_store
from tasks.services.browser_access import allow_pages
from tasks.services.label_studio_records import ServedBucket
from tasks.services.label_studio_screens import local_file_url
from tasks.services.local_storage import LocalStorage
from tasks.services.storage import open_storage

PICTURES = "pictures"  # folder of a store on S3 with the pictures, in a folder for each campaign


class PicturePlace(Protocol):
    """Files under relative names that are given away for good: what stands under a name never changes."""

    def has(self, name: str) -> bool:
        """Whether there is such a file."""

    def put(self, name: str, content: bytes) -> None:
        """Write the file; one that is there is left alone."""

    def address(self, name: str) -> str:
        """What task data say to show the file. It holds no key and does not expire."""

    def served_bucket(self, campaign: str, settings: Settings) -> ServedBucket | None:
        """What Label Studio needs to show the pictures of a campaign; None for its local files.

        Raises:
            ConfigError: there are no keys to give to Label Studio.
        """


@dataclass(frozen=True)
class LocalPictures:
    """A folder that Label Studio serves to people who are logged in.

    Label Studio follows symbolic links out of the folder, to any file it may read. So nothing is written
    through a link, and no file that is one is taken for a picture.

    Attributes:
        document_root: Label Studio's folder of local files.
    """

    document_root: Path

    def has(self, name: str) -> bool:
        """See `PicturePlace`.

        Raises:
            DataError: the file or a folder on the way to it is a symbolic link.
        """
        path = self.document_root
        for part in name.split("/"):
            path /= part
            if path.is_symlink():
                raise DataError(
                    f"Plain files and folders were required in {self.document_root}, from where Label Studio "
                    f"serves pictures, but {path} is a symbolic link. Remove it and run again."
                )
        return path.is_file()

    def put(self, name: str, content: bytes) -> None:
        """See `PicturePlace`; refuses symbolic links as `has`."""
        if not self.has(name):
            LocalStorage(self.document_root).put_if_absent(name, content)

    def address(self, name: str) -> str:
        """See `PicturePlace`."""
        return local_file_url(name)

    def served_bucket(self, campaign: str, settings: Settings) -> None:
        """See `PicturePlace`."""


@dataclass(frozen=True)
class BucketPictures:
    """The folder `pictures` of a store on S3; Label Studio makes presigned links for who is logged in.

    Attributes:
        store: the store's URI, `s3://bucket/prefix`.
    """

    store: str

    def has(self, name: str) -> bool:
        """See `PicturePlace`; the names are read once, a thousand with a request."""
        return f"{PICTURES}/{name}" in self._there

    def put(self, name: str, content: bytes) -> None:
        """See `PicturePlace`."""
        open_storage(self.store).put_if_absent(f"{PICTURES}/{name}", content)

    def address(self, name: str) -> str:
        """See `PicturePlace`."""
        return f"{self.store}/{PICTURES}/{name}"

    def served_bucket(self, campaign: str, settings: Settings) -> ServedBucket:
        """See `PicturePlace`; also makes sure that the pages of Label Studio can read the pictures."""
        keys, about = settings.require_picture_keys(), f"{campaign}/about.txt"
        self.put(
            about, b"Pictures that Label Studio shows to people.\n"
        )  # it refuses folders without objects
        settings.require("label_studio")
        site = urlsplit(
            str(settings.shown("label_studio"))
        )  # no browser sends the user of an address as origin
        allow_pages(self.address(about), f"{site.scheme}://{site.netloc}", keys)
        bucket, prefix = split_object_uri(self.address(campaign))
        endpoint = object_store.endpoint()
        return ServedBucket(
            bucket=bucket,
            prefix=prefix,
            endpoint=endpoint.url if endpoint.is_public else None,
            region=endpoint.region,
            access_key=keys.access_key.get_secret_value(),
            secret_key=keys.secret_key.get_secret_value(),
        )

    @cached_property
    def _there(self) -> frozenset[str]:
        return frozenset(open_storage(self.store).names(PICTURES))
