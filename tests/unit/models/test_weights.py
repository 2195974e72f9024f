"""Reading, writing and naming weight files."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from configs.model_specs import SmpFolder, SmpStateDict
from models.state_dicts import load_state, save_state
from models.weights import model_digest, weights_digest
from tasks.errors import DataError, first_line
from tests.lib.small_networks import ARGUMENTS, ENCODER, small_folder, small_network

NAMES = ("sky", "road", "car")


def test_equal_networks_are_written_as_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_state(small_network(), tmp_path / f"{name}.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.safetensors", "b.safetensors"]


def test_a_written_state_comes_back_bit_equal(tmp_path: Path) -> None:
    network = small_network()
    save_state(network, tmp_path / "w.safetensors")
    state = load_state(tmp_path / "w.safetensors")
    assert list(state) == sorted(state) or set(state) == set(network.state_dict())
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened_and_integers_stay(tmp_path: Path, half: torch.dtype) -> None:
    path = tmp_path / "w.safetensors"
    safetensors.torch.save_file({"w": torch.ones(2, dtype=half), "steps": torch.tensor(3)}, path)
    state = load_state(path)
    assert state["w"].dtype == torch.float32
    assert state["steps"].dtype == torch.int64


@pytest.mark.parametrize(
    "content",
    [b"\x80\x02e.", b"\x80\x02h\x05.", b"\x80\x02X\x01\x00\x00\x00\xff.", b"\x80\x02M\x00", b""],
    ids=["empty stack", "nothing in the memo", "no UTF-8", "number cut short", "empty"],
)
def test_a_damaged_pickle_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=r"w\.pt: a state dict of tensors was required, .* cannot be read as one"
    ):
        load_state(path)


@pytest.mark.parametrize(
    ("error", "line"),
    [(RuntimeError(""), "RuntimeError"), (ValueError("\n a\nb"), "a"), (KeyError(10), "10")],
)
def test_of_a_librarys_error_the_first_line_is_quoted(error: Exception, line: str) -> None:
    assert first_line(error) == line


@pytest.mark.parametrize("suffix", [".pt", ".pth"])
@pytest.mark.parametrize("nested", [False, True])
def test_torch_files_of_tensors_are_read(tmp_path: Path, suffix: str, nested: bool) -> None:
    state = {"w": torch.arange(3.0)}
    torch.save({"state_dict": state, "epoch": 3} if nested else state, tmp_path / f"w{suffix}")
    assert load_state(tmp_path / f"w{suffix}")["w"].tolist() == [0, 1, 2]


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("evil"),)  # type: ignore[return-value]


def test_a_pickle_is_refused_without_running_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"w": _Evil()}, "w.pt")
    Path("raw.pt").write_bytes(pickle.dumps(_Evil()))
    for name in ("w.pt", "raw.pt"):
        with pytest.raises(DataError, match="safetensors"):
            load_state(tmp_path / name)
    assert not Path("evil").exists()


def test_what_is_no_state_dict_is_refused_with_the_way_out(tmp_path: Path) -> None:
    torch.save([torch.ones(1)], tmp_path / "list.pt")
    torch.save({"w": torch.ones(1), "epoch": 3}, tmp_path / "mixed.pt")
    (tmp_path / "damaged.safetensors").write_bytes(b"not tensors")
    (tmp_path / "w.onnx").write_bytes(b"")
    for name in ("list.pt", "mixed.pt", "damaged.safetensors", "w.onnx", "missing.pt"):
        with pytest.raises(DataError, match=name):
            load_state(tmp_path / name)


def test_digests_know_no_name_and_no_place(tmp_path: Path) -> None:
    spec = small_folder(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    other = SmpFolder(name="other", path=str(tmp_path / "b"))
    assert weights_digest(spec) == weights_digest(other)
    assert model_digest(spec, NAMES) == model_digest(other, NAMES)


def test_digests_follow_weights_and_architecture(tmp_path: Path) -> None:
    spec = small_folder(tmp_path / "a")
    assert weights_digest(spec) != weights_digest(small_folder(tmp_path / "b", seed=1))
    (tmp_path / "a" / "config.json").write_text("{}")
    assert weights_digest(spec) != weights_digest(small_folder(tmp_path / "c"))

    save_state(small_network(), tmp_path / "w.safetensors")
    plain = SmpStateDict(
        name="s",
        architecture="unet",
        encoder=ENCODER,
        arguments=ARGUMENTS,
        weights=tmp_path / "w.safetensors",
    )
    assert weights_digest(plain) != weights_digest(plain.model_copy(update={"arguments": {}}))
    assert weights_digest(plain) != weights_digest(plain.model_copy(update={"encoder": "resnet18"}))


@pytest.mark.parametrize(
    "change",
    [
        {"input_size": (32, 32)},
        {"resampler": "area"},
        {"antialias": False},
        {"mean": (0.5, 0.5, 0.5)},
        {"std": (0.5, 0.5, 0.5)},
        {"threshold": 0.4},
        {"class_map": {0: "sky"}},
        {"class_map": {0: "car"}},
    ],
)
def test_the_model_digest_follows_every_field_that_changes_maps(
    tmp_path: Path, change: dict[str, object]
) -> None:
    spec = small_folder(tmp_path)
    assert model_digest(spec, NAMES) != model_digest(spec.model_copy(update=change), NAMES)


def test_the_model_digest_follows_the_class_index_a_channel_becomes(tmp_path: Path) -> None:
    spec = small_folder(tmp_path)
    mapped = spec.model_copy(update={"class_map": {0: "sky"}})
    assert model_digest(mapped, NAMES) != model_digest(mapped, NAMES[::-1])
    assert model_digest(spec, NAMES) == model_digest(spec, NAMES[::-1])


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_damaged_anywhere_are_refused_or_read(tmp_path: Path, suffix: str) -> None:
    """What a library raises for damage depends on where it is; all of it comes out as a DataError."""
    state = {"weight": torch.arange(12.0).reshape(3, 4), "bias": torch.zeros(4)}
    if suffix == ".pt":
        torch.save(state, tmp_path / "whole.pt")
    else:
        safetensors.torch.save_file(state, tmp_path / "whole.safetensors")
    whole = (tmp_path / f"whole{suffix}").read_bytes()
    rng, refused = np.random.default_rng(0), 0
    for trial in range(400):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            damaged[place] ^= 1 << int(rng.integers(8))
        if trial % 4 == 0:
            damaged = damaged[: int(rng.integers(len(whole)))]
        (tmp_path / f"damaged{suffix}").write_bytes(bytes(damaged))
        try:
            load_state(tmp_path / f"damaged{suffix}")
        except DataError:
            refused += 1
    assert refused > 100
