"""Finished label maps: looked up by digest or stem, resized by centres, refused one by one."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from configs.model_specs import LabelMaps
from models.finished_maps import FinishedMaps, LabelMapError
from models.inference import InputImage, predict, predict_sizes
from models.weights import model_digest
from models.zoo import build_network, load_model
from tasks.errors import DataError

NAMES = ("sky", "road", "car")
ID = "ab" * 32
MAP = np.random.default_rng(0).choice(np.array([0, 1, 2, 255], np.uint8), (20, 30))


def _folder(path: Path, **maps: np.ndarray) -> LabelMaps:
    path.mkdir(parents=True, exist_ok=True)
    for name, values in maps.items():
        Image.fromarray(values).save(path / f"{name}.png")
    return LabelMaps(name="elsewhere", path=path)


def _image(height: int = 20, width: int = 30, stem: str = "frame") -> InputImage:
    return InputImage(np.zeros((height, width, 3), np.uint8), ID, stem)


@pytest.mark.parametrize("name", [ID, "frame"])
def test_a_map_is_found_by_digest_or_stem_and_has_no_uncertainty(tmp_path: Path, name: str) -> None:
    model = load_model(_folder(tmp_path, **{name: MAP}), NAMES)
    assert isinstance(model, FinishedMaps)
    result = predict(model, _image(), height=20, width=30)
    assert result.label_map.tolist() == MAP.tolist()
    assert result.label_map.dtype == np.uint8
    numbers = (result.entropy_mean, result.entropy_p95, result.uncertainty_mean, result.uncertainty_p95)
    assert all(math.isnan(number) for number in numbers)


def test_the_digest_comes_before_the_stem(tmp_path: Path) -> None:
    model = load_model(_folder(tmp_path, **{ID: MAP, "frame": np.zeros_like(MAP)}), NAMES)
    assert predict(model, _image(), height=20, width=30).label_map.tolist() == MAP.tolist()


def test_a_palette_holds_indices(tmp_path: Path) -> None:
    tmp_path.mkdir(exist_ok=True)
    picture = Image.fromarray(MAP).convert("P")
    picture.putdata(MAP.ravel().tolist())
    picture.putpalette([200, 10, 10] * 256)
    picture.save(tmp_path / "frame.png")
    model = load_model(LabelMaps(name="m", path=tmp_path), NAMES)
    assert predict(model, _image(), height=20, width=30).label_map.tolist() == MAP.tolist()


def test_another_index_may_stand_for_void(tmp_path: Path) -> None:
    values = np.where(MAP == 255, 99, MAP).astype(np.uint8)
    spec = _folder(tmp_path, frame=values).model_copy(update={"void": 99})
    assert predict(load_model(spec, NAMES), _image(), height=20, width=30).label_map.tolist() == MAP.tolist()


def test_a_scaled_map_fits_its_image_and_every_asked_size(tmp_path: Path) -> None:
    model = load_model(_folder(tmp_path, frame=MAP), NAMES)
    for prediction, size in zip(
        predict_sizes(model, _image(1000, 1500), [(10, 15), (40, 60)]), [(10, 15), (40, 60)], strict=True
    ):
        expected = Image.fromarray(MAP).resize(size[::-1], Image.Resampling.NEAREST)
        assert prediction.label_map.tolist() == np.asarray(expected).tolist()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full((20, 30), 7, np.uint8), r"frame\.png.*7"),
        (np.zeros((30, 20), np.uint8), "must have the shape of its image, 20 x 30 pixels"),
        (np.zeros((20, 20), np.uint8), "must have the shape of its image"),
        (np.zeros((20, 30, 3), np.uint8), "one byte a pixel"),
        (np.zeros((20, 30), np.uint16), "one byte a pixel"),
    ],
)
def test_a_map_that_does_not_fit_is_an_error_of_that_image(
    tmp_path: Path, values: np.ndarray, message: str
) -> None:
    model = load_model(_folder(tmp_path, frame=values), NAMES)
    with pytest.raises(LabelMapError, match=message):
        predict(model, _image(), height=20, width=30)


def test_a_missing_map_says_both_names(tmp_path: Path) -> None:
    model = load_model(_folder(tmp_path, other=MAP), NAMES)
    with pytest.raises(LabelMapError, match=rf"neither {ID}\.png nor frame\.png"):
        predict(model, _image(), height=20, width=30)


def test_damaged_maps_are_errors_of_their_image(tmp_path: Path) -> None:
    model = load_model(_folder(tmp_path, frame=MAP), NAMES)
    whole = (tmp_path / "frame.png").read_bytes()
    rng = np.random.default_rng(2)
    refused = 0
    for number in range(300):
        damaged = bytearray(whole)
        if number % 2:
            damaged = damaged[: int(rng.integers(len(damaged)))]
        else:
            for position in rng.integers(0, len(damaged), 3):
                damaged[int(position)] = int(rng.integers(256))
        (tmp_path / "frame.png").write_bytes(bytes(damaged))
        try:
            result = predict(model, _image(), height=20, width=30)
        except LabelMapError:
            refused += 1
        else:
            assert set(np.unique(result.label_map)) <= {0, 1, 2, 255}
    assert refused > 200


def test_no_folder_or_an_empty_one_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(DataError, match="needs a folder of label maps"):
            load_model(LabelMaps(name="m", path=path), NAMES)


def test_finished_maps_are_not_trained(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"kind `label_maps`.* not trained"):
        build_network(_folder(tmp_path, frame=MAP))


def test_the_digest_follows_every_map_and_nothing_else(tmp_path: Path) -> None:
    spec = _folder(tmp_path / "a", frame=MAP, other=MAP)
    same = _folder(tmp_path / "b", other=MAP, frame=MAP).model_copy(update={"name": "same"})
    digest = model_digest(spec, NAMES)
    assert model_digest(same, NAMES) == digest
    (tmp_path / "a" / "notes.txt").write_text("nothing")
    assert model_digest(spec, NAMES) == digest
    assert model_digest(spec.model_copy(update={"void": None}), NAMES) != digest
    changed = _folder(tmp_path / "a", frame=np.zeros_like(MAP))
    assert model_digest(changed, NAMES) != digest
    added = _folder(tmp_path / "b", third=MAP)
    assert model_digest(added, NAMES) != digest
    (tmp_path / "b" / "third.png").rename(tmp_path / "b" / "fourth.png")
    assert model_digest(added, NAMES) not in (digest, model_digest(changed, NAMES))
