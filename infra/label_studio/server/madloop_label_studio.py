"""Django settings of the local Label Studio: its own, with an sqlite that waits for its turn.

Runs in Label Studio's environment, named by DJANGO_SETTINGS_MODULE (see infra/launches.py).

As delivered, two people who save at the same moment get "database is locked", for a transaction that has read
may not wait for the right to write. Label Studio then repeats the whole request, which loses the
pre-annotations of an import and stores an annotation twice. With transactions that ask for the right to write
at their beginning, nobody is refused: writers queue. In WAL mode readers need not wait for them.
"""

# mypy: ignore-errors
# ruff: noqa: F403, F405
from core.settings.base import *  # looked up by the next line while this module is still being read
from label_studio.core.settings.label_studio import *

DATABASES["default"]["OPTIONS"] = {
    "timeout": 60,
    "transaction_mode": "IMMEDIATE",
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}
