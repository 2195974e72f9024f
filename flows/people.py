"""`madloop people`: logins of raters, annotators and checkers on Label Studio.

What is printed here is for the owner of the store, with real names; what leaves the store has pseudonyms.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import click

from configs.logins import ensure_logins, mark_removed, renew_login
from configs.people_sections import PERSON_PATTERN, PersonRole
from configs.settings import Login, Settings, load_settings, read_logins
from flows.status import rounds_of
from tasks.artifacts import ArtifactStore
from tasks.errors import ConfigError
from tasks.pseudonyms import Pseudonyms
from tasks.rounds import Round, campaign_names, has_ended, load_campaign_by_name, recall

# A role is over in a round once these stages of it are done.
_LAST_STAGES: dict[PersonRole, tuple[str, ...]] = {
    "rater": ("ratings",),
    "annotator": ("masks-test", "masks-failure"),
    "checker": ("masks-test", "masks-failure"),
}


def add_person(name: str, roles: Iterable[PersonRole], *, show_password: bool) -> None:
    """Make a login that works, or make sure that it does, and print how the person gets in.

    Raises:
        ConfigError: the name cannot be one of a campaign.
        ServiceError: Label Studio refuses, or does not answer.
    """
    if not re.fullmatch(PERSON_PATTERN, name):
        raise ConfigError(
            f"A name of 1 to 14 small letters, digits and dashes was required, got {name!r}: it becomes a "
            "login and part of project titles."
        )
    settings = load_settings()
    with _label_studio(settings) as service:
        login = ensure_logins(settings, [name], roles)[name]
        if login.removed:
            login = renew_login(settings, name)
        service.ensure_person(name, login.password.get_secret_value(), email=login.email)
    click.echo(f"Label Studio  {settings.shown('label_studio')}")
    click.echo(f"login         {login.email}")
    if show_password:
        click.echo(f"password      {login.password.get_secret_value()}")
    else:
        click.echo(f"password      in {settings.people_file}, under {name!r}; --show-password prints it")
    click.echo(f"roles         {_listed(login.roles)}")


def list_people(*, check: bool) -> None:
    """Print everybody who has a login, with pseudonym, roles and campaigns; `check` tries the logins, too."""
    settings = load_settings()
    logins = read_logins(settings)
    states = {name: "removed" if login.removed else "" for name, login in logins.items()}
    if check:
        states = _checked(settings, logins)
    store = ArtifactStore.at(settings.store)
    pseudonyms = Pseudonyms(store)
    campaigns = {name: load_campaign_by_name(store, name).people for name in campaign_names(store)}
    for name, login in sorted(logins.items()):
        used = [campaign for campaign, people in campaigns.items() if name in people]
        line = f"{name:<15}{pseudonyms.of(name):<15}{login.email:<32}{_listed(login.roles):<28}"
        click.echo(f"{line}{_listed(used):<24}{states[name]}".rstrip())


def remove_person(name: str, *, force: bool) -> None:
    """Take somebody out of Label Studio's organisation; answers, and the row in the file of logins, stay.

    Args:
        name: of the person.
        force: also if an open round needs the person.

    Raises:
        ConfigError: nobody of that name has a login, or an open round needs the person.
        ServiceError: Label Studio refuses, or does not answer.
    """
    settings = load_settings()
    known = read_logins(settings)
    if name not in known:
        raise ConfigError(
            f"{name!r} was to be removed, but has no login here; these have: {_listed(sorted(known))}."
        )
    needed = list(needs_for(settings, name))
    if needed and not force:
        raise ConfigError(
            f"{name!r} was to be removed, but is needed: {'; '.join(needed)}. Finish these rounds, or name "
            "somebody else in the campaign file and run it again; --force removes the person all the same."
        )
    with _label_studio(settings) as service:
        was_member = service.remove_person(name)
    mark_removed(settings, name)
    click.echo(
        f"{name} {'can open no project any more' if was_member else 'had no account on this server'}; "
        f"answers stay. Back again: madloop people add {name}"
    )


def needs_for(settings: Settings, name: str) -> Iterator[str]:
    """The open rounds of the store that still need a person, in words."""
    store = ArtifactStore.at(settings.store)
    for campaign_name in campaign_names(store):
        campaign = load_campaign_by_name(store, campaign_name)
        for round_ in rounds_of(campaign, settings):
            roles = [r for r in campaign.people.get(name, ()) if _is_due(round_, r)]
            if roles:
                yield f"round {round_.number} of {campaign_name} as {_listed(roles)}"


def _is_due(round_: Round, role: PersonRole) -> bool:
    if has_ended(round_, closing=False) or has_ended(round_, closing=True):
        return False
    return any(recall(round_, stage) is None for stage in _LAST_STAGES[role])


def _checked(settings: Settings, logins: dict[str, Login]) -> dict[str, str]:
    """Whether each login works, in words."""
    states = {}
    with _label_studio(settings) as service:
        for name, login in logins.items():
            password = login.password.get_secret_value()
            works = not login.removed and service.has_working_login(
                name, email=login.email, password=password
            )
            states[name] = "removed" if login.removed else "works" if works else "does not work"
    return states


def _label_studio(settings: Settings) -> AbstractContextManager[Any]:
    from tasks.labelling import label_studio  # noqa: PLC0415 - imports the SDK, which a plain list does without

    return label_studio(settings)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words) or "-"
