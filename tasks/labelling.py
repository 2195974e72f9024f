"""Label Studio for the two stages that ask people: the connection, and one project per person and round."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from configs.locations import is_object_uri
from configs.logins import ensure_logins
from configs.settings import Settings
from tasks.errors import ConfigError, ServiceError
from tasks.label_studio_projects import accounts_of, note_project
from tasks.picture_places import BucketPictures, LocalPictures
from tasks.pseudonyms import Pseudonyms
from tasks.rounds import Round
from tasks.served_pictures import PictureFolder
from tasks.services.label_studio import LabelStudioService
from tasks.services.label_studio_records import ProjectSpec


@dataclass(frozen=True)
class Screen:
    """What a kind of project shows.

    Attributes:
        work: "rating", "masks" or "checks".
        xml: the screen.
        description: one sentence for the list of projects.
        instruction: HTML, what people are told.
    """

    work: str
    xml: str
    description: str
    instruction: str


@dataclass(frozen=True)
class OpenProject:
    """A person's project in a round, and the accounts whose answers count there: all the person has had."""

    project_id: int
    accounts: frozenset[int]


@contextmanager
def label_studio(settings: Settings) -> Iterator[LabelStudioService]:
    """The connection to Label Studio."""
    access = settings.require_label_studio()
    with LabelStudioService(access.url, access.token.get_secret_value()) as service:
        yield service


def picture_folder(round_: Round, settings: Settings) -> PictureFolder:
    """The campaign's pictures: in the bucket of a store on S3, else in Label Studio's local files."""
    if is_object_uri(round_.store):
        return PictureFolder(BucketPictures(round_.store), round_.campaign.name)
    return PictureFolder(LocalPictures(settings.label_studio_files), round_.campaign.name)


def project_title(round_: Round, work: str, person: str) -> str:
    """Title of a person's project of this round; `work` is "rating", "masks" or "checks"."""
    return f"{round_.campaign.name} r{round_.number} {work} {person}"


def find_project(service: LabelStudioService, round_: Round, work: str, person: str) -> OpenProject | None:
    """A person's project of this round as `open_project` made it; None if it was deleted. A small request."""
    with _without_name(round_, person):
        project_id = service.find_project(project_title(round_, work, person))
    return None if project_id is None else OpenProject(project_id, accounts_of(round_, work, person))


def open_project(
    service: LabelStudioService, round_: Round, settings: Settings, person: str, screen: Screen
) -> OpenProject:
    """A person's project of this round; the login and the project are made if they do not exist.

    Raises:
        ConfigError: the person was removed.
    """
    roles = round_.campaign.people.get(person, ())
    login = ensure_logins(settings, [person], roles)[person]
    if login.removed:
        raise ConfigError(
            f"{Pseudonyms(round_.open_store()).of(person)} was required for {screen.work} in round "
            f"{round_.number} of {round_.campaign.name}, but was removed from Label Studio. `madloop people "
            "list` says who it is. Use `madloop people add`, or name somebody else in the campaign file."
        )
    campaign = round_.campaign.name
    with _without_name(round_, person):
        account = service.ensure_person(person, login.password.get_secret_value(), email=login.email)
        project_id = service.ensure_project(
            ProjectSpec(
                title=project_title(round_, screen.work, person),
                label_config=screen.xml,
                description=screen.description,
                instruction=screen.instruction,
                local_files=settings.label_studio_files / campaign,
                bucket=picture_folder(round_, settings).place.served_bucket(campaign, settings),
            )
        )
    note_project(round_, screen.work, person, project_id, account.user_id)
    return OpenProject(project_id, accounts_of(round_, screen.work, person))


@contextmanager
def _without_name(round_: Round, person: str) -> Iterator[None]:
    """Errors raised inside call the person by the pseudonym: Prefect keeps what they say."""
    try:
        yield
    except ServiceError as error:
        people = Pseudonyms(round_.open_store())
        raise type(error)(people.text(str(error), [person])) from None
