"""Small valid files of every kind that is read, and ways to damage them."""

from __future__ import annotations

import copy
import io
import json
import zlib
from typing import Any

import cv2
import numpy as np
import safetensors.torch
import torch
import zstandard
from PIL import Image

from tasks.core.brush_masks import regions_of
from tasks.core.rle import encode_brush
from tasks.services.label_studio_answers import brush_result

HEIGHT, WIDTH = 24, 32
_PNG = b"\x89PNG\r\n\x1a\n"
NAMES = ("sky", "road", "car")
COLOURS = ((0, 0, 0), (200, 0, 0), (0, 0, 200))
_RNG = np.random.default_rng(5)
_RGB = cv2.resize(
    _RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC
)
_MASK = cv2.resize(
    _RNG.integers(0, 3, (4, 6), dtype=np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST
)
_STATE = {"w": torch.arange(6.0).reshape(2, 3), "half": torch.ones(4).half(), "n": torch.tensor(3)}

Seeds = dict[str, list[bytes]]


def seeds() -> Seeds:
    """Kind of reader -> valid inputs."""
    return {
        "image": _images(),
        "mask": _masks(),
        "map": _masks()[:2],
        "pickle": _pickles(),
        "safetensors": [safetensors.torch.save(_STATE)],
        "frame": [zstandard.ZstdCompressor(level=3, write_checksum=True).compress(_MASK.tobytes())],
        "brush": [bytes(rle) for _, rle in regions_of(_MASK, NAMES)]
        + [bytes(encode_brush(_RNG.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)))],
        "answer": [json.dumps(result).encode() for result in _answers()],
        "metadata": ['stem,drive,sun\na,first,yes\nb,second,no\n"c, d","e""f",é\n'.encode()],
        "listing": ["a\nb c\n\néclair\n".encode(), b"images/a.png\ns3://bucket/b.png\n"],
    }


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _images() -> list[bytes]:
    rgb = Image.fromarray(_RGB)
    exif = Image.Exif()
    exif[0x0112] = 6
    grey16 = Image.fromarray(_RNG.integers(0, 2**16, (HEIGHT, WIDTH)).astype(np.uint16))
    deep = _RNG.integers(0, 2**16, (HEIGHT, WIDTH, 3)).astype(np.uint16)
    return [
        _saved(rgb, "JPEG", quality=90),
        _saved(rgb, "JPEG", progressive=True, exif=exif),
        _saved(rgb.convert("L"), "JPEG"),
        _saved(rgb.convert("CMYK"), "JPEG"),
        _saved(rgb, "JPEG", restart_marker_blocks=1),
        _saved(rgb, "MPO", save_all=True, append_images=[rgb]),
        _saved(rgb, "PNG", exif=exif),
        _saved(grey16, "PNG"),
        bytes(cv2.imencode(".png", deep)[1]),
        _saved(rgb.convert("P"), "PNG", transparency=3),
        _saved(rgb.convert("RGBA"), "PNG"),
        _saved(rgb.convert("1"), "PNG"),
        _saved(rgb, "PNG", save_all=True, append_images=[rgb]),
        _saved(rgb, "BMP"),
        _saved(rgb.convert("P"), "BMP"),
        _saved(rgb, "WEBP", exif=exif),
        _saved(rgb.convert("RGBA"), "WEBP", lossless=True),
        _saved(rgb, "TIFF"),
        _saved(rgb, "TIFF", compression="tiff_lzw", exif=exif),
        _saved(rgb, "TIFF", compression="tiff_adobe_deflate"),
        _saved(rgb, "TIFF", compression="jpeg"),
        _saved(grey16, "TIFF"),
        _saved(rgb.convert("1"), "TIFF", compression="group4"),
    ]


def _masks() -> list[bytes]:
    palette = Image.fromarray(_MASK)
    palette.putpalette([value for colour in COLOURS for value in colour] + [9] * 759)
    colours = Image.fromarray(np.array(COLOURS, np.uint8)[_MASK])
    return [_saved(Image.fromarray(_MASK), "PNG"), _saved(palette, "PNG"), _saved(colours, "PNG"),
            _saved(Image.fromarray(_MASK.astype(np.uint16)), "PNG")]  # fmt: skip


def _pickles() -> list[bytes]:
    states = ((_STATE, True), (_STATE, False), ({"state_dict": _STATE, "epoch": 3}, True))
    buffers = [io.BytesIO() for _ in states]
    for (state, is_zip), buffer in zip(states, buffers, strict=True):
        torch.save(state, buffer, _use_new_zipfile_serialization=is_zip)
    return [buffer.getvalue() for buffer in buffers]


def _answers() -> list[Any]:
    rating = {"from_name": "rating", "to_name": "image", "type": "choices", "value": {"choices": ["3"]}}
    return [[rating], brush_result(regions_of(_MASK, NAMES), width=WIDTH, height=HEIGHT)]


def damaged(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    """`content` with one to three kinds of damage; `other` is where foreign chunks come from."""
    for _ in range(int(rng.integers(1, 4))):
        content = _WAYS[int(rng.integers(len(_WAYS)))](rng, content, other)
    return _with_right_checksums(content) if rng.integers(2) else content


def _with_right_checksums(content: bytes) -> bytes:
    """A PNG whose chunks have the checksums of what is in them now, so that damage gets past that guard."""
    if not content.startswith(_PNG):
        return content
    made, place = [_PNG], len(_PNG)
    while place + 12 <= len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        body = content[place + 4 : place + 8 + size]
        made.append(content[place : place + 4] + body + zlib.crc32(body).to_bytes(4, "big"))
        place += 12 + size
    return b"".join(made)


def cut_short(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    """Without its end."""
    return content[: int(rng.integers(0, len(content) + 1))]


def _flipped(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    data = np.frombuffer(content, np.uint8).copy()
    if data.size:
        for place in rng.integers(0, data.size, int(rng.integers(1, 9))):
            data[place] ^= 1 << int(rng.integers(8))
    return data.tobytes()


def _new_header(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    data = np.frombuffer(content, np.uint8).copy()
    if data.size:
        for place in rng.integers(0, min(64, data.size), int(rng.integers(1, 9))):
            data[place] = rng.choice(np.array([0, 1, 127, 128, 255, int(rng.integers(256))], np.uint8))
    return data.tobytes()


def _spliced(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    start, end = sorted(int(v) for v in rng.integers(0, len(content) + 1, 2))
    first, last = sorted(int(v) for v in rng.integers(0, len(other) + 1, 2))
    piece = (b"", other[first:last], content[start:end] * 2)[int(rng.integers(3))]
    return content[:start] + piece + content[end:]


def _noise(rng: np.random.Generator, content: bytes, other: bytes) -> bytes:
    kept = int(rng.integers(0, min(len(content), 40) + 1))
    return content[:kept] + rng.bytes(int(rng.integers(0, 300)))


_WAYS = (cut_short, _flipped, _flipped, _new_header, _spliced, _noise)


def damaged_json(rng: np.random.Generator, content: bytes) -> bytes:
    """A JSON document with one to three of its values replaced, removed or doubled; it is JSON still."""
    tree = json.loads(content)
    for _ in range(int(rng.integers(1, 4))):
        places = _places(tree)
        if not places:
            break
        holder, key = places[int(rng.integers(len(places)))]
        way = int(rng.integers(4))
        if way == 0:
            del holder[key]
        elif way == 1 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        else:
            holder[key] = copy.deepcopy(_ODD[int(rng.integers(len(_ODD)))])
    return json.dumps(tree).encode()


_ODD: tuple[Any, ...] = (None, True, -1, 0, 2**40, 1.5, "", "3", "rle", [], [[]], [None], {}, {"rle": [300]},
                         "car", [1, 2.5], {"choices": [["3"]]}, ["0"])  # fmt: skip


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every holder and key in a tree; of long lists of numbers a few."""
    if isinstance(tree, dict):
        found = [(tree, key) for key in tree]
    elif isinstance(tree, list):
        found = [(tree, i) for i in range(min(len(tree), 6))]
    else:
        return []
    return found + [place for holder, key in list(found) for place in _places(holder[key])]
