"""The errors madloop raises, as one tree.

    TroubleshootError            anything a user can be told about without a traceback
    ├── ConfigError              a campaign file or setting is wrong
    ├── DataError                an image, a mask, a record or a weight file is wrong
    ├── NotReadyError            people have not answered everything yet (k of n)
    └── ServiceError             an outside service did not do what was asked
        ├── TransientServiceError    worth another try: down, overloaded, connection reset
        └── TerminalServiceError     not worth one: refused, not found, wrong credentials

A message says what was required, what came, where, and the way out. Standard library only, so that every
module may import it.
"""

from __future__ import annotations

from dataclasses import dataclass


class TroubleshootError(Exception):
    """Base of every error that is reported to the user in one sentence, without a traceback."""

    exit_code = 1


class ConfigError(TroubleshootError):
    """A campaign file, a preset or a setting is wrong; nothing was started."""

    exit_code = 2


class DataError(TroubleshootError):
    """An image, mask, record or weight file is not what it has to be."""

    exit_code = 3


@dataclass(frozen=True)
class Waiting:
    """How far people are with one kind of work.

    Attributes:
        what: the kind of answer, "ratings" or "masks".
        done: valid answers so far.
        needed: answers the stage needs before it can go on.
        projects: (person, id of the Label Studio project) of those who still have something to do.
        answers: valid answers of any kind so far; tells two looks apart when `done` has not moved.
    """

    what: str
    done: int
    needed: int
    projects: tuple[tuple[str, int], ...] = ()
    answers: int = 0

    def __str__(self) -> str:
        return f"waiting for people: {self.done} of {self.needed} {self.what}"


@dataclass(frozen=True)
class WaitingForWord(Waiting):
    """All answers are there, but the owner has to decide something; `reason` says what, and how."""

    reason: str = ""

    def __str__(self) -> str:
        return f"waiting for {self.what}: {self.reason}"


class NotReadyError(TroubleshootError):
    """People have not given all the answers that the next stage needs; `waiting` says how far they are."""

    exit_code = 4

    def __init__(self, waiting: Waiting) -> None:
        super().__init__(str(waiting))
        self.waiting = waiting


class ServiceError(TroubleshootError):
    """An outside service (Prefect, MLflow, Label Studio, the object store) did not do what was asked."""

    exit_code = 5


class TransientServiceError(ServiceError):
    """The same call may work later; the only error that is retried."""

    exit_code = 6


class TerminalServiceError(ServiceError):
    """The same call will fail again until somebody changes something."""


def first_line(error: BaseException) -> str:
    """The first line of what a library's error says, to quote in a message of ours; else its type's name."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
