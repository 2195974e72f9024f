"""What is logged to MLflow, as plain values in the shapes MLflow accepts; no SDK here."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.errors import DataError

# Without it the pages open in the mode for language models, which shows traces instead of runs.
MODEL_TRAINING_PAGES = "workflowType=machine_learning"
MAX_PARAM_LENGTH = 6000  # MLflow's limits, in characters
MAX_TAG_LENGTH = 8000
_MAX_NAME_LENGTH = 250
_MODEL_SUFFIXES = {".json", ".safetensors", ".md", ".txt"}


@dataclass(frozen=True)
class RoundRecord:
    """What one run shows of a round.

    Attributes:
        config: nested plain values; mappings are flattened with dots into the run's parameters.
        metrics: metric name -> value; NaN stands for undefined and is kept as NaN.
        step: round number the metrics belong to.
        timestamp_ms: milliseconds since 1970 (UTC), the same at every repetition.
        artifacts: folder inside the run ("" for its root) -> local file or directory.
        tags: tag name -> text.
    """

    config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    step: int = 0
    timestamp_ms: int = 0
    artifacts: Mapping[str, Path] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelRecord:
    """A fine-tuned model on its way into the registry.

    Attributes:
        registered_name: name in the registry, one per campaign.
        key: our own name of this version, for instance "campaign/round-1/<weights digest>".
        run_id: run that made it.
        folder: directory with config.json and model.safetensors.
        params: plain values shown with the model.
        metrics: metric name -> value, shown in its run and, unless NaN, with the model.
        step: round number of the metrics.
        timestamp_ms: milliseconds since 1970 (UTC), the same at every repetition.
    """

    registered_name: str
    key: str
    run_id: str
    folder: Path
    params: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    step: int = 0
    timestamp_ms: int = 0


@dataclass(frozen=True)
class ModelVersion:
    """A version in the registry; `uri` is what MLflow clients load it by."""

    version: int
    uri: str


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested plain values as MLflow parameters; lists of plain values stay one parameter."""
    flat: dict[str, str] = {}
    for name, value in values.items():
        full = f"{prefix}{name}"
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{full}.")
        elif isinstance(value, list | tuple) and value and all(isinstance(item, Mapping) for item in value):
            flat |= flattened({str(i): item for i, item in enumerate(value)}, f"{full}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            flat[entity_name(full)] = shortened(text, MAX_PARAM_LENGTH)
    return flat


def entity_name(name: str) -> str:
    """A name MLflow accepts; where that takes a change, a digest keeps different names different."""
    steps = [step for step in re.sub(r"[^\w/ .-]", "_", name).split("/") if step not in ("", ".", "..")]
    clean = "/".join(steps)
    if clean == name and len(name) <= _MAX_NAME_LENGTH:
        return name
    return f"{clean[: _MAX_NAME_LENGTH - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def model_name(name: str) -> str:
    """A name MLflow accepts for a stored model, which forbids a few characters that the registry allows."""
    return re.sub(r"[/:.%\"'\s]", "-", name)


def shortened(text: str, limit: int) -> str:
    """The text, cut at MLflow's limit; the digest of the whole tells two long values apart."""
    if len(text) <= limit:
        return text
    note = f" ... cut, {len(text)} characters, sha256 {hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return text[: limit - len(note)] + note


def quotable(text: str, what: str) -> str:
    if not re.fullmatch(r"[^'\"`\\\x00-\x1f]{1,250}", text):
        raise ValueError(f"`{what}` needs 1 to 250 characters without quotes and backslashes, got {text!r}")
    return text


def model_digest(folder: Path) -> str:
    """SHA-256 of the weights of a model folder that is fit to be stored."""
    for needed in ("config.json", "model.safetensors"):
        if not (folder / needed).is_file():
            raise DataError(f"a model folder needs {needed}, but {folder} has none")
    for place in sorted(folder.rglob("*")):
        if place.is_file() and place.suffix not in _MODEL_SUFFIXES:
            raise DataError(
                "a model folder holds safetensors, JSON and text only, so that nothing is ever unpickled, "
                f"but {place} is there; remove it"
            )
    with (folder / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
