"""Pictures for Label Studio: plain files of our own, and addresses that hold no secret."""

from __future__ import annotations

import io
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from configs.settings import load_settings
from tasks.core.check_marks import CheckMark
from tasks.core.digests import digest_of_bytes
from tasks.errors import DataError
from tasks.labelling import picture_folder
from tasks.picture_places import BucketPictures, LocalPictures
from tasks.rounds import Round
from tasks.served_pictures import PictureFolder
from tasks.services.label_studio_screens import picture_url
from tests.lib.written_campaigns import campaign_of, png, round_of, write_file

MAP = np.array([[0, 1, 2], [255, 0, 1]], dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> PictureFolder:
    return PictureFolder(LocalPictures(tmp_path / "files"), "small")


def _file(tmp_path: Path, address: str) -> Path:
    return tmp_path / "files" / unquote(address.removeprefix("/data/local-files/?d="))


def _image(tmp_path: Path, content: bytes) -> tuple[str, str]:
    return str(write_file(tmp_path / "pool" / "a.img", content)), digest_of_bytes(content)


def test_the_copy_is_upright_and_without_metadata(tmp_path: Path, folder: PictureFolder) -> None:
    exif = Image.Exif()
    exif[274], exif[270] = 6, "taken at the owner's house"  # turned by a quarter; a description
    stream = io.BytesIO()
    Image.new("RGB", (8, 4), (200, 10, 10)).save(stream, "JPEG", exif=exif)

    path = _file(tmp_path, folder.put_image(*_image(tmp_path, stream.getvalue())))

    with Image.open(path) as copy:
        assert (copy.format, copy.mode, copy.size) == ("PNG", "RGB", (4, 8))
        assert not copy.getexif()
    assert b"owner" not in path.read_bytes()


def test_names_say_the_content_and_files_are_plain(tmp_path: Path, folder: PictureFolder) -> None:
    classes, image = campaign_of(tmp_path).classes, _image(tmp_path, png(1, 2, 3))
    addresses = [
        folder.put_image(*image),
        folder.put_map(MAP, classes),
        folder.put_overlay(*image, MAP, classes),
        folder.put_marked_image(*image, [CheckMark("boundary", 1.0, 1.0)]),
    ]
    again = [folder.put_image(*image), folder.put_map(MAP, classes)]

    assert addresses[:2] == again
    assert folder.put_map(MAP.T.copy(), classes) != addresses[1]
    assert folder.put_marked_image(*image, [CheckMark("boundary", 2.0, 1.0)]) != addresses[3]
    files = [path for path in (tmp_path / "files").rglob("*") if not path.is_dir()]
    assert len(files) == 6
    assert all(path.is_file() and not path.is_symlink() and path.stat().st_nlink == 1 for path in files)
    assert not any(path.is_symlink() for path in (tmp_path / "files").rglob("*"))


@pytest.mark.parametrize("link", ["small", "small/images", "small/images/{image_id}.png"])
def test_a_symbolic_link_is_neither_written_through_nor_served(
    tmp_path: Path, folder: PictureFolder, link: str
) -> None:
    uri, image_id = _image(tmp_path, png(1))
    outside = tmp_path / "outside"
    outside.mkdir()
    place = tmp_path / "files" / link.format(image_id=image_id)
    place.parent.mkdir(parents=True)
    place.symlink_to(outside)

    with pytest.raises(DataError, match=r"Plain files.* is a symbolic link\. Remove it"):
        folder.put_image(uri, image_id)

    assert list(outside.iterdir()) == []


def test_a_folder_serves_files_and_a_bucket_its_own_pictures(tmp_path: Path) -> None:
    settings = load_settings({"MADLOOP_HOME": str(tmp_path)})
    campaign = campaign_of(tmp_path)

    in_folder = picture_folder(round_of(tmp_path), settings)
    in_bucket = picture_folder(Round(campaign, 1, "s3://bucket/team/store"), settings)

    assert in_folder.place == LocalPictures(settings.label_studio_files)
    assert in_folder.place.served_bucket("small", settings) is None
    assert in_bucket.place == BucketPictures("s3://bucket/team/store")
    assert in_bucket.place.address("small/maps/1.png") == "s3://bucket/team/store/pictures/small/maps/1.png"


def test_browsers_ask_label_studio_for_a_picture_of_a_bucket() -> None:
    assert picture_url("/data/local-files/?d=a.png", 7) == "/data/local-files/?d=a.png"
    # The URI in the alphabet of URLs (RFC 4648, section 5).
    assert picture_url("s3://b/k.png", 7) == "/tasks/7/resolve/?fileuri=czM6Ly9iL2sucG5n"
