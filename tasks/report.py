"""Report: one self-contained HTML file that says what a round found, changed and cost."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace

import yaml

from configs.schema import Campaign
from configs.settings import Settings
from tasks.answer_log import LOGS, newest_per_annotation, read_log
from tasks.artifacts import ArtifactRef, Draft, StageKey
from tasks.core.records import (
    CANDIDATES,
    COSTS,
    DRAWING_ORDER,
    ENGINES,
    EPOCHS,
    FAILURES,
    IMAGES,
    RATINGS,
    REJECTS,
    ROLES,
    SCORES,
    SELECTION,
    SHORTFALLS,
    TEST_SETS,
    TRIALS,
    WINDOWS,
)
from tasks.costs import round_costs
from tasks.labelled_sets import finished_set
from tasks.ledger import roles_until
from tasks.pseudonyms import Pseudonyms
from tasks.report_costs import cost_tables
from tasks.report_findings import (
    RoundRows,
    cut_short_tables,
    headline,
    summary,
)
from tasks.report_gallery import GalleryData, gallery
from tasks.report_masks import MaskRows, mask_rows, mask_tables
from tasks.report_page import CAMPAIGN_FILE, REPORT_FILE, Card, Curve, ReportData, TrialRow, render_report
from tasks.report_raters import rater_findings, rater_tables
from tasks.report_selection import selection_tables
from tasks.rounds import Round, require, stages_of
from tasks.score_tables import Scores, class_table, matrix_table, paper_table
from tasks.stage import stage_task
from tasks.versions import spec_of_version

VERSION = 4


def round_rows(round_: Round, closing: bool) -> RoundRows:
    """All records of the round that the report reads, with the names of people."""
    store = round_.open_store()

    def of(stage: str, record: object) -> list[dict[str, object]]:
        return store.rows(require(round_, stage), record)  # type: ignore[arg-type]

    rejects = of("pool", REJECTS) + of("maps", REJECTS)
    for model in (spec_of_version(round_, round_.number - 1), *round_.campaign.competitors):
        rejects += of(f"predictions-{model.name}", REJECTS)
    # An edit replaces what it edited.
    given = [
        row
        for log in LOGS
        for row in newest_per_annotation(read_log(round_, log.record))
        if row["round"] == round_.number
    ]
    return RoundRows(
        number=round_.number,
        closing=closing,
        engines=of("engines", ENGINES),
        images=of("pool", IMAGES),
        rejects=list({(r["stage"], r["item"], r["uri"]): r for r in rejects}.values()),
        candidates=of("candidates", CANDIDATES),
        order=of("candidates", DRAWING_ORDER),
        windows=of("candidates", WINDOWS),
        shortfalls=of("candidates", SHORTFALLS),
        selection=of("candidates", SELECTION),
        ratings=of("ratings", RATINGS),
        test_set=of("test_set", TEST_SETS),
        failures=[] if closing else of("failures", FAILURES),
        answers=given,
        trials=of("version", TRIALS) if round_.campaign.repair and not closing else [],
        masks=mask_rows(round_, closing),
        costs=round_costs(round_),
    )


def _cards(round_: Round, role: str, closing: bool) -> tuple[Card, ...]:
    """Gallery of S (`failure`) or T (`test`)."""
    if closing and role == "failure":
        return ()
    data = GalleryData(
        require(round_, "candidates"),
        require(round_, "maps"),
        require(round_, "ratings"),
        spec_of_version(round_, round_.number) if round_.campaign.repair and not closing else None,
    )
    return gallery(
        round_, finished_set(round_, require(round_, "pool"), require(round_, f"masks-{role}"), role), data
    )


def _curves(round_: Round) -> tuple[Curve, ...]:
    store = round_.open_store()
    rates = {f"trial-{row['learning_rate']:g}" for row in store.rows(require(round_, "version"), TRIALS)}
    trials = {name: ref for name, ref in stages_of(round_).items() if name in rates}
    return tuple(
        Curve(
            f"learning rate {name.removeprefix('trial-')}",
            tuple(row["loss"] for row in store.rows(ref, EPOCHS)),
        )
        for name, ref in trials.items()
    )


def rows_without_names(round_: Round, rows: RoundRows) -> RoundRows:
    """The records with pseudonyms for people, as they may leave the store."""
    people = Pseudonyms(round_.open_store())
    return replace(
        rows,
        answers=people.rows(rows.answers),
        costs=people.rows(rows.costs),
        masks=MaskRows(
            people.rows(rows.masks.masks), people.rows(rows.masks.turns), people.rows(rows.masks.doubles)
        ),
    )


def report_data(
    round_: Round, settings: Settings, campaign: Campaign, rows: RoundRows, scores: Scores
) -> ReportData:
    """Everything the page shows; `campaign` and `rows` without the names of people."""
    versions = round_.number + (not rows.closing)
    links = [("MLflow", settings.shown("mlflow")), ("Label Studio", settings.shown("label_studio"))]
    return ReportData(
        campaign=campaign.name,
        round_number=round_.number,
        closing=rows.closing,
        created_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
        target=spec_of_version(round_, round_.number - 1).name,
        competitors=tuple(c.name for c in campaign.competitors),
        summary=summary(campaign, rows, scores, versions),
        headline=headline(rows),
        table1=paper_table(campaign, scores, versions),
        matrix=matrix_table(campaign, scores, versions),
        class_table=class_table(campaign, scores, versions),
        trials=tuple(
            TrialRow(t["learning_rate"], t["tuning_miou"], t["final_loss"], t["chosen"]) for t in rows.trials
        ),
        loss_curves=_curves(round_) if rows.trials else (),
        gallery_failures=_cards(round_, "failure", rows.closing),
        gallery_test=_cards(round_, "test", rows.closing),
        how_chosen=selection_tables(rows),
        cut_short=cut_short_tables(campaign, rows),
        people_and_cost=(
            *mask_tables(rows.masks),
            *cost_tables(campaign, rows),
            *rater_tables(rater_findings(round_)),
        ),
        legend=tuple(zip(campaign.classes.names, campaign.classes.colours, strict=True)),
        links=tuple((name, url) for name, url in links if url is not None),
        config_yaml=yaml.safe_dump(
            json.loads(campaign.model_dump_json()), sort_keys=False, allow_unicode=True
        ),
    )


@stage_task("write report")
def write_report(round_: Round, settings: Settings, scores: ArtifactRef, closing: bool) -> ArtifactRef:
    """The report of the round, with the roles and costs so far."""
    store = round_.open_store()
    stages = (
        "candidates",
        "maps",
        "ratings",
        "raters",
        "test_set",
        "masks-test",
        *(() if closing else ("failures",)),
        *(("version",) if round_.campaign.repair and not closing else ()),
    )
    key = StageKey(
        "reports",
        VERSION,
        {"campaign": round_.campaign.name, "round": round_.number, "closing": closing},
        {"scores": scores.digest, **{stage: require(round_, stage).digest for stage in stages}},
    )

    def fill(draft: Draft) -> None:
        rows = round_rows(round_, closing)
        campaign = Pseudonyms(store).campaign(round_.campaign)
        shown = rows_without_names(round_, rows)
        data = report_data(round_, settings, campaign, shown, Scores(store.rows(scores, SCORES)))
        draft.write_file(REPORT_FILE, render_report(data).encode(), identity=False)
        draft.write_file(CAMPAIGN_FILE, campaign.model_dump_json(indent=1).encode(), identity=False)
        draft.write_table(COSTS, rows.costs)
        draft.write_table(ROLES, roles_until(round_))

    ref = store.make(key, fill)
    name = f"{round_.campaign.name}-round-{round_.number}{'-closing' if closing else ''}.html"
    store.storage.put(f"reports/{name}", store.path(ref, REPORT_FILE).read_bytes())
    return ref
