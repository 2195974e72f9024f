"""Fine-tuning: what it computes, and that it repeats bit by bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from configs.model_specs import Network
from models.torch_networks import output_channels
from models.training import _batches, _loss, fine_tune, resample_mask
from models.training_records import EpochRecord, NonFiniteLossError, TrainingSample, TrainingSettings
from tasks.errors import DataError
from tests.lib.small_networks import small_network

SPEC = Network(name="m")
SETTINGS = TrainingSettings(learning_rate=0.05, epochs=3, batch_size=2, crop=(32, 32), seed=3)


def _samples(n: int = 5, shape: tuple[int, int] = (40, 36), classes: int = 3) -> list[TrainingSample]:
    """Images whose brightness in each half tells its class."""
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(n):
        mask = np.zeros(shape, np.uint8)
        left, right = rng.integers(0, classes, 2)
        mask[:, : shape[1] // 2], mask[:, shape[1] // 2 :] = left, right
        image = np.repeat((mask * 90 + 20)[..., None], 3, axis=2).astype(np.uint8)
        samples.append(TrainingSample(image, mask))
    return samples


def _weights(network: torch.nn.Module) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in network.state_dict().items()}


def _losses(records: Sequence[EpochRecord]) -> list[float]:
    return [record.loss for record in records]


@pytest.mark.parametrize("batch_norm", ["frozen", "running"])
def test_training_twice_gives_bit_equal_weights(batch_norm: str) -> None:
    settings = dataclasses.replace(SETTINGS, batch_norm=batch_norm, learning_rate=0.002)
    # DeepLabV3+ has dropout, so torch's own generator matters too.
    networks = [small_network(architecture="deeplabv3plus") for _ in range(2)]
    losses = [_losses(fine_tune(network, SPEC, _samples(), settings)) for network in networks]
    assert losses[0] == losses[1]
    assert _weights(networks[0]) == _weights(networks[1])


def test_another_seed_gives_other_weights() -> None:
    networks = [small_network() for _ in range(2)]
    for network, seed in zip(networks, (0, 1), strict=True):
        fine_tune(network, SPEC, _samples(), dataclasses.replace(SETTINGS, seed=seed))
    assert _weights(networks[0]) != _weights(networks[1])


def test_the_loss_falls() -> None:
    losses = _losses(
        fine_tune(
            small_network(), SPEC, _samples(), dataclasses.replace(SETTINGS, epochs=12, learning_rate=0.01)
        )
    )
    assert losses[-1] < 0.7 * losses[0]


def test_records_hold_the_poly_decay_and_reach_the_listener() -> None:
    heard: list[EpochRecord] = []
    records = fine_tune(small_network(), SPEC, _samples(4), SETTINGS, on_epoch=heard.append)
    assert heard == records
    assert [record.epoch for record in records] == [1, 2, 3]
    expected = [0.05 * (1 - last_step / 6) ** 0.9 for last_step in (1, 3, 5)]
    assert [record.learning_rate for record in records] == pytest.approx(expected)


def test_a_run_that_was_cut_off_ends_in_the_same_weights(tmp_path: Path) -> None:
    whole, resumed = small_network(), small_network()
    expected = fine_tune(whole, SPEC, _samples(), SETTINGS)

    class Cut(Exception):
        pass

    def cut_after(epoch: int) -> Callable[[EpochRecord], None]:
        def listen(record: EpochRecord) -> None:
            if record.epoch == epoch:
                raise Cut

        return listen

    with pytest.raises(Cut):
        fine_tune(
            small_network(), SPEC, _samples(), SETTINGS, on_epoch=cut_after(2), checkpoint=tmp_path / "c"
        )
    heard: list[EpochRecord] = []
    records = fine_tune(resumed, SPEC, _samples(), SETTINGS, on_epoch=heard.append, checkpoint=tmp_path / "c")
    assert [record.epoch for record in heard] == [3]
    assert _losses(expected) == _losses(records)
    assert _weights(whole) == _weights(resumed)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    fine_tune(small_network(), SPEC, _samples(), SETTINGS, checkpoint=tmp_path / "c")
    other = dataclasses.replace(SETTINGS, learning_rate=0.01)
    with pytest.raises(DataError, match="other weights"):
        fine_tune(small_network(), SPEC, _samples(), other, checkpoint=tmp_path / "c")
    (tmp_path / "c").write_bytes(b"damaged")
    with pytest.raises(DataError, match="damaged"):
        fine_tune(small_network(), SPEC, _samples(), SETTINGS, checkpoint=tmp_path / "c")


def test_frozen_batch_norm_keeps_statistics_and_trains_scale_and_shift() -> None:
    network = small_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fine_tune(network, SPEC, _samples(), SETTINGS)
    after = network.state_dict()
    assert not network.training
    statistics = [name for name in before if "running" in name]
    norms = [n for n, m in network.named_modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(torch.equal(before[name], after[name]) for name in statistics)
    assert any(not torch.equal(before[f"{name}.bias"], after[f"{name}.bias"]) for name in norms)

    running = small_network()
    fine_tune(running, SPEC, _samples(), dataclasses.replace(SETTINGS, batch_norm="running"))
    assert any(not torch.equal(before[name], running.state_dict()[name]) for name in statistics)


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    fine_tune(small_network(), SPEC, _samples(2), dataclasses.replace(SETTINGS, threads=before + 1, epochs=1))
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("n", range(1, 8))
def test_each_sample_comes_once_an_epoch_and_no_batch_of_one_is_left_over(n: int) -> None:
    batches = _batches(n, None, 3, np.random.default_rng(0))
    assert sorted(np.concatenate(batches).tolist()) == list(range(n))
    assert n == 1 or min(len(batch) for batch in batches) > 1


def test_weights_decide_how_often_a_sample_is_drawn() -> None:
    rng = np.random.default_rng(0)
    drawn = np.concatenate([i for _ in range(300) for i in _batches(3, np.array([0.0, 1.0, 3.0]), 2, rng)])
    shares = np.bincount(drawn, minlength=3) / len(drawn)
    assert shares[0] == 0
    assert shares[2] == pytest.approx(0.75, abs=0.06)
    for wrong in ([1.0, 1.0], [0.0, 0.0, 0.0], [1.0, -1.0, 1.0], [1.0, np.nan, 1.0]):
        with pytest.raises(ValueError, match="finite numbers"):
            _batches(3, np.array(wrong), 2, rng)


def test_the_loss_is_the_mean_over_labelled_pixels_only() -> None:
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    masks = torch.randint(0, 3, (2, 4, 4), generator=torch.Generator().manual_seed(1))
    masks[0] = 255
    expected = -torch.log_softmax(logits[1], 0).gather(0, masks[1][None]).mean()
    torch.testing.assert_close(_loss(logits, masks), expected)


def test_a_batch_that_is_void_throughout_has_loss_zero() -> None:
    logits = torch.zeros(1, 3, 4, 4, requires_grad=True)
    loss = _loss(logits, torch.full((1, 4, 4), 255))
    loss.backward()
    assert loss == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_a_single_sigmoid_channel_is_trained_on_two_classes() -> None:
    spec = Network(name="m", threshold=0.5)
    settings = dataclasses.replace(SETTINGS, epochs=10, learning_rate=0.005)
    losses = _losses(fine_tune(small_network(1), spec, _samples(classes=2), settings))
    assert losses[-1] < losses[0]
    with pytest.raises(DataError, match=r"0\.\.1 or 255 .*got \[2\]"):
        fine_tune(small_network(1), spec, _samples(8, classes=3), settings)


@pytest.mark.parametrize("spec", [SPEC, Network(name="m", input_size=(24, 40))])
@pytest.mark.parametrize("crop", [(16, 16), (33, 50), (64, 64)])
def test_crops_of_any_size_are_filled_up(spec: Network, crop: tuple[int, int]) -> None:
    settings = dataclasses.replace(SETTINGS, crop=crop, epochs=1)
    assert np.isfinite(_losses(fine_tune(small_network(), spec, _samples(2), settings))).all()


def test_samples_may_load_lazily_and_are_read_once_an_epoch() -> None:
    class Lazy(Sequence[TrainingSample]):
        def __init__(self) -> None:
            self.read: list[int] = []

        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> TrainingSample:  # type: ignore[override]
            self.read.append(index)
            return _samples(3)[index]

    lazy, network, other = Lazy(), small_network(), small_network()
    fine_tune(network, SPEC, lazy, SETTINGS)
    assert sorted(lazy.read) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    fine_tune(other, SPEC, _samples(3), SETTINGS)
    assert _weights(network) == _weights(other)


def test_a_diverging_run_is_told_with_epoch_step_and_rate() -> None:
    with pytest.raises(NonFiniteLossError, match="learning rate") as caught:
        fine_tune(small_network(), SPEC, _samples(), dataclasses.replace(SETTINGS, learning_rate=1e12))
    assert (caught.value.epoch, caught.value.learning_rate > 1e10) == (1, True)
    assert caught.value.step >= 2
    assert not np.isfinite(caught.value.loss)


def test_what_cannot_be_trained_on_is_refused() -> None:
    sample = _samples(1)[0]
    with pytest.raises(DataError, match="class_map"):
        fine_tune(small_network(), Network(name="m", class_map={0: "sky"}), [sample], SETTINGS)
    with pytest.raises(DataError, match="at least one"):
        fine_tune(small_network(), SPEC, [], SETTINGS)
    with pytest.raises(DataError, match="image's size"):
        fine_tune(small_network(), SPEC, [TrainingSample(sample.image, sample.mask[:9])], SETTINGS)
    mask = sample.mask.copy()
    mask[0, :2] = 3, 254
    with pytest.raises(DataError, match=r"0\.\.2 or 255 .*got \[3, 254\]"):
        fine_tune(small_network(), SPEC, [TrainingSample(sample.image, mask)], SETTINGS)


def test_the_test_network_has_the_asked_channels() -> None:
    assert [output_channels(small_network(n)) for n in (1, 3)] == [1, 3]


def test_resampled_masks_keep_borders_in_place_on_average_and_know_only_their_own_values() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((40, 40), np.uint8)
    mask[:, 13:] = 7
    widths = [(resample_mask(mask, (20, 20), rng=rng) == 7).mean() * 40 for _ in range(400)]
    assert np.mean(widths) == pytest.approx(27, abs=0.15)
    assert set(np.unique(resample_mask(mask, (57, 11), rng=rng))) == {0, 7}
    noise = rng.integers(0, 256, (31, 17), dtype=np.uint8)
    assert noise.tolist() == resample_mask(noise, (31, 17), rng=rng).tolist()
