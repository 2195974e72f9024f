"""What the Prefect UI shows beside the runs: candidates with pictures, links, and the table of results."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Sequence

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from configs.settings import Settings
from models.decoding import decode_image
from tasks.artifacts import ArtifactRef
from tasks.core.digests import digest_of
from tasks.core.label_maps import colourise
from tasks.core.records import DRAWING_ORDER, IMAGES, MAPS, SCORES
from tasks.image_files import read_verified
from tasks.label_map_files import MAPS_FILE, read_label_map
from tasks.people_progress import HEADERS, PersonProgress, progress_cells
from tasks.pictures import encode_jpeg, thumbnail
from tasks.pseudonyms import Pseudonyms
from tasks.rounds import Round
from tasks.score_tables import Scores, matrix_table
from tasks.stage import stage_task

_SHOWN = 12  # candidates with pictures; the whole list is in the store and in the report
_LONG_SIDE = 160


def artifact_key(round_: Round, what: str) -> str:
    """Key under which the Prefect UI keeps the versions of one artifact: letters, digits and dashes."""
    return f"{round_.campaign.name}-round-{round_.number}-{what}"


@stage_task("announce candidates")
def announce_candidates(round_: Round, pool: ArtifactRef, candidates: ArtifactRef, maps: ArtifactRef) -> None:
    """A page with the candidates of the largest discrepancy: image and map, and why they were chosen."""
    if _is_announced(round_, "candidates", maps.digest):
        return
    store, colours = round_.open_store(), round_.campaign.classes.colours
    uris = {row["image_id"]: row["uri"] for row in store.rows(pool, IMAGES)}
    shown = {row["image_id"]: row for row in store.rows(maps, MAPS) if row["role"] == "target"}
    # A candidate without a map is among the rejects.
    order = [row for row in store.rows(candidates, DRAWING_ORDER) if row["image_id"] in shown]
    lines = [
        f"{len(order)} candidates; the {min(_SHOWN, len(order))} with the largest discrepancy:",
        "",
        "| discrepancy | competitor | main class | image | map of the target |",
        "|---|---|---|---|---|",
    ]
    for row in sorted(order, key=lambda row: (-row["discrepancy"], row["image_id"]))[:_SHOWN]:
        image_id = row["image_id"]
        photo = decode_image(read_verified(uris[image_id], image_id), where=uris[image_id])
        label_map = read_label_map(store.path(maps, MAPS_FILE), shown[image_id])
        pictures = (
            thumbnail(photo, _LONG_SIDE, "photo"),
            thumbnail(colourise(label_map, colours), _LONG_SIDE, "map"),
        )
        cells = [f"![]({_data_uri(encode_jpeg(picture))})" for picture in pictures]
        lines.append(
            f"| {row['discrepancy']:.3f} | {row['competitor']} | {row['main_class']} | {' | '.join(cells)} |"
        )
    create_markdown_artifact(key=artifact_key(round_, "candidates"), markdown="\n".join(lines))
    _mark_announced(round_, "candidates", maps.digest)


@stage_task("announce links")
def announce_links(round_: Round, settings: Settings, what: str, projects: Sequence[tuple[str, int]]) -> None:
    """Where everybody finds their projects; `what` is `ratings` or `masks`, drawings and checks."""
    if not projects:
        return  # nothing was asked of anybody
    base = settings.shown("label_studio")
    places = digest_of([base, projects])
    if _is_announced(round_, what, places):
        return
    lines = [f"Label Studio projects for the {what} of round {round_.number}:", ""]
    people = Pseudonyms(round_.open_store())
    lines += [
        f"- {people.of(person)}: [{base}/projects/{number}]({base}/projects/{number}/data)"
        for person, number in projects
    ]
    create_markdown_artifact(key=artifact_key(round_, f"label-studio-{what}"), markdown="\n".join(lines))
    _mark_announced(round_, what, places)


@stage_task("announce people")
def announce_people(round_: Round, progress: list[PersonProgress]) -> None:
    """How far everybody is with the open stage, under pseudonyms; a new version whenever an answer came."""
    people = Pseudonyms(round_.open_store())
    so_far = [[row.person, row.work, row.done, row.remaining] for row in progress]
    if _is_announced(round_, "people", digest_of(so_far)):
        return
    now = datetime.datetime.now(datetime.UTC)
    table = [HEADERS, ["---"] * len(HEADERS), *progress_cells(progress, now, people.of)]
    lines = [
        f"People at work in round {round_.number}, as of {now:%Y-%m-%d %H:%M} UTC.",
        "The expected end is that of somebody who goes on now without a break.",
        "",
        *(f"| {' | '.join(cells)} |" for cells in table),
    ]
    create_markdown_artifact(key=artifact_key(round_, "people"), markdown="\n".join(lines))
    _mark_announced(round_, "people", digest_of(so_far))


@stage_task("announce results")
def announce_results(round_: Round, scores: ArtifactRef, run_url: str, versions: int) -> None:
    """The version x test-set matrix as a table, and the way to the run in MLflow."""
    table = matrix_table(round_.campaign, Scores(round_.open_store().rows(scores, SCORES)), versions)
    rows = [
        {"model": row.name}
        | {
            header: "" if value is None else f"{value:.3f}"
            for header, value in zip(table.column_headers, row.cells, strict=True)
        }
        for row in table.rows
    ]
    create_table_artifact(key=artifact_key(round_, "results"), table=rows, description=table.caption)
    create_link_artifact(
        key=artifact_key(round_, "mlflow"), link=run_url, link_text=f"Round {round_.number} in MLflow"
    )


def _is_announced(round_: Round, what: str, content: str) -> bool:
    """Whether this content is in the UI already: a campaign looked at every few minutes says it once."""
    return round_.open_store().storage.get(_announcement(round_, what)) == content.encode()


def _mark_announced(round_: Round, what: str, content: str) -> None:
    round_.open_store().storage.put(_announcement(round_, what), content.encode())


def _announcement(round_: Round, what: str) -> str:
    return f"campaigns/{round_.campaign.name}/announced/{round_.number:04d}-{what}"


def _data_uri(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
