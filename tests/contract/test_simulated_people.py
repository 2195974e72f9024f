"""Simulated people on a real Label Studio: a process of their own that answers whatever is published."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from configs.classes import Classes
from configs.load import load_campaign
from configs.logins import ensure_logins
from configs.settings import CHECKOUT, Settings
from infra.simulated_truth import PeopleConfig, people_config
from tasks.core.brush_masks import BrushRegion, compose_mask, regions_of
from tasks.core.label_maps import VOID, colourise, map_digest
from tasks.core.rle import decode_brush
from tasks.core.scores import maps_miou
from tasks.core.simulated_people import SimulatedRater, simulated_check, simulated_rating
from tasks.services.label_studio import LabelStudioService
from tasks.services.label_studio_answers import Answer, brush_result, parse_rating, parse_regions
from tasks.services.label_studio_checks import ParsedCheck, parse_check
from tasks.services.label_studio_records import ProjectSpec, Task
from tasks.services.label_studio_screens import check_screen, dense_screen, local_file_url, rating_screen

pytestmark = pytest.mark.services

HEIGHT, WIDTH, SEED = 24, 32, 7
CLASSES = Classes(names=("ground", "tree", "car"), colours=((90, 60, 30), (20, 160, 40), (200, 30, 60)))
NAMED = [(n, f"#{r:02x}{g:02x}{b:02x}") for n, (r, g, b) in zip(CLASSES.names, CLASSES.colours, strict=True)]


@dataclass(frozen=True)
class Scene:
    """One image of the pool, its truth and the map a model made of it."""

    stem: str
    image_id: str
    truth: NDArray[np.uint8]
    shown: NDArray[np.uint8]

    @property
    def key(self) -> str:
        return f"{self.image_id}-{map_digest(self.shown)}"


@pytest.fixture
def campaign() -> str:
    return f"s{uuid.uuid4().hex[:8]}"


@pytest.fixture
def scenes(tmp_path: Path) -> list[Scene]:
    """Five images on disk, the fifth out of domain; truth has a void stripe, each map a wrong block."""
    rng = np.random.default_rng(3)
    for folder in ("pool", "truth"):
        (tmp_path / folder).mkdir()
    scenes = []
    for i in range(5):
        truth = np.repeat(np.repeat(rng.integers(0, 3, (3, 4)), 8, axis=0), 8, axis=1).astype(np.uint8)
        shown = truth.copy()
        shown[: 6 * i, :20] = (shown[: 6 * i, :20] + 1) % 3
        truth[:, :2] = VOID
        path = tmp_path / "pool" / f"scene{i}.png"
        Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)).save(path)
        Image.fromarray(truth).save(tmp_path / "truth" / f"scene{i}.png")
        image_id = hashlib.sha256(path.read_bytes()).hexdigest()
        scenes.append(Scene(f"scene{i}", image_id, truth, shown))
    (tmp_path / "ood.txt").write_text("scene4\n")
    return scenes


@pytest.fixture
def config_file(campaign: str, tmp_path: Path, scenes: list[Scene]) -> Path:
    """A campaign file; of its models and its training set the people read nothing."""
    assert len(scenes) == 5
    model = {"kind": "smp_folder", "path": "none"}
    values = {
        "name": campaign,
        "classes": {"names": list(CLASSES.names), "colours": [list(c) for c in CLASSES.colours]},
        "pool": {"images": "pool"},
        "training_set": {"images": "none", "masks": "none"},
        "familiar_test_set": {"images": "none", "masks": "none"},
        "target": {**model, "name": "target"},
        "competitors": [{**model, "name": "rival"}],
        "ratings": {"raters": [f"{campaign}-r1", f"{campaign}-r2", f"{campaign}-r3"]},
        "masks": {"annotators": [f"{campaign}-a1"], "checkers": [f"{campaign}-c1"]},
        "simulated_people": {
            "truth": "truth", "out_of_domain": "ood.txt", "seed": SEED,
            "rater_bias": [0.0, 0.5, -0.5], "anchoring": 0.0, "attention": 1.0,
        },
    }  # fmt: skip
    path = tmp_path / "campaign.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def config(config_file: Path) -> PeopleConfig:
    return people_config(load_campaign(config_file, with_people=True))


@pytest.fixture
def service(services: Settings) -> Iterator[LabelStudioService]:
    access = services.require_label_studio()
    with LabelStudioService(access.url, access.token.get_secret_value()) as opened:
        yield opened


@contextmanager
def _people(config_file: Path, services: Settings, *extra: str) -> Iterator[subprocess.Popen[str]]:
    """The process, which also ends when a test fails while it runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.simulated_people", str(config_file), *extra],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], "MADLOOP_HOME": str(services.home), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.terminate()


def _pictures(services: Settings, campaign: str, tmp_path: Path, scenes: list[Scene]) -> Path:
    """The folder Label Studio serves, with every image and map."""
    folder = services.label_studio_files / campaign
    folder.mkdir(parents=True)
    for scene in scenes:
        (folder / f"{scene.stem}.png").write_bytes((tmp_path / "pool" / f"{scene.stem}.png").read_bytes())
        Image.fromarray(colourise(scene.shown, CLASSES.colours)).save(folder / f"{scene.stem}-map.png")
    return folder


def _task(campaign: str, scene: Scene, *, with_start: bool = False) -> Task:
    data = {
        "image": local_file_url(f"{campaign}/{scene.stem}.png"),
        "map": local_file_url(f"{campaign}/{scene.stem}-map.png"),
        "overlay": local_file_url(f"{campaign}/{scene.stem}-map.png"),
        "image_id": scene.image_id,
        "map_digest": map_digest(scene.shown),
        "turn": 1,
        "note": "",
    }
    regions = regions_of(scene.shown, CLASSES.names)
    start = brush_result(regions, width=WIDTH, height=HEIGHT) if with_start else None
    return Task(key=scene.key, data=data, prediction=start)


def _until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the simulated people did not finish in time"
        time.sleep(0.2)


def _expected(config: PeopleConfig, rater: str, scene: Scene) -> tuple[int | None, bool]:
    person = SimulatedRater(
        seed=SEED,
        rater=rater,
        bias=config.simulated.rater_bias[config.raters.index(rater)],
        noise=0.7,
        out_of_domain_probability=0.7,
    )
    miou = maps_miou(scene.truth, scene.shown, 3)
    given = simulated_rating(
        miou,
        out_of_domain=scene.stem == "scene4",
        person=person,
        image_id=scene.image_id,
        map_digest=map_digest(scene.shown),
    )
    return given.score, given.out_of_domain


def _mask(answer: Answer, base: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    regions = [
        BrushRegion(r.label, decode_brush(r.rle, height=HEIGHT, width=WIDTH), r.is_human)
        for r in parse_regions(answer.result, height=HEIGHT, width=WIDTH, where="the answer")
    ]
    composed = compose_mask(regions, names=CLASSES.names, base=base, height=HEIGHT, width=WIDTH)
    assert composed.conflict_px == 0
    return composed.label_map


def test_people_rate_and_paint_what_is_published_once_and_as_expected(
    *,
    services: Settings,
    service: LabelStudioService,
    config: PeopleConfig,
    config_file: Path,
    scenes: list[Scene],
    tmp_path: Path,
) -> None:
    folder = _pictures(services, config.campaign, tmp_path, scenes)
    logins = ensure_logins(services, (*config.raters, *config.annotators, *config.checkers))
    people = {n: service.ensure_person(n, x.password.get_secret_value()) for n, x in logins.items()}
    with _people(config_file, services) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        screen = rating_screen(NAMED)
        projects = {}
        for rater in config.raters:
            title = f"{config.campaign} r1 rating {rater}"
            projects[rater] = service.ensure_project(ProjectSpec(title, screen, "", "", folder))
            service.publish_tasks(projects[rater], [_task(config.campaign, scene) for scene in scenes])
        title = f"{config.campaign} r1 masks {config.annotators[0]}"
        masks = service.ensure_project(ProjectSpec(title, dense_screen(NAMED), "", "", folder))
        # every other image starts from the shown map, the others from an empty one
        started = {scene.key: i % 2 == 0 for i, scene in enumerate(scenes)}
        service.publish_tasks(
            masks, [_task(config.campaign, scene, with_start=started[scene.key]) for scene in scenes]
        )
        title = f"{config.campaign} r1 checks {config.checkers[0]}"
        checks = service.ensure_project(ProjectSpec(title, check_screen(NAMED), "", "", folder))
        service.publish_tasks(checks, [_task(config.campaign, scene) for scene in scenes])

        _until(
            lambda: (
                process.poll() is not None
                or all(service.progress(p).finished == 5 for p in (*projects.values(), masks, checks))
            )
        )
        time.sleep(2.5)  # two more looks round, in which nothing may be answered again
        process.send_signal(signal.SIGTERM)
        _, complaint = process.communicate(timeout=20)
        assert (process.returncode, complaint) == (0, "")

    by_key = {scene.key: scene for scene in scenes}
    for rater, project_id in projects.items():
        answers = service.answers_since(project_id, None)
        assert sorted(answer.key for answer in answers) == sorted(by_key)
        for answer in answers:
            parsed = parse_rating(answer)
            assert _expected(config, rater, by_key[answer.key]) == (parsed.score, parsed.out_of_domain)  # type: ignore[union-attr]
            assert answer.completed_by == answer.updated_by == people[rater].user_id
            assert answer.lead_time is not None
    painted = service.answers_since(masks, None)
    assert sorted(answer.key for answer in painted) == sorted(by_key)
    for answer in painted:
        scene = by_key[answer.key]
        mask = _mask(answer, scene.shown if started[scene.key] else None)
        np.testing.assert_array_equal(scene.truth, mask)
    checked = {
        answer.key: parse_check(answer, height=HEIGHT, width=WIDTH)
        for answer in service.answers_since(checks, None)
    }
    for scene in scenes:
        expected = simulated_check(
            scene.truth,
            scene.shown,
            attention=1.0,
            seed=SEED,
            checker=config.checkers[0],
            image_id=scene.image_id,
        )
        given = checked[scene.key]
        assert isinstance(given, ParsedCheck)
        assert given.accepted == (not expected)
        np.testing.assert_allclose(
            [(m.x_px, m.y_px) for m in given.marks], [(m.x_px, m.y_px) for m in expected], atol=1e-6
        )


def test_a_second_process_for_the_same_campaign_is_refused(services: Settings, config_file: Path) -> None:
    with _people(config_file, services) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "ready\n"
        with _people(config_file, services) as second:
            _, complaint = second.communicate(timeout=60)
        assert second.returncode == 2
        assert "one runs already" in complaint


def test_people_end_with_their_parent(services: Settings, config_file: Path) -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as parent,
        _people(config_file, services, "--parent", str(parent.pid)) as people,
    ):
        assert people.stdout is not None
        assert people.stdout.readline() == "ready\n"
        parent.kill()
        assert people.wait(timeout=20) == 0


def test_a_pool_without_its_truth_is_said_at_the_start(
    services: Settings, config_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "truth" / "scene2.png").unlink()

    with _people(config_file, services) as people:
        output, complaint = people.communicate(timeout=60)

    assert people.returncode == 3
    assert output == ""
    assert "scene2" in complaint
