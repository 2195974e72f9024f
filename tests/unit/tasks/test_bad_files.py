"""Files that cannot be used: each is a row in the rejects with its reason, and nothing else is lost."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tasks.artifacts import Draft, StageKey
from tasks.core.records import DRAWING_ORDER, IMAGES, MAPS, MASKS, RATINGS, REJECTS
from tasks.errors import ConfigError, DataError
from tasks.image_files import find_image_files, read_bytes
from tasks.labelled_sets import finished_set
from tasks.maps import map_plan, write_maps
from tasks.pool import Listing, list_images, list_source
from tasks.rounds import recall, require
from tasks.test_sets import drawn_rows
from tests.lib.played_rounds import played_round, true_mask
from tests.lib.small_networks import small_folder
from tests.lib.written_campaigns import campaign_of, encoded, png, round_of, write_file, write_labelled


def listed(root: Path, **source: object) -> tuple[set[str], dict[str, str]]:
    """Names of the listed images, and reason by name of the rejected ones."""
    listing = _listing(root, **source)
    images = {Path(row["uri"]).name for row in listing.images}
    return images, {row["item"]: row["reason"] for row in listing.rejects}


def _listing(root: Path, **source: object) -> Listing:
    campaign = campaign_of(root, pool={"images": "pool"} | source)
    return list_source(campaign, "pool", campaign.pool, {})


def test_whatever_is_no_file_is_rejected_and_links_are_followed(tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    write_file(pool / "good.png", png(0))
    write_file(tmp_path / "elsewhere/far.png", png(1))
    (pool / "shelf").symlink_to(tmp_path / "elsewhere")
    (pool / "link.png").symlink_to(write_file(tmp_path / "elsewhere/deep/target.img", png(2)))
    (pool / "nothing.png").symlink_to(tmp_path / "gone.png")
    (pool / "itself.png").symlink_to(pool / "itself.png")
    (pool / "loop").symlink_to(pool)
    (pool / "folder.png").mkdir()
    write_file(pool / "folder.png/inside.png", png(3))
    (pool / "long.png").symlink_to("x" * 300)
    os.mkfifo(pool / "pipe.png")
    images, reasons = listed(tmp_path)
    assert images == {"good.png", "far.png", "link.png", "inside.png"}
    assert reasons.keys() == {"nothing.png", "itself.png", "loop", "long.png", "pipe.png"}
    assert "a link to nothing" in reasons["nothing.png"]
    assert "a link to a folder that it lies in" in reasons["loop"]
    assert reasons["long.png"] == "what is there cannot be told: File name too long"
    assert "something else" in reasons["pipe.png"]
    write_file(tmp_path / "stems.txt", b"good\n")
    images, reasons = listed(tmp_path, listing="stems.txt")
    assert images == {"good.png"}
    assert "long.png" in reasons, "what may be a folder may hold what was chosen"


def test_a_file_or_folder_that_may_not_be_read_is_rejected() -> None:
    with tempfile.TemporaryDirectory() as root:
        pool = Path(root, "pool")
        write_file(pool / "good.png", png(0))
        write_file(pool / "secret.png", png(1)).chmod(0)
        write_file(pool / "closed/inside.png", png(2))
        (pool / "into.png").symlink_to(pool / "closed/inside.png")
        (pool / "closed").chmod(0)
        Path(root).chmod(0o755)
        reasons = as_nobody(lambda: readable_or_not(pool))
        (pool / "closed").chmod(0o755)
    assert reasons["good.png"] == "read"
    assert reasons["closed"] == "the folder cannot be read: Permission denied"
    assert reasons["into.png"] == "what is there cannot be told: Permission denied"
    assert "it cannot be read: Permission denied" in reasons["secret.png"]


def readable_or_not(folder: Path) -> dict[str, str]:
    """Name -> `read`, or why not."""
    found = find_image_files(str(folder), what="pool")
    reasons = {Path(uri).name: reason for uri, reason in found.unusable}
    for uri in found.uris:
        try:
            read_bytes(uri)
            reasons[Path(uri).name] = "read"
        except DataError as error:
            reasons[Path(uri).name] = str(error)
    return reasons


def as_nobody(work: Callable[[], dict[str, str]]) -> dict[str, str]:
    """What `work` gives in a process without the rights of root, who may read everything."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        if os.getuid() == 0:
            os.setuid(65534)
        os.write(writing, json.dumps(work()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    result: dict[str, str] = json.loads(said)
    return result


def test_images_over_the_limit_are_rejected_before_they_are_decoded(tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    write_file(pool / "good.png", png(0))
    write_file(pool / "wide.png", encoded(np.zeros((60, 20_000, 3), np.uint8)))
    with write_file(pool / "sparse.png", b"").open("wb") as file:
        file.truncate(1 << 40)  # a terabyte that takes no room
    images, reasons = listed(tmp_path, max_megapixels=1)
    assert images == {"good.png"}
    assert "at most 1 megapixels were required, it has 60 x 20000" in reasons["wide.png"]
    assert "bytes were required, as `max_megapixels` says" in reasons["sparse.png"]
    assert listed(tmp_path, max_megapixels=1.2)[0] == {"good.png", "wide.png"}


def test_a_list_of_places_may_name_files_anywhere_and_wrong_places_are_rejected(tmp_path: Path) -> None:
    write_file(tmp_path / "one/a.png", png(0))
    write_file(tmp_path / "two/b.img", png(1))
    places = ("one/a.png", "", f"  {tmp_path}/two/b.img", "one/a.png", "one/gone.png", "one")
    write_file(tmp_path / "list.txt", "\n".join(places).encode())
    images, reasons = listed(tmp_path, images="list.txt")
    assert images == {"a.png", "b.img"}
    assert reasons.keys() == {"a.png", "gone.png", "one"}
    assert reasons["a.png"] == "same content as a.png"
    assert "there is none" in reasons["gone.png"]
    write_file(tmp_path / "list.txt", b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8 text that names one image a line"):
        listed(tmp_path, images="list.txt")
    write_file(tmp_path / "list.txt", b"\n")
    with pytest.raises(ConfigError, match="must hold at least one image"):
        listed(tmp_path, images="list.txt")


@pytest.mark.parametrize(
    "start",
    ["https://host", "HTTP://host", "gs://host", "S3://bucket", "s3://Bad_Bucket", "s3://me:hush@bucket"],
)
def test_a_uri_in_a_list_of_places_that_names_no_object_is_refused_by_its_line(
    tmp_path: Path, start: str
) -> None:
    write_file(tmp_path / "list.txt", f"a.png\n\n {start}/b.png?X-Amz-Signature=hush\n".encode())
    with pytest.raises(ConfigError, match=r"list.txt, line 3: a path or an `s3://bucket/key`") as refused:
        listed(tmp_path, images="list.txt")
    assert "hush" not in str(refused.value)


def test_a_bucket_in_a_list_of_places_is_no_image(tmp_path: Path) -> None:
    write_file(tmp_path / "list.txt", b"s3://bucket/")
    with pytest.raises(ConfigError, match=r"list.txt, line 1: "):
        listed(tmp_path, images="list.txt")


def test_a_file_that_cannot_be_read_to_its_end_is_refused() -> None:
    with pytest.raises(DataError, match="/proc/self/mem: an image was required, but it cannot be read"):
        read_bytes("/proc/self/mem")
    with pytest.raises(DataError, match="there is none"):
        read_bytes("/nowhere/a.png")
    with pytest.raises(DataError, match="there is none"):
        read_bytes("/nowhere/\0.png")


def test_the_order_of_files_is_that_of_their_paths(tmp_path: Path) -> None:
    for name in ("b/c.png", "b.png", "a/z.png", "b/a.PNG"):
        write_file(tmp_path / name, b"")
    found = find_image_files(str(tmp_path), what="pool").uris
    assert [Path(uri).relative_to(tmp_path).as_posix() for uri in found] == [
        "a/z.png",
        "b/a.PNG",
        "b/c.png",
        "b.png",
    ]


def test_a_labelled_image_whose_pixels_are_damaged_is_found_at_once(tmp_path: Path) -> None:
    write_labelled(tmp_path / "training", "good", 1)
    write_labelled(tmp_path / "training", "bad", 2)
    path = tmp_path / "training/images/bad.png"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    campaign = campaign_of(tmp_path)
    listing = list_source(campaign, "training", campaign.training_set, {})
    assert [Path(row["uri"]).stem for row in listing.images] == ["good"]
    assert [row["item"] for row in listing.rejects] == ["bad.png"]


def test_an_image_whose_labelled_twin_was_rejected_stays_in_the_pool(tmp_path: Path) -> None:
    write_labelled(tmp_path / "training", "good", 1)
    write_labelled(tmp_path / "training", "unmasked", 2)
    (tmp_path / "training/masks/unmasked.png").unlink()
    write_labelled(tmp_path / "familiar", "f", 3)
    write_file(tmp_path / "pool/same.png", png(2))
    round_ = round_of(tmp_path)
    rows = round_.open_store().rows(list_images.fn(round_), IMAGES)
    assert [Path(row["uri"]).name for row in rows if row["dataset"] == "pool"] == ["same.png"]


def test_an_image_that_changes_between_two_rounds_is_another_image(tmp_path: Path) -> None:
    write_labelled(tmp_path / "training", "t", 1)
    write_labelled(tmp_path / "familiar", "f", 2)
    write_file(tmp_path / "pool/a.png", png(3))
    round_ = round_of(tmp_path)
    store, first = round_.open_store(), list_images.fn(round_)
    write_file(tmp_path / "pool/a.png", png(4))
    second = list_images.fn(round_.at(2))
    (before,), (after,) = (
        [row["image_id"] for row in store.rows(ref, IMAGES) if row["dataset"] == "pool"]
        for ref in (first, second)
    )
    assert before != after


def test_a_candidate_whose_file_vanished_has_no_map_and_a_reject(tmp_path: Path) -> None:
    write_labelled(tmp_path / "training", "t", 1)
    write_labelled(tmp_path / "familiar", "f", 2)
    for seed in (3, 4, 5):
        write_file(tmp_path / f"pool/{seed}.png", png(seed))
    spec = small_folder(tmp_path / "network").model_copy(update={"name": "rival"})
    round_ = round_of(tmp_path, competitors=[spec.model_dump(mode="json")])
    store, pool = round_.open_store(), list_images.fn(round_)
    uris = {row["image_id"]: row["uri"] for row in store.rows(pool, IMAGES) if row["dataset"] == "pool"}
    by_name = {Path(uri).name: image_id for image_id, uri in uris.items()}
    gone, changed, intact = (by_name[f"{number}.png"] for number in (3, 4, 5))
    Path(uris[gone]).unlink()
    Path(uris[changed]).write_bytes(png(9))
    order = [{"image_id": image_id, "competitor": "rival"} for image_id in uris]
    plan = map_plan(round_.campaign, spec, order)

    def fill(draft: Draft) -> None:
        write_maps(round_.campaign, plan, uris, draft)

    ref = store.make(StageKey("maps", 1), fill)
    assert {(row["image_id"], row["role"]) for row in store.rows(ref, MAPS)} == {
        (intact, "target"),
        (intact, "competitor"),
    }
    rejects = {row["item"]: row for row in store.rows(ref, REJECTS)}
    assert rejects.keys() == {gone, changed}
    assert "cannot be read" in rejects[gone]["reason"]
    assert "has changed" in rejects[changed]["reason"]


def test_a_candidate_without_a_map_has_no_place_in_the_order_of_the_test_set(tmp_path: Path) -> None:
    round_ = played_round(tmp_path)
    store = round_.open_store()
    order, ratings = (
        store.rows(require(round_, stage), record)
        for stage, record in (("candidates", DRAWING_ORDER), ("ratings", RATINGS))
    )
    first = min(order, key=lambda row: row["position"])["image_id"]
    unrated = [row for row in ratings if row["image_id"] != first]
    assert first in {row["image_id"] for row in drawn_rows(round_, order, ratings)}
    drawn = drawn_rows(round_, order, unrated)
    assert drawn
    assert first not in {row["image_id"] for row in drawn}


def test_after_the_data_were_moved_images_of_earlier_rounds_are_read_at_their_new_place(
    tmp_path: Path,
) -> None:
    first = played_round(tmp_path)
    store, pool = first.open_store(), require(first, "pool")
    drawn = store.rows(require(first, "masks-failure"), MASKS)

    def fill(draft: Draft) -> None:
        draft.write_table(MASKS, drawn)
        for row in drawn:
            draft.write_file(f"{row['image_id']}.png", encoded(true_mask(1)), identity=True)

    masks = store.make(StageKey("masks", 1, {"with": "files"}), fill)
    (tmp_path / "pool").rename(tmp_path / "moved")
    with pytest.raises(DataError, match="was listed in the pool but cannot be read"):
        finished_set(first, pool, masks, "S(1)").images[0].read_image()
    second = round_of(tmp_path, 2, pool={"images": "moved"})
    list_images.fn(second)
    assert recall(second, "pool") is not None
    again = finished_set(first, pool, masks, "S(1)")
    assert [image.read_image().shape[2] for image in again.images] == [3, 3]
    assert all(Path(image.uri).is_relative_to(tmp_path / "moved") for image in again.images)


def test_a_mask_in_dispute_is_used_for_nothing(tmp_path: Path) -> None:
    round_ = played_round(tmp_path)
    store, pool = round_.open_store(), require(round_, "pool")
    first, second = store.rows(require(round_, "masks-failure"), MASKS)

    def fill(draft: Draft) -> None:
        draft.write_table(MASKS, [first | {"verdict": "disputed"}, second])
        for row in (first, second):
            draft.write_file(f"{row['image_id']}.png", encoded(true_mask(1)), identity=True)

    masks = store.make(StageKey("masks", 1, {"with": "dispute"}), fill)
    assert [i.image_id for i in finished_set(round_, pool, masks, "S(1)").images] == [second["image_id"]]
