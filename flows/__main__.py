"""The command `madloop`. Heavy imports live inside the commands, so that help comes at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import click

from tasks.errors import TroubleshootError

CONFIG = click.argument("config", type=click.Path(path_type=Path))


class Commands(click.Group):
    """Reports madloop's own errors in one message, with the exit code of their class."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TroubleshootError as error:
            click.echo(f"{type(error).__name__}: {error}", err=True)
            sys.exit(error.exit_code)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def madloop() -> None:
    """Find, label and repair the failures of an image segmentation model, with people in the loop.

    Exit codes: 0 done, 1 failed, 2 configuration, 3 data, 4 waiting for people, 5 a service refused,
    6 a service is not reachable.
    """
    from flows.running import quiet_environment

    quiet_environment()


@madloop.command()
@click.option("--rounds", type=click.IntRange(1, 99), help="Rounds in all; default: as the preset says (1).")
@click.option("--object-store", is_flag=True, help="Keep store and pool in a local S3 server (SeaweedFS).")
def demo(rounds: int | None, object_store: bool) -> None:
    """Run a whole round on an embedded data set, with simulated people and real services."""
    from flows.demo import run_demo

    run_demo(rounds, object_store=object_store)


@madloop.command()
@CONFIG
@click.option("--annotators", type=click.Choice(["human", "simulated"]), default="human", show_default=True)
@click.option("--rounds", type=click.IntRange(1, 99), help="Rounds in all; default: as the config says.")
def run(config: Path, annotators: str, rounds: int | None) -> None:
    """Advance the campaign in CONFIG as far as it goes; run it again to go on."""
    from flows.campaign import run_campaign

    run_campaign(config, simulated=annotators == "simulated", rounds=rounds)


@madloop.command()
@CONFIG
@click.option("--quick", is_flag=True, help="Only the upper bound of M; the models are only timed.")
def plan(config: Path, quick: bool) -> None:
    """Say what a round of CONFIG will take, before anybody is asked: images, ratings, masks, hours."""
    from flows.plan import print_plan

    print_plan(config, quick=quick)


@madloop.command()
@click.argument("campaign")
def status(campaign: str) -> None:
    """Say how far CAMPAIGN is, round by round."""
    from flows.status import print_status

    print_status(campaign)


@madloop.command()
@click.argument("campaign")
@click.option("--rater", required=True, help="Whom it is about: name or pseudonym.")
@click.option(
    "--out-of-domain",
    "word",
    type=click.Choice(["accept", "disregard"]),
    required=True,
    help="Whether the rater's out-of-domain declarations count.",
)
@click.option("--round", "number", type=click.IntRange(1, 99), help="Default: the newest round.")
def decide(campaign: str, rater: str, word: Literal["accept", "disregard"], number: int | None) -> None:
    """Give the word that CAMPAIGN waits for before it closes a round's ratings."""
    from flows.decide import decide_out_of_domain

    decide_out_of_domain(campaign, rater, word, number)


@madloop.command()
@click.argument("campaign")
@click.option("--round", "number", type=click.IntRange(1, 99), help="Only this round.")
def artifacts(campaign: str, number: int | None) -> None:
    """List the artefacts of CAMPAIGN with their places."""
    from flows.status import print_artifacts

    print_artifacts(campaign, number)


@madloop.command()
@click.argument("campaign")
@click.option("--to", "target", type=click.Path(path_type=Path), required=True, help="A new or empty folder.")
@click.option(
    "--format", "format_", type=click.Choice(["png", "coco", "voc"]), default="png", show_default=True
)
@click.option("--role", type=click.Choice(["failures", "test", "all"]), default="all", show_default=True)
@click.option("--round", "number", type=click.IntRange(1, 99), help="Only this round.")
def export(
    campaign: str, target: Path, format_: Literal["png", "coco", "voc"], role: str, number: int | None
) -> None:
    """Write the labelled images of CAMPAIGN, S and T with their masks, to a folder."""
    from flows.export import export_campaign

    export_campaign(campaign, target, format_, role, number)


@madloop.command()
@click.argument("campaign", required=False)
@click.option("--all", "every", is_flag=True, help="All campaigns of the store.")
@click.option("--to", "target", type=click.Path(path_type=Path), required=True, help="FILE.tar.zst, new.")
def backup(campaign: str | None, every: bool, target: Path) -> None:
    """Save all that people did in CAMPAIGN, and what is needed to go on from there, in one file."""
    from flows.backup import back_up

    back_up(campaign, every, target)


@madloop.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Only verify the file; nothing is written.")
@click.option("--answers-only", is_flag=True, help="Only answers, drawings and masks.")
def restore(file: Path, check: bool, answers_only: bool) -> None:
    """Put a backup back into the store; nothing that is there is ever replaced."""
    from flows.backup import check_backup, restore_backup

    if check:
        check_backup(file)
    else:
        restore_backup(file, answers_only=answers_only)


@madloop.command()
@click.argument("campaign", required=False)
@click.option("--yes", is_flag=True, help="Remove what is listed; without it nothing is removed.")
def prune(campaign: str | None, yes: bool) -> None:
    """List what may go from the store, and what never goes. With CAMPAIGN: only what belongs to it."""
    from flows.prune import prune_store

    prune_store(campaign, remove=yes)


@madloop.command()
@click.argument("campaign")
@click.option("--to", "target", type=click.Path(path_type=Path), required=True, help="The page, FILE.md.")
def results(campaign: str, target: Path) -> None:
    """Write the results of CAMPAIGN as a Markdown page, from the store alone."""
    from flows.results import write_results

    write_results(campaign, target)


@madloop.group()
def people() -> None:
    """Logins of raters, annotators and checkers on Label Studio."""


@people.command("add")
@click.argument("name")
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(["rater", "annotator", "checker"]),
    help="May be repeated.",
)
@click.option("--show-password", is_flag=True, help="Print the password, too.")
def people_add_command(
    name: str, roles: tuple[Literal["rater", "annotator", "checker"], ...], show_password: bool
) -> None:
    """Make a working login for NAME, and say how the person gets in. Harmless if there is one."""
    from flows.people import add_person

    add_person(name, roles, show_password=show_password)


@people.command("list")
@click.option("--check", is_flag=True, help="Try every login on the server.")
def people_list_command(check: bool) -> None:
    """List everybody with a login: name, address, roles, campaigns."""
    from flows.people import list_people

    list_people(check=check)


@people.command("remove")
@click.argument("name")
@click.option("--force", is_flag=True, help="Also if an open round needs the person.")
def people_remove_command(name: str, force: bool) -> None:
    """Take NAME out of Label Studio. Answers stay; `people add` brings the person back."""
    from flows.people import remove_person

    remove_person(name, force=force)


@madloop.group()
def services() -> None:
    """Prefect, MLflow, Label Studio and, if wanted, an S3 server as plain processes on this machine."""


@services.command("up")
@click.option("--object-store", is_flag=True, help="Start a local S3 server (SeaweedFS), too.")
def services_up_command(object_store: bool) -> None:
    """Start what is not running and wait until all answer."""
    from configs.settings import load_settings
    from infra.local import services_up

    services_up(load_settings(), on_event=click.echo, object_store=object_store)
    _print_services()


@services.command("down")
def services_down_command() -> None:
    """Stop them all, with everything they started."""
    from configs.settings import load_settings
    from infra.local import services_down

    services_down(load_settings(), on_event=click.echo)


@services.command("status")
def services_status_command() -> None:
    """Say which services answer, and where."""
    _print_services()


def _print_services() -> None:
    from configs.settings import load_settings
    from infra.local import services_status

    for service in services_status(load_settings()):
        click.echo(f"{service.name:<14}{service.state:<10}{service.url or '-':<34}{service.detail}")


if __name__ == "__main__":
    madloop(prog_name="madloop")
