"""A campaign file: every wrong field is named with what it needs, paths start at the file's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.load import load_campaign, parse_campaign
from configs.model_specs import SmpFolder
from tasks.errors import ConfigError
from tests.lib.written_campaigns import campaign_values


def _problems(values: dict[str, Any], root: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_campaign(values, base=root, where="c.yaml")
    return str(caught.value)


def _with(path: str, value: Any) -> dict[str, Any]:
    """The complete campaign with one value, at a dotted path, replaced."""
    values = campaign_values()
    place: Any = values
    *parents, name = path.split(".")
    for parent in parents:
        place = place[int(parent)] if isinstance(place, list) else place.setdefault(parent, {})
    place[name] = value
    return values


def test_relative_paths_start_at_the_files_folder(tmp_path: Path) -> None:
    values = _with("pool.images", "../pool")
    values["training_set"]["images"] = str(tmp_path / "elsewhere")
    values["simulated_people"] = {"truth": "truth"}
    config = tmp_path / "configs" / "c.yaml"
    config.parent.mkdir()
    config.write_text(yaml.safe_dump(values), encoding="utf-8")
    campaign = load_campaign(config, with_people=True)
    assert campaign.pool.images == tmp_path / "pool"
    assert campaign.training_set.images == tmp_path / "elsewhere"
    assert campaign.familiar_test_set.masks == tmp_path / "configs/familiar/masks"
    assert campaign.pool.masks is None
    assert campaign.simulated_people is not None
    assert campaign.simulated_people.truth == tmp_path / "configs/truth"
    assert isinstance(campaign.target, SmpFolder)
    assert campaign.target.path == str(tmp_path / "configs/models/target")


def test_a_state_dict_is_found_from_the_files_folder_and_a_hub_id_is_left_alone(tmp_path: Path) -> None:
    values = _with("target.from_hub", True)
    values["competitors"] = [
        {
            "kind": "smp_state_dict",
            "name": "r",
            "architecture": "unet",
            "encoder": "resnet18",
            "weights": "r.pt",
        }
    ]
    campaign = parse_campaign(values, base=tmp_path, where="c.yaml")
    assert isinstance(campaign.target, SmpFolder)
    assert campaign.target.path == "models/target"
    assert campaign.competitors[0].model_dump()["weights"] == tmp_path / "r.pt"


def test_a_uri_stays_as_it_is_and_a_password_in_it_is_not_repeated(tmp_path: Path) -> None:
    campaign = parse_campaign(_with("pool.images", "s3://bucket/a b/pool/"), base=tmp_path, where="c.yaml")
    assert campaign.pool.images == "s3://bucket/a b/pool"
    assert type(campaign).model_validate_json(campaign.model_dump_json()) == campaign
    text = _problems(_with("pool.images", "s3://key:hush-hush@bucket/pool"), tmp_path)
    assert "must not hold a user or a password" in text
    assert "hush" not in text


def test_an_address_on_the_web_is_refused_and_its_signature_not_repeated(tmp_path: Path) -> None:
    signed = "https://example.org/pool?X-Amz-Signature=hush"
    text = _problems(_with("pool.images", signed), tmp_path)
    assert "`pool.images`" in text
    assert "this is another URI" in text
    assert "hush" not in text


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("rouds", "`rouds` is not a field; did you mean `rounds`?"),
        ("candidates.quotas", "`candidates.quotas` is not a field; did you mean `quota`?"),
        ("target.input_sise", "`target.input_sise` is not a field; did you mean `input_size`?"),
        ("competitors.0.weigths", "`competitors.0.weigths` is not a field; did you mean `weights`?"),
        (
            "masks.zzz",
            "`masks.zzz` is not a field; known here: annotators, checkers, double_share, max_turns",
        ),
    ],
)
def test_an_unknown_field_gets_a_hint(tmp_path: Path, path: str, hint: str) -> None:
    assert hint in _problems(_with(path, 1), tmp_path)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("rounds", 0, "`rounds`: Input should be greater than or equal to 1 (got 0)"),
        ("name", "A Campaign", "`name`: "),
        ("candidates.quota", "many", "`candidates.quota`: "),
        ("finetuning.learning_rates", [0.0], "`finetuning.learning_rates.0`: "),
        ("failures.failure_below", float("nan"), "`failures.failure_below`: "),
        ("ratings.raters", [], "`ratings.raters`: "),
        ("ratings.raters", ["ann", "ann"], "`raters` must be different people, got ['ann', 'ann']"),
        ("masks.annotators", ["ann", "ann"], "`annotators` must be different people"),
        ("masks.checkers", ["ann", "ben", "ben"], "`checkers` must be different people"),
        ("target.name", "rival", "models need different names"),
        ("pool.masks", "masks", "the pool is unlabelled"),
        ("training_set.masks", None, "`training_set.masks` is required"),
        ("pool.group_column", "drive", "`group_column` needs `metadata`"),
        ("pool.group_pattern", "(", "`group_pattern` must be a regular expression"),
        ("candidates.windows", {"dog": [0, 1]}, "names 'dog', which is not a class"),
        ("candidates.windows", {"disc": [0.5, 0.1]}, "needs 0 <= low <= high <= 1"),
        ("competitors.0.class_map", {0: "dog"}, "sends channel 0 to 'dog'"),
        ("target.class_map", {0: "disc"}, "cannot be fine-tuned on this one"),
        ("target.name", "t" * 37, "may have 36 characters"),
        ("competitors.0.name", "target-v1", "has the name of a version of the target"),
        ("classes.names", ["ground", "disc"], "`colours` needs one colour per class: 2, got 3"),
        ("classes.names", ["ground", "disc", "disc"], "`names` must be unique"),
        ("classes.colours", [[1, 1, 1], [1, 1, 1], [2, 2, 2]], "`colours` must be unique"),
        ("classes.background", "sky", "'sky' is not one of the class names"),
        ("classes.foreground", ["ground"], "cannot be a foreground class"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_needs(
    tmp_path: Path, path: str, value: Any, message: str
) -> None:
    assert message in _problems(_with(path, value), tmp_path)


def test_all_wrong_fields_are_named_at_once(tmp_path: Path) -> None:
    values = _with("rounds", 0) | {"seed": -1}
    del values["target"]
    text = _problems(values, tmp_path)
    assert "3 wrong field(s)" in text
    assert all(f"`{field}`" in text for field in ("rounds", "seed", "target"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: [", "is not valid YAML"),
        (b"- a\n- b\n", "must hold a mapping of fields, got list"),
        (b"", "must hold a mapping of fields, got NoneType"),
        (b"name: \xff\n", "must be text in UTF-8"),
    ],
)
def test_a_file_that_is_no_campaign_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load_campaign(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml, but it cannot be read: No such file"):
        load_campaign(tmp_path / "none.yaml")
