"""Prefect that is down, or something else at its address: said before a flow begins."""

from __future__ import annotations

import pytest

from configs.settings import Settings
from flows.running import check_prefect
from infra.processes import choose_ports
from tasks.errors import TransientServiceError

pytestmark = pytest.mark.services


def test_a_server_that_answers_is_fine(services: Settings) -> None:
    check_prefect(services.require("prefect"))


def test_a_port_where_nothing_listens_says_how_to_start_it() -> None:
    port = choose_ports({"prefect": []})["prefect"]
    with pytest.raises(TransientServiceError, match=r"does not answer .*madloop services up"):
        check_prefect(f"http://127.0.0.1:{port}/api")


def test_another_server_at_the_address_is_not_taken_for_it(services: Settings) -> None:
    with pytest.raises(TransientServiceError, match="does not answer"):
        check_prefect(f"{services.require('mlflow')}/api")
