"""A person's browser session with Label Studio: cookies and the token against forged requests.

Used where the API has no way: its user call ignores passwords, so accounts that can log in are made with the
sign-up form.
"""

from __future__ import annotations

import httpx

_LOGIN = "/user/login/"
_SIGN_UP = "/user/signup/"
_FOUND = 302  # both forms answer a success with a redirection, a refusal with the form again


def open_client(url: str, *, timeout_s: float) -> httpx.Client:
    """An HTTP client for one server; a server on loopback is never asked through a proxy."""
    local = httpx.URL(url).host in ("127.0.0.1", "localhost", "::1")
    return httpx.Client(base_url=url, timeout=timeout_s, trust_env=not local)


def log_in(client: httpx.Client, *, email: str, password: str) -> bool:
    """Whether the server takes the password; the client then carries the session.

    Raises:
        httpx.HTTPError: the server cannot be reached, or fails.
    """
    return _send_form(client, _LOGIN, {"email": email, "password": password, "persist_session": "on"})


def sign_up(client: httpx.Client, *, email: str, password: str, invitation: str) -> bool:
    """Make an account with the token of the organisation's invitation link; whether the server did.

    Raises:
        httpx.HTTPError: the server cannot be reached, or fails.
    """
    return _send_form(client, f"{_SIGN_UP}?token={invitation}", {"email": email, "password": password})


def csrf_headers(client: httpx.Client) -> dict[str, str]:
    """Headers without which the server refuses a session's changes."""
    return {"X-CSRFToken": client.cookies.get("csrftoken") or "", "Referer": f"{client.base_url}/"}


def _send_form(client: httpx.Client, path: str, fields: dict[str, str]) -> bool:
    client.cookies.clear()  # a session that is open would be redirected without a look at the fields
    client.get(path).raise_for_status()  # sets the cookie that the form has to repeat
    form = {**fields, "csrfmiddlewaretoken": client.cookies.get("csrftoken") or ""}
    answer = client.post(path, data=form, headers={"Referer": f"{client.base_url}/"})
    if answer.status_code == _FOUND:
        return True
    answer.raise_for_status()
    return False
