"""What raters are told before their first task: our text, or the campaign owner's page with its pictures.

The owner's page is copied into the store when a run begins, its pictures under their content, upright and
without metadata. Label Studio is given the copy, so that nobody's later run needs the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from configs.schema import Campaign
from configs.settings import Settings
from models.decoding import decode_image
from tasks.artifacts import ArtifactStore
from tasks.core.digests import digest_of_bytes
from tasks.errors import ConfigError, DataError
from tasks.picture_places import LocalPictures
from tasks.pictures import encode_png
from tasks.rounds import Round

DEFAULT_INSTRUCTION = """<h3>How good is the predicted segmentation?</h3>
<p>Left the image, in the middle the map of the model, right both together. Judge the whole map.</p>
<p><b>1 bad</b> - most of it is wrong or missing &middot; <b>2 poor</b> - large errors &middot;
<b>3 fair</b> - clear errors, but usable &middot; <b>4 good</b> - small errors &middot;
<b>5 excellent</b> - hardly anything to correct.</p>
<p><b>0 out of domain</b> - the model should never have been shown such an image.</p>
<p>Press 1 to 5 or 0, then Enter. Please use <i>Label All Tasks</i> only,
and do not discuss single images.</p>"""

_PICTURE = re.compile(r"""(<img\b[^>]*?\ssrc\s*=\s*)("[^"]*"|'[^']*'|[^\s"'>]+)""", re.IGNORECASE)


def save_instructions(store: ArtifactStore, campaign: Campaign) -> None:
    """Copy the campaign's `ratings.instructions` into the store; without the field, our own text is shown.

    Raises:
        ConfigError: the file or a picture of it is missing or cannot be used; nobody was asked anything.
    """
    path, name = campaign.ratings.instructions, _page_name(campaign.name)
    if path is None:
        store.storage.delete(name)
        return

    def keep(src: str) -> str:
        content = _picture_beside(path, src)
        digest = digest_of_bytes(content)
        store.storage.put_if_absent(_picture_name(campaign.name, digest), content)
        return digest

    page = _with_pictures(_text_of(path), keep).encode()
    if store.storage.get(name) != page:
        store.storage.put(name, page)


def served_instructions(round_: Round, settings: Settings) -> str:
    """The HTML that Label Studio shows, its pictures in the folder that Label Studio serves.

    They lie there for a store on S3, too: addresses of a bucket are understood in the data of tasks alone.
    """
    storage, campaign = round_.open_store().storage, round_.campaign.name
    page = storage.get(_page_name(campaign))
    if page is None:
        return DEFAULT_INSTRUCTION
    files = LocalPictures(settings.label_studio_files)

    def serve(digest: str) -> str:
        name = f"{campaign}/instructions/{digest}.png"
        if not files.has(name):
            files.put(name, storage.local_path(_picture_name(campaign, digest)).read_bytes())
        return files.address(name)

    return _with_pictures(page.decode(), serve)


def _with_pictures(page: str, replace: Callable[[str], str]) -> str:
    """The page with the `src` of every `<img>` replaced."""

    def replaced(found: re.Match[str]) -> str:
        start, src = found[1], found[2].strip("\"'")
        return f'{start}"{replace(src)}"'

    return _PICTURE.sub(replaced, page)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"`ratings.instructions`: an HTML file was required at {path}, but it cannot be read: "
            f"{error.strerror}. Correct the path, or leave the field out for our own text."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"`ratings.instructions`: {path} must be text in UTF-8: {error}.") from error


def _picture_beside(page: Path, src: str) -> bytes:
    """A picture of the page as a PNG file: upright, RGB, without metadata."""
    if re.match(r"[a-z][a-z0-9+.-]*:|/", src, re.IGNORECASE):
        raise ConfigError(
            f"`ratings.instructions`: {page} was required to name pictures by their path from its own "
            f"folder, got <img src={src[:80]!r}>. Put the picture beside the page."
        )
    path = page.parent / src
    try:
        return encode_png(decode_image(path.read_bytes(), where=str(path)))
    except OSError as error:
        raise ConfigError(
            f"`ratings.instructions`: {page} shows a picture {src!r}, but {path} cannot be read: "
            f"{error.strerror}. Put it there, or take it out of the page."
        ) from error
    except DataError as error:
        raise ConfigError(f"`ratings.instructions`: a picture of {page} cannot be used: {error}") from error


def _page_name(campaign: str) -> str:
    return f"campaigns/{campaign}/instructions/page.html"


def _picture_name(campaign: str, digest: str) -> str:
    return f"campaigns/{campaign}/instructions/{digest}.png"
