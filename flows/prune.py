"""`madloop prune`: what may go from the store, and what never. Needs no service."""

from __future__ import annotations

import time
from collections import defaultdict

import click

from configs.settings import load_settings
from tasks.artifacts import ArtifactStore
from tasks.pruning import NEVER, Prunable, prunable, remove
from tasks.rounds import load_campaign_by_name


def prune_store(campaign: str | None, *, remove: bool) -> None:
    """List what may go, by kind, with sizes; remove it if asked to.

    Args:
        campaign: only what belongs to this campaign; None: all of the store.
        remove: whether it goes now.
    """
    store = ArtifactStore.at(load_settings().store)
    if campaign is not None:
        load_campaign_by_name(store, campaign)
    groups = prunable(store, campaign, time.time())
    _list(groups, "removed" if remove else "may go")
    if remove:
        _remove(groups)
    elif groups:
        click.echo("Nothing was removed; `--yes` removes what may go.")
    click.echo(f"never goes: {NEVER}")


def _remove(groups: list[Prunable]) -> None:
    for group in groups:
        remove(group)


def _list(groups: list[Prunable], verb: str) -> None:
    kinds: dict[str, list[Prunable]] = defaultdict(list)
    for group in groups:
        kinds[group.what].append(group)
    for what, found in kinds.items():
        size, files = sum(g.size_bytes for g in found), sum(len(g.names) for g in found)
        click.echo(f"{verb}  {size / 1e6:10.1f} MB in {files:6} files  {what}")
    if not groups:
        click.echo("Nothing may go: all of it is needed, or was written within a day.")
