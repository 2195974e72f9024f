"""Semantic-segmentation checkpoints of `transformers`: a folder -> a network, a network -> a folder.

The library is an optional extra and is imported when the first such model is loaded.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import safetensors
import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor

from configs.model_specs import HuggingFace
from models.state_dicts import save_state
from models.torch_networks import AdaptedNetwork
from models.weights import CONFIG_FILE, WEIGHTS_FILE, weight_file, write_atomically
from tasks.errors import ConfigError, DataError, first_line

_PREPROCESSOR_FILE = "preprocessor_config.json"
# What the library raises for a folder that is damaged, or whose config has values that make no network.
_REFUSALS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    StrictDataclassError,
    safetensors.SafetensorError,
)


class HuggingFaceNetwork(AdaptedNetwork):
    """A network of `transformers` that gives its logits (N, C, h', w') only, at a scale of its own."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits (N, C, h', w') of `inputs` (N, 3, h, w)."""
        logits: Tensor = self.network(pixel_values=inputs).logits
        return logits


def build_huggingface(spec: HuggingFace) -> HuggingFaceNetwork:
    """The network in the folder of `spec`; no code of the checkpoint is run, and nothing is fetched.

    Raises:
        ConfigError: `transformers` is not installed.
        DataError: a file is missing or damaged, the checkpoint is not for semantic segmentation, a weight is
            missing or of another shape, or its preprocessor wants another mean or std than `spec` has.
    """
    auto_model = _auto_model(spec)
    weight_file(spec)
    check_preprocessor(spec)
    where = f"Model {spec.name!r}: the folder {spec.path}"
    try:
        with torch.random.fork_rng(devices=[]):  # construction draws weights from torch's global generator
            network, info = auto_model.from_pretrained(
                spec.path,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except _REFUSALS as error:
        raise DataError(
            f"{where} must hold a semantic-segmentation checkpoint of `transformers`, but it cannot be "
            f"loaded: {first_line(error)}."
        ) from error
    wrong = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
    if wrong:
        raise DataError(
            f"{where}: {len(wrong)} weight(s) are missing or of another shape, as {wrong[:3]}. Give a "
            f"checkpoint that was trained for segmentation, head included."
        )
    return HuggingFaceNetwork(network, int(network.config.num_labels))


def save_huggingface(network: HuggingFaceNetwork, folder: Path) -> None:
    """Write the network to `folder` in `from_pretrained` format: config.json and model.safetensors.

    The library's own `save_pretrained` is not used because it does not write atomically.
    """
    write_atomically(folder / CONFIG_FILE, network.network.config.to_json_string().encode())  # type: ignore[union-attr, operator]
    save_state(network.network, folder / WEIGHTS_FILE)


def check_preprocessor(spec: HuggingFace) -> None:
    """Check that `spec` normalises images as the checkpoint's preprocessor_config.json says, if there is one.

    What goes into a network is said in the campaign file alone; this finds a forgotten `mean` or `std`.

    Raises:
        DataError: they differ, or the file is damaged.
    """
    path = spec.path / _PREPROCESSOR_FILE
    if not path.is_file():
        return
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        normalised, rescaled = said.get("do_normalize", True), said.get("do_rescale", True)
        mean = [float(v) for v in said.get("image_mean", spec.mean)] if normalised else [0.0] * 3
        std = [float(v) for v in said.get("image_std", spec.std)] if normalised else [1.0] * 3
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: a preprocessor's JSON was required: {error}. Remove or repair it."
        ) from error
    wrong = [
        f"`{name}: {wanted}`"
        for name, wanted, given in (("mean", mean, spec.mean), ("std", std, spec.std))
        if wanted != list(given)
    ]
    if not rescaled:
        wrong.append("`do_rescale: true`, because images are always scaled to 0..1 here")
    if wrong:
        raise DataError(
            f"Model {spec.name!r}: {path} says how images must be normalised, and the campaign file says "
            f"otherwise. Required: {', '.join(wrong)}."
        )


def _auto_model(spec: HuggingFace) -> Any:
    """The library's loader."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
    try:
        from transformers import AutoModelForSemanticSegmentation, logging  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise ConfigError(
            f"Model {spec.name!r} of kind `huggingface` needs the library `transformers`, which is not "
            f"installed. Install the optional extra: `pip install -c constraints.txt '.[huggingface]'`."
        ) from error
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # what matters comes back as an error
    return AutoModelForSemanticSegmentation
