"""Fine-tuning: the target learns from the failures of all rounds and S(0), one trial per learning rate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.model_specs import ModelSpec
from configs.schema import Finetuning
from models.training import fine_tune
from models.training_records import NonFiniteLossError, TrainingSettings
from models.weights import model_digest
from models.zoo import build_network, save_version, trainable, version_spec
from tasks.artifacts import ArtifactRef, Draft, StageKey
from tasks.confusions import confusions_of, counts_of
from tasks.core.digests import digest_of
from tasks.core.records import EPOCHS, TRIALS
from tasks.core.scores import set_iou
from tasks.errors import DataError
from tasks.labelled_sets import LabelledImage, LabelledSet, TrainingImages, finished_set, given_set, split_of
from tasks.prediction_cache import engine_of
from tasks.progress import progress
from tasks.rounds import Round, remember
from tasks.stage import stage_task

VERSION = 1
NETWORK_FILES = ("network/config.json", "network/model.safetensors")  # smp's `from_pretrained` format


def sampling_weights(n_old: int, n_new: int, replay_share: float | None) -> NDArray[np.float64] | None:
    """Sampling weight of each image, old ones first; None where each is simply seen once an epoch.

    Args:
        n_old: images of S(0).
        n_new: images of all failures.
        replay_share: share of S(0) among the samples, 0..1; None: each image equally often.
    """
    if replay_share is None:
        return None
    old = np.full(n_old, replay_share / n_old)
    return np.concatenate([old, np.full(n_new, (1 - replay_share) / n_new)]) if n_new else old


def trial_settings(round_: Round, learning_rate: float) -> TrainingSettings:
    """The campaign's fine-tuning settings for one trial."""
    section, engine = round_.campaign.finetuning, round_.campaign.predictions
    return TrainingSettings(
        learning_rate=learning_rate,
        epochs=section.epochs,
        batch_size=section.batch_size,
        crop=section.crop,
        momentum=section.momentum,
        weight_decay=section.weight_decay,
        poly_power=section.poly_power,
        flip=section.flip,
        batch_norm=section.batch_norm,
        seed=round_.campaign.seed,
        threads=engine.threads,
        device=engine.device,
    )


def training_images(
    round_: Round, pool: ArtifactRef, masks: dict[int, ArtifactRef], pools: dict[int, ArtifactRef]
) -> list[LabelledSet]:
    """S(0) and then the failures of every round, oldest first.

    Args:
        round_: the round.
        pool: its images.
        masks: round number -> finished masks of its failures.
        pools: round number -> that round's images.
    """
    failures = [finished_set(round_.at(n), pools[n], masks[n], f"S({n})") for n in sorted(masks)]
    return [given_set(round_, pool, "training", "S(0)"), *failures]


@dataclass(frozen=True)
class _Trial:
    """What is trained: the base at one learning rate, on S(0) and then the failures; it can be resumed."""

    base: ModelSpec
    learning_rate: float
    sets: list[LabelledSet]
    checkpoint: Path


def _write_trial(round_: Round, trial: _Trial, draft: Draft) -> None:
    """Train from the base's weights and write the network and its loss curve."""
    base, learning_rate, sets, checkpoint = (
        trainable(trial.base),
        trial.learning_rate,
        trial.sets,
        trial.checkpoint,
    )
    images: list[LabelledImage] = [image for labelled in sets for image in labelled.images]
    weights = sampling_weights(
        len(sets[0].images), len(images) - len(sets[0].images), round_.campaign.finetuning.replay_share
    )
    network = build_network(base)
    settings = trial_settings(round_, learning_rate)
    with progress(f"fine-tuning at {learning_rate:g}", settings.epochs, "epoch") as shown:

        def on_epoch(record: Any) -> None:
            shown.advance()
            shown.note(f"loss {record.loss:.4f}")

        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        epochs = fine_tune(
            network,
            base,
            TrainingImages(images, round_.campaign.classes),
            settings,
            weights=weights,
            on_epoch=on_epoch,
            checkpoint=checkpoint,
        )
    save_version(network, draft.folder / "network")
    for name in NETWORK_FILES:
        draft.add_file(name, identity=True)
    draft.write_table(
        EPOCHS,
        [
            {
                "learning_rate": learning_rate,
                "epoch": e.epoch,
                "loss": e.loss,
                "epoch_learning_rate": e.learning_rate,
                "seconds": e.seconds,
            }
            | round_.labels
            for e in epochs
        ],
    )


@stage_task("fine-tune")
def fine_tune_trial(
    round_: Round,
    base: ModelSpec,
    learning_rate: float,
    pools: dict[int, ArtifactRef],
    masks: dict[int, ArtifactRef],
) -> ArtifactRef | None:
    """One trial: the base fine-tuned at one learning rate; None if it diverged.

    Args:
        round_: the round.
        base: the model version the round was mined with.
        learning_rate: of the first step.
        pools: round number -> images, this round's among them.
        masks: round number -> finished masks of the failures of that round.
    """
    store, campaign = round_.open_store(), round_.campaign
    sets = training_images(round_, pools[round_.number], masks, pools)
    config = Finetuning.model_dump(campaign.finetuning, mode="json", exclude={"learning_rates"})
    key = StageKey(
        "trials",
        VERSION,
        config | engine_of(campaign) | {"learning_rate": learning_rate, "seed": campaign.seed},
        {"base": model_digest(base, campaign.classes.names), **{s.name: s.digest for s in sets}},
    )
    checkpoint = store.storage.attempt_folder(key.digest) / "checkpoint"
    try:
        trial = _Trial(base, learning_rate, sets, checkpoint)
        ref = store.make(key, lambda draft: _write_trial(round_, trial, draft))
    except NonFiniteLossError:
        return None  # the trial ends here; `choose_version` reports it as diverged
    checkpoint.unlink(missing_ok=True)
    return remember(round_, f"trial-{learning_rate:g}", ref)


def trial_spec(round_: Round, base: ModelSpec, trial: ArtifactRef, name: str) -> ModelSpec:
    """The model that a trial made, with the base's preprocessing."""
    folder = round_.open_store().folder(trial, "network")
    return version_spec(base, folder, name)


@stage_task("choose version")
def choose_version(
    round_: Round, base: ModelSpec, pool: ArtifactRef, trials: dict[float, ArtifactRef | None]
) -> ArtifactRef:
    """The round's model version: the trial with the best mIoU on T(0)'s tuning half; ties: the smaller rate.

    Raises:
        DataError: every trial diverged.
    """
    store = round_.open_store()
    finished = {rate: ref for rate, ref in sorted(trials.items()) if ref is not None}
    if not finished:
        raise DataError(
            f"Every learning rate of {sorted(trials)} diverged in round {round_.number}; try smaller ones."
        )
    familiar = given_set(round_, pool, "familiar", "T(0)")
    tuning = frozenset(split_of(round_, familiar).tuning)
    key = StageKey(
        "versions",
        VERSION,
        {"rates": sorted(trials)},
        {f"{rate:g}": ref.digest for rate, ref in finished.items()}
        | {"tuning": digest_of([familiar.digest, sorted(tuning)])},
    )

    def fill(draft: Draft) -> None:
        rows = []
        for rate, ref in finished.items():
            confusions = confusions_of(
                round_, trial_spec(round_, base, ref, f"trial-{rate:g}".replace(".", "-")), familiar
            )
            miou = set_iou(counts_of(round_, confusions, tuning)).mean_iou
            rows.append(
                {
                    "learning_rate": rate,
                    "tuning_miou": miou,
                    "final_loss": store.rows(ref, EPOCHS)[-1]["loss"],
                }
            )
        # An undefined mIoU is no reason to choose a trial.
        best = max(rows, key=lambda row: (np.nan_to_num(row["tuning_miou"], nan=-1.0), -row["learning_rate"]))
        rows += [{"learning_rate": rate} for rate in trials if rate not in finished]
        draft.write_table(TRIALS, [row | {"chosen": row is best} | round_.labels for row in rows])
        for name in NETWORK_FILES:
            content = store.path(finished[best["learning_rate"]], name).read_bytes()
            draft.write_file(name, content, identity=True)

    return remember(round_, "version", store.make(key, fill))
