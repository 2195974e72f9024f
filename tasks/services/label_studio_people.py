"""Accounts of people on the free edition of Label Studio: made, found, tried and removed.

An account is known by its address. Who was removed and is wanted again gets a second account, `name+2@...`:
Label Studio keeps the removed one, which owns its answers, shows its address to nobody and lets it never back
in. Every function takes Label Studio's client, which only the service itself imports.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx

from configs.settings import MAIL_DOMAIN
from tasks.errors import TerminalServiceError
from tasks.services import label_studio_session as session
from tasks.services.label_studio_records import Person


def first_address(name: str) -> str:
    """The address of the first account of a person."""
    return f"{name}@{MAIL_DOMAIN}"


def account_of(api: Any, name: str) -> int | None:
    """The user id of the account a person has now, None when there is none."""
    own = re.compile(rf"{re.escape(name)}(\+\d+)?@{re.escape(MAIL_DOMAIN)}")
    # A removed account is listed, too, but not under its address.
    ids: list[int] = [user.id for user in api.users.list() if own.fullmatch(user.email)]
    return max(ids, default=None)


def ensure_account(
    api: Any, open_browser: Callable[[], httpx.Client], name: str, email: str, password: str
) -> Person:
    """A person's account with this address and password; made when there is none.

    Raises:
        TerminalServiceError: it exists with another password, was removed, or was refused.
    """
    user_id = _user_id(api, email)
    with open_browser() as browser:
        url = browser.base_url
        if user_id is None:
            invitation = api.organizations.invites.get_invite_link().token
            if not session.sign_up(browser, email=email, password=password, invitation=invitation):
                raise TerminalServiceError(
                    f"Label Studio at {url} was required to make the account {email}, but refused the "
                    "address or the password. Give another password (8 characters at least); or, if the "
                    f"account was removed there by hand: `madloop people remove {name}`, then "
                    f"`madloop people add {name}`."
                )
            user_id = _user_id(api, email)
            if user_id is None:
                raise TerminalServiceError(
                    f"Label Studio at {url} made the account {email} without listing it."
                )
            api.users.update(id=user_id, first_name=name)
        if not session.log_in(browser, email=email, password=password):
            raise TerminalServiceError(
                f"Label Studio at {url} was required to let {email} log in, but it has another "
                "password. Set it again on the server with `label-studio reset_password --username "
                f"{email}`, or restore the file with people's passwords."
            )
    return Person(name=name, email=email, user_id=user_id)


def takes_password(api: Any, open_browser: Callable[[], httpx.Client], *, email: str, password: str) -> bool:
    """Whether the account is a member and the server takes the password."""
    if _user_id(api, email) is None:
        return False
    with open_browser() as browser:
        return session.log_in(browser, email=email, password=password)


def remove_account(api: Any, name: str) -> bool:
    """Take a person's account out of the organisation; whether there was one.

    Deleting the user instead would leave the answers without an owner.
    """
    user_id = account_of(api, name)
    if user_id is None:
        return False
    api.organizations.members.delete(id=api.users.whoami().active_organization, user_pk=user_id)
    return True


def _user_id(api: Any, email: str) -> int | None:
    ids = [user.id for user in api.users.list() if user.email == email]
    return ids[0] if ids else None
