"""A campaign file on disk -> a checked `Campaign`, its paths absolute, its errors fit to act on."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from configs.locations import is_foreign_uri, is_object_uri
from configs.model_specs import MODEL_KINDS
from configs.schema import Campaign
from configs.settings import load_settings
from tasks.errors import ConfigError

HOME = "$MADLOOP_HOME"


def load_campaign(path: Path, *, with_people: bool = False) -> Campaign:
    """The campaign that a YAML file describes.

    The section on simulated people, which says where the truth is, is left out unless it is asked for: the
    pipeline has no business with it.

    Relative paths in the file are taken from the file's own folder; a path that begins with `$MADLOOP_HOME`
    lies in the folder where madloop keeps its things. URIs of an object store stay as they are.

    Args:
        path: the YAML file.
        with_people: whether to read the section `simulated_people`, too.

    Raises:
        ConfigError: the file is missing, is not YAML, or a field is wrong; every wrong field is named with
            what it needs and what it got.
    """
    raw = _read_mapping(path)
    if not with_people:
        raw = {name: value for name, value in raw.items() if name != "simulated_people"}
    return parse_campaign(raw, base=path.resolve().parent, where=str(path))


def has_simulated_people(path: Path) -> bool:
    """Whether a campaign file has a section on simulated people; what it says is not looked at.

    Raises:
        ConfigError: the file is missing or is not YAML.
    """
    return _read_mapping(path).get("simulated_people") is not None


def _read_mapping(path: Path) -> dict[str, Any]:
    """The fields of a YAML file."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"A campaign file was required at {path}, but it cannot be read: {error.strerror}."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} must be text in UTF-8: {error}.") from error
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}.") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold a mapping of fields, got {type(raw).__name__}.")
    return raw


def parse_campaign(raw: dict[str, Any], *, base: Path, where: str) -> Campaign:
    """The campaign in `raw`, its relative paths resolved against `base`; errors say `where`."""
    try:
        campaign = Campaign.model_validate(raw)
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors(include_url=False)]
        raise ConfigError(
            f"{where}: {len(lines)} wrong field(s):\n" + "\n".join(f"  - {line}" for line in lines)
        ) from error
    resolved: Campaign = _absolute(campaign, base)
    return resolved


def _explain(problem: Any) -> str:
    """One validation problem as field, cause, value and, for a typo, the field that was meant."""
    location = [part for part in problem["loc"] if part not in MODEL_KINDS]
    field = ".".join(str(part) for part in location) or "the whole file"
    if problem["type"] == "extra_forbidden":
        known = _known_fields(location[:-1])
        near = difflib.get_close_matches(str(location[-1]), known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known)}"
        return f"`{field}` is not a field; {hint}"
    value = problem.get("input")
    # A URI stands in the message already, unless it may hold a password or a signature.
    is_said = isinstance(value, str) and (is_object_uri(value) or is_foreign_uri(value))
    shown = "" if isinstance(value, dict) or problem["type"] == "missing" or is_said else f" (got {value!r})"
    return f"`{field}`: {problem['msg']}{shown}"


def _known_fields(location: list[Any]) -> list[str]:
    """Field names of the section at `location`, for the hint after a typo."""
    model: Any = Campaign
    for part in location:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        models = _models_in(annotation)
        if not models:
            return []
        model = (
            models[0]
            if len(models) == 1
            else type("Any", (), {"model_fields": {k: v for m in models for k, v in m.model_fields.items()}})
        )
    return sorted(model.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in _models_in(part)]


def _absolute(value: Any, base: Path) -> Any:
    """`value` with every relative path in it resolved against `base`."""
    if isinstance(value, BaseModel):
        changes = {name: _absolute(getattr(value, name), base) for name in type(value).model_fields}
        if getattr(value, "kind", None) == "smp_folder" and not getattr(value, "from_hub", False):
            changes["path"] = str(_absolute(Path(changes["path"]), base))
        return value.model_copy(update=changes)
    if isinstance(value, Path):
        if value.parts[:1] == (HOME,):
            return load_settings().home.joinpath(*value.parts[1:])
        return (base / value).resolve()
    if isinstance(value, tuple):
        return tuple(_absolute(item, base) for item in value)
    return value
