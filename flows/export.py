"""`madloop export`: the labelled images of a campaign as files that other tools read. Needs no service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from configs.settings import load_settings
from flows.status import rounds_of
from tasks.artifacts import ArtifactStore
from tasks.errors import DataError, NotReadyError, TroubleshootError, Waiting
from tasks.exports.coco import write_coco
from tasks.exports.folders import new_folder
from tasks.exports.items import LIST_NAMES, ExportItem, Role, labelled_rows
from tasks.exports.png import write_png
from tasks.exports.voc import write_voc
from tasks.rounds import load_campaign_by_name

Format = Literal["png", "coco", "voc"]
ROLES: dict[str, tuple[Role, ...]] = {
    "failures": ("failure",),
    "test": ("test",),
    "all": ("failure", "test"),
}


def export_campaign(name: str, target: Path, format_: Format, role: str, number: int | None) -> None:
    """Write the labelled images of S and T to a new folder, and say what is not in it.

    Args:
        name: of the campaign.
        target: folder that is new or empty.
        format_: layout of the export.
        role: `failures`, `test` or `all`.
        number: only this round; None: all.

    Raises:
        NotReadyError: no set of those asked for has all its masks.
        ConfigError: the folder holds something.
        DataError: some images could not be read; all others were exported.
    """
    settings = load_settings()
    campaign = load_campaign_by_name(ArtifactStore.at(settings.store), name)
    rounds = [r for r in rounds_of(campaign, settings) if number in (None, r.number)]
    if not rounds:
        raise TroubleshootError(
            f"{name} has not begun {'any round' if number is None else f'round {number}'}."
        )
    found = labelled_rows(rounds, ROLES[role])
    for line in found.missing:
        click.echo(f"missing  {line}; run the campaign, then export again")
    if not found.items:
        raise NotReadyError(Waiting(f"labelled sets of {name}", 0, max(1, len(found.missing))))
    with new_folder(target) as folder:
        if format_ == "png":
            failed = write_png(found.items, campaign.classes, folder)
        elif format_ == "coco":
            failed = write_coco(found.items, campaign.classes, name, folder)
        else:
            failed = write_voc(found.items, campaign.classes, folder)
    _say(found.items, failed, target, format_)


def _say(items: tuple[ExportItem, ...], failed: list[str], target: Path, format_: Format) -> None:
    counts = {text: sum(item.role == role for item in items) for role, text in LIST_NAMES.items()}
    sizes = ", ".join(f"{n} {text}" for text, n in counts.items())
    click.echo(f"{len(items) - len(failed)} of {len(items)} labelled images ({sizes}) are in {target}")
    if format_ == "voc" and any(item.suffix.lower() not in (".jpg", ".jpeg") for item in items):
        click.echo("JPEGImages holds files of their own formats: images are copied, never encoded again.")
    if failed:
        raise DataError(
            f"{len(failed)} image(s) could not be exported; the others are in {target}. " + " ".join(failed)
        )
