"""Logins of people: made, given roles, taken away and given again. All of them are in one private file."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping

from pydantic import SecretStr

from configs.people_sections import PersonRole
from configs.settings import MAIL_DOMAIN, Login, Settings, in_clear, read_logins, write_private

_PASSWORD_BYTES = 15


def ensure_logins(
    settings: Settings, names: Iterable[str], roles: Iterable[PersonRole] = ()
) -> dict[str, Login]:
    """The logins of `names`; who has none yet is given an address and a random password, written down.

    Idempotent: addresses and passwords that exist are never changed, and who was removed stays so.

    Args:
        settings: where the file of logins is.
        names: people.
        roles: what all of them are asked for; added to the roles they have.
    """
    logins = read_logins(settings)
    before = dict(logins)
    given = tuple(roles)
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        login = logins.get(name) or Login(email=f"{name}@{MAIL_DOMAIN}", password=_new_password())
        logins[name] = login.model_copy(update={"roles": tuple(dict.fromkeys((*login.roles, *given)))})
    if logins != before:
        write_logins(settings, logins)
    return {name: logins[name] for name in wanted}


def mark_removed(settings: Settings, name: str) -> None:
    """Note that somebody's account is gone from Label Studio; the row, and so the name of answers, stays."""
    logins = read_logins(settings)
    write_logins(settings, logins | {name: logins[name].model_copy(update={"removed": True})})


def renew_login(settings: Settings, name: str) -> Login:
    """A login with a further address and another password for somebody who was removed.

    Label Studio keeps the old account, with its answers, under the old address and lets nobody back in.
    """
    logins = read_logins(settings)
    old = logins[name]
    number = int(old.email.removeprefix(name).partition("@")[0].removeprefix("+") or 1) + 1
    fresh = Login(email=f"{name}+{number}@{MAIL_DOMAIN}", password=_new_password(), roles=old.roles)
    write_logins(settings, logins | {name: fresh})
    return fresh


def write_logins(settings: Settings, logins: Mapping[str, Login]) -> None:
    """Replace the file of logins, readable by its owner alone."""
    write_private(
        settings.people_file, {name: in_clear(login.model_dump()) for name, login in logins.items()}
    )


def _new_password() -> SecretStr:
    return SecretStr(secrets.token_urlsafe(_PASSWORD_BYTES))
