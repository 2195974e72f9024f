"""Which Label Studio projects a campaign has had: a project that somebody deleted does not vanish unseen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tasks.pseudonyms import Pseudonyms
from tasks.rounds import Round
from tasks.warnings_log import warn

# Kinds of work, each with projects of its own; they stand in the titles.
RATING_WORK, MASK_WORK, CHECK_WORK = "rating", "masks", "checks"


@dataclass(frozen=True)
class RemadeProject:
    """A project that was deleted in Label Studio and made anew.

    Attributes:
        work: "rating", "masks" or "checks".
        person: whose project it is.
        numbers: ids of all that there were, the newest last.
    """

    work: str
    person: str
    numbers: tuple[int, ...]


def note_project(round_: Round, work: str, person: str, project_id: int, account: int) -> None:
    """Note a person's project of this round and who works there; warn if it is not the first.

    Args:
        round_: the round.
        work: "rating", "masks" or "checks".
        person: whose project it is.
        project_id: of Label Studio.
        account: id of the person's user there; who was removed and added again has a further one.
    """
    store = round_.open_store()
    known = _numbers(round_, work, person)
    store.storage.put_if_absent(f"{_folder(round_, work, person)}/{project_id}.{account}", b"")
    if known and project_id not in known:
        called = Pseudonyms(store).of(person)
        warn(
            f"The Label Studio project {max(known)} ({work}, {called}, round {round_.number}) is gone: "
            f"somebody deleted it. Project {project_id} was made in its place. Answers that were collected "
            "stay, and are not asked for again; others that were in it are lost."
        )


def people_asked(round_: Round, work: str) -> list[str]:
    """Everybody who was asked for this work in this round, whoever the campaign names now."""
    top = f"{_top(round_)}/{work}"
    names = round_.open_store().storage.names(top)
    return sorted({name.removeprefix(f"{top}/").split("/")[0] for name in names})


def accounts_of(round_: Round, work: str, person: str) -> frozenset[int]:
    """Ids of all users of Label Studio that the person has worked as, removed ones, too."""
    return frozenset(account for _, account in _noted(round_, work, person))


def newest_projects(round_: Round, places: Iterable[tuple[str, str]]) -> tuple[tuple[str, int], ...]:
    """(person, id of the newest project) for each (kind of work, person) that has one, sorted."""
    numbers = ((person, _numbers(round_, work, person)) for work, person in sorted(set(places)))
    return tuple((person, found[-1]) for person, found in numbers if found)


def remade_projects(round_: Round) -> list[RemadeProject]:
    """The projects of this round that were deleted and made anew."""
    top = f"{_top(round_)}/"
    names = round_.open_store().storage.names(_top(round_))
    owners = {tuple(name.removeprefix(top).split("/")[:2]) for name in names}
    found = [RemadeProject(work, who, _numbers(round_, work, who)) for work, who in sorted(owners)]
    return [project for project in found if len(project.numbers) > 1]


def _numbers(round_: Round, work: str, person: str) -> tuple[int, ...]:
    return tuple(sorted({project_id for project_id, _ in _noted(round_, work, person)}))


def _noted(round_: Round, work: str, person: str) -> list[tuple[int, int]]:
    """(project, account) of all that was noted of a person's work."""
    names = round_.open_store().storage.names(_folder(round_, work, person))
    parts = (name.rpartition("/")[2].partition(".") for name in names)
    # Without an account: noted by an older madloop; the next request notes it again, with the account.
    return [(int(project_id), int(account)) for project_id, _, account in parts if account]


def _top(round_: Round) -> str:
    return f"campaigns/{round_.campaign.name}/projects/{round_.number:04d}"


def _folder(round_: Round, work: str, person: str) -> str:
    return f"{_top(round_)}/{work}/{person}"
