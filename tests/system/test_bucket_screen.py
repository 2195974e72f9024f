"""An annotator at the real screen, with the picture behind a presigned link of a real S3 server."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from configs.settings import Settings, load_settings
from infra.local import services_up
from infra.seaweedfs import BUCKET
from tasks.core.brush_masks import BrushRegion, compose_mask, regions_of
from tasks.core.digests import digest_of_bytes
from tasks.core.rle import decode_brush
from tasks.labelling import Screen, label_studio, open_project, picture_folder
from tasks.rounds import Round
from tasks.services.label_studio_answers import brush_result, parse_regions
from tasks.services.label_studio_records import Task
from tasks.services.label_studio_screens import dense_screen
from tests.lib.labelling_browser import Labeller
from tests.lib.street_scenes import CAR, COLOURS, HEIGHT, NAMES, WIDTH, scene
from tests.lib.written_campaigns import campaign_of, encoded, write_file

pytestmark = pytest.mark.services

LEGEND = [(name, "#" + bytes(colour).hex()) for name, colour in zip(NAMES, COLOURS, strict=True)]
SCREEN = Screen("masks", dense_screen(LEGEND), "A test", "<p>Draw.</p>")


@pytest.fixture
def settings(services: Settings, monkeypatch: pytest.MonkeyPatch, label_studio_bin: Path) -> Settings:
    """The session's services with the S3 server beside them."""
    monkeypatch.setenv("MADLOOP_HOME", str(services.home))
    monkeypatch.setenv("MADLOOP_LABEL_STUDIO_BIN", str(label_studio_bin))
    services_up(services, on_event=lambda _: None, object_store=True, parent_pid=os.getpid())
    return load_settings()


def test_a_picture_from_a_bucket_is_seen_and_painted_on(
    settings: Settings, tmp_path: Path, at_the_screen: Callable[[str], Labeller]
) -> None:
    street, name = scene(1), f"t{uuid.uuid4().hex[:6]}"
    content = encoded(street.image)
    uri = str(write_file(tmp_path / "street.png", content))
    start = brush_result(regions_of(street.shown, NAMES), width=WIDTH, height=HEIGHT)
    round_ = Round(campaign_of(tmp_path, name=name), 1, f"s3://{BUCKET}/{name}/store")
    with label_studio(settings) as service:
        project = open_project(service, round_, settings, f"{name}-zoe", SCREEN).project_id
        address = picture_folder(round_, settings).put_image(uri, digest_of_bytes(content))
        service.publish_tasks(project, [Task("k", {"image": address, "note": ""}, start)])

    annotator = at_the_screen(f"{name}-zoe")
    assert "Draw." in annotator.start(project)
    annotator.see(1)
    annotator.see_regions(len(NAMES))
    annotator.press(str(CAR + 1))
    annotator.stroke((300.0, 290.0), (390.0, 290.0))
    annotator.see_regions(len(NAMES) + 1)
    annotator.submit(is_last=True)

    with label_studio(settings) as service:
        (answer,) = service.answers_since(project, None)
    regions = [
        BrushRegion(r.label, decode_brush(r.rle, height=HEIGHT, width=WIDTH), r.is_human)
        for r in parse_regions(answer.result, height=HEIGHT, width=WIDTH, where="the answer")
    ]
    drawn = compose_mask(regions, names=NAMES, base=street.shown, height=HEIGHT, width=WIDTH).label_map
    changed = drawn != street.shown
    np.testing.assert_array_equal(np.where(changed, CAR, street.shown), drawn)
    assert (drawn[289:291, 301:389] == CAR).all()
    assert changed.any()
