"""The owner's instructions: copied into the store with their pictures, refused before anybody is asked."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest
from PIL import Image

from configs.settings import load_settings
from tasks.errors import ConfigError
from tasks.rating_instructions import DEFAULT_INSTRUCTION, save_instructions, served_instructions
from tasks.rounds import Round
from tests.lib.written_campaigns import png, round_of, write_file

PAGE = """<h3>Scores</h3>
<p>5: <img width="200" src="good.png" alt="a good map"> 1: <IMG src='bad/one.jpg'>
2: <img alt=poor src=good.png></p>"""


def owners_round(root: Path, page: str = PAGE) -> Round:
    (root / "page.html").write_text(page, encoding="utf-8")
    write_file(root / "good.png", png(1))
    (root / "bad").mkdir()
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    Image.new("RGB", (6, 4), (200, 10, 10)).save(root / "bad/one.jpg", exif=exif)
    return round_of(root, ratings={"instructions": "page.html"})


def test_without_a_page_raters_see_our_text(tmp_path: Path) -> None:
    round_ = round_of(tmp_path)
    save_instructions(round_.open_store(), round_.campaign)
    assert served_instructions(round_, load_settings({"MADLOOP_HOME": str(tmp_path)})) == DEFAULT_INSTRUCTION


def test_the_page_and_its_pictures_are_served_from_the_store(tmp_path: Path) -> None:
    round_ = owners_round(tmp_path)
    save_instructions(round_.open_store(), round_.campaign)
    for file in ("page.html", "good.png", "bad/one.jpg"):
        (tmp_path / file).unlink()  # a later run needs none of them
    settings = load_settings({"MADLOOP_HOME": str(tmp_path / "home")})

    shown = served_instructions(round_, settings)

    addresses = [part.split(part[0])[1] for part in shown.split("src=")[1:]]
    assert shown.startswith("<h3>Scores</h3>")
    assert 'width="200"' in shown
    files = [
        settings.label_studio_files / unquote(a.removeprefix("/data/local-files/?d=")) for a in addresses
    ]
    assert len(files) == 3
    for file in files:
        assert file.suffix == ".png"
        with Image.open(file) as picture:
            assert not picture.getexif()
    assert served_instructions(round_, settings) == shown


def test_a_page_that_is_left_out_again_gives_way_to_our_text(tmp_path: Path) -> None:
    round_ = owners_round(tmp_path)
    save_instructions(round_.open_store(), round_.campaign)
    without = round_of(tmp_path)
    save_instructions(without.open_store(), without.campaign)
    assert served_instructions(without, load_settings({"MADLOOP_HOME": str(tmp_path)})) == DEFAULT_INSTRUCTION


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ('<img src="gone.png">', "shows a picture 'gone.png'"),
        ("<img src=gone.png>", "shows a picture 'gone.png'"),
        ('<img data-src="good.png" src="gone.png">', "shows a picture 'gone.png'"),
        ('<img src="page.html">', "a picture of .* cannot be used"),
        ('<img src="https://example.org/a.png">', "by their path from its own folder"),
        ('<img src="/etc/a.png">', "by their path from its own folder"),
        ('<img src="data:image/png;base64,AAAA">', "Put the picture beside the page"),
    ],
)
def test_a_picture_that_cannot_be_shown_is_refused(tmp_path: Path, page: str, message: str) -> None:
    round_ = owners_round(tmp_path, page)
    with pytest.raises(ConfigError, match=message):
        save_instructions(round_.open_store(), round_.campaign)


def test_a_page_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    round_ = round_of(tmp_path, ratings={"instructions": "page.html"})
    with pytest.raises(ConfigError, match=r"an HTML file was required at .*page\.html"):
        save_instructions(round_.open_store(), round_.campaign)
    (tmp_path / "page.html").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        save_instructions(round_.open_store(), round_.campaign)
