"""`madloop backup` and `madloop restore`: all that people did, in one file and back. Needs no service."""

from __future__ import annotations

import datetime
import os
import uuid
from pathlib import Path

import click

from configs.settings import load_settings
from tasks.answer_log import LOGS, read_log
from tasks.artifacts import ArtifactStore
from tasks.backup import (
    BackupContent,
    Manifest,
    conflicts,
    is_answer,
    restore_files,
    verify_backup,
    write_backup,
)
from tasks.errors import ConfigError, DataError
from tasks.pseudonyms import FOLDER, SALT
from tasks.rounds import Round, campaign_names, load_campaign_by_name


def back_up(campaign: str | None, every: bool, target: Path) -> None:
    """Write a backup of one campaign, or of all, to the new file `target`.

    Raises:
        ConfigError: neither or both were asked for, or `target` is there or cannot be written.
        DataError: the backup is written, but the store lacks some files that should be in it.
    """
    if (campaign is None) != every:
        raise ConfigError("Name one campaign to back up, or say `--all`.")
    if target.exists():
        raise ConfigError(f"A new file was required for the backup, but {target} exists; name another one.")
    settings = load_settings()
    store = ArtifactStore.at(settings.store)
    names = campaign_names(store) if campaign is None else [campaign]
    content = BackupContent(store)
    for name in names:
        first = Round(load_campaign_by_name(store, name), 1, settings.store)
        content.add_campaign(first)
        answers, drawings, checks = (len(read_log(first, log.record)) for log in LOGS)
        click.echo(f"{name}: {answers} answers, {drawings} drawings and {checks} checks collected so far")
    moment = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    manifest = _written(store, content, names, moment, target)
    click.echo(f"{len(manifest.files)} files are in {target} ({target.stat().st_size / 1e6:.1f} MB)")
    if content.missing:
        raise DataError(
            f"{target} is written, but the store lacks {len(content.missing)} file(s) that belong in it: "
            + " ".join(content.missing)
        )


def _written(
    store: ArtifactStore, content: BackupContent, names: list[str], moment: str, target: Path
) -> Manifest:
    """Write beside `target`, then link: a backup is there in whole or not at all, and replaces nothing."""
    unfinished = target.with_name(f".{target.name}.unfinished-{uuid.uuid4().hex[:12]}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("xb") as sink:
            manifest = write_backup(store, content, names, moment, sink)
            sink.flush()
            os.fsync(sink.fileno())
        os.link(unfinished, target)
    except OSError as error:
        raise ConfigError(f"The backup could not be written to {target}: {error.strerror}.") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return manifest


def check_backup(path: Path) -> None:
    """Read a backup to its end, compare every file with the manifest, and say what it holds.

    Raises:
        DataError: it is damaged, or no backup.
    """
    _say(verify_backup(path), path)


def restore_backup(path: Path, *, answers_only: bool) -> None:
    """Put a backup into the store, after all of it was verified; nothing in the store is ever replaced.

    Args:
        path: the backup.
        answers_only: only the logs of answers and drawings, and the masks; they are in nobody's way.

    Raises:
        DataError: the backup is damaged, or the store has other files under its names; nothing was written.
    """
    manifest = verify_backup(path)
    _say(manifest, path)
    store = ArtifactStore.at(load_settings().store)
    # A store that has pseudonyms of its own keeps them.
    own = f"{FOLDER}/" if store.storage.get(SALT) is not None else ""
    kept = {name: file for name, file in manifest.files.items() if not (own and name.startswith(own))}
    files = {name: file for name, file in kept.items() if not answers_only or is_answer(name)}
    taken = conflicts(store, files)
    if taken:
        way_out = "" if answers_only else " or only the answers with `--answers-only`,"
        raise DataError(
            f"The store has {len(taken)} file(s) of {path} with other content, {', '.join(taken[:5])} among "
            f"them; nothing was restored. Restore into another store (MADLOOP_STORE),{way_out} or move these "
            "away."
        )
    fresh = restore_files(path, store, manifest, files.__contains__)
    click.echo(f"restored {fresh} file(s); {len(files) - fresh} were there already")


def _say(manifest: Manifest, path: Path) -> None:
    masks = sum(name.startswith("blobs/") for name in manifest.files)
    size = sum(file.size_bytes for file in manifest.files.values())
    click.echo(
        f"{path}: whole; campaigns {', '.join(manifest.campaigns)} of {manifest.created_at}; "
        f"{len(manifest.files)} files, {masks} masks among them, {size / 1e6:.1f} MB"
    )
