from __future__ import annotations

import numpy as np
import pytest

from tasks.core.brush_masks import BrushRegion, compose_mask, regions_of
from tasks.core.rle import decode_brush

NAMES = ("road", "car", "sky")


def region(label: str, pixels: list[int], *, human: bool = False) -> BrushRegion:
    return BrushRegion(label, np.array([pixels], dtype=np.uint8), human)


def compose(regions: list[BrushRegion], base: list[int] | None, width: int = 4) -> tuple[list[int], int, int]:
    base_map = None if base is None else np.array([base], dtype=np.uint8)
    mask = compose_mask(regions, names=NAMES, base=base_map, height=1, width=width)
    return mask.label_map[0].tolist(), mask.uncovered_px, mask.conflict_px


def test_alpha_counts_from_128() -> None:
    assert compose([region("car", [0, 127, 128, 255])], None) == ([255, 255, 1, 1], 2, 0)


def test_the_last_region_of_the_list_wins() -> None:
    first, second = region("road", [255, 255, 255, 0]), region("car", [0, 255, 255, 255])
    assert compose([first, second], None) == ([0, 1, 1, 1], 0, 0)
    assert compose([second, first], None) == ([0, 0, 0, 1], 0, 0)


def test_what_a_person_added_wins_over_later_regions_of_the_prediction() -> None:
    """Road painted over part of the car; the car's untouched region follows in the list."""
    road = region("road", [255, 255, 255, 0], human=True)
    car = region("car", [0, 0, 255, 255])
    assert compose([road, car], [0, 0, 1, 1]) == ([0, 0, 0, 1], 0, 0)


def test_pixels_of_a_changed_region_that_are_as_predicted_do_not_win() -> None:
    """The person added a pixel to the road; its other pixels are old, and the new car on one of them wins."""
    road = region("road", [255, 255, 255, 0], human=True)
    car = region("car", [0, 255, 0, 255], human=True)
    assert compose([car, road], [0, 0, 1, 1]) == ([0, 1, 0, 1], 0, 0)


def test_two_classes_painted_on_one_pixel_are_a_conflict() -> None:
    road = region("road", [0, 255, 255, 0], human=True)
    car = region("car", [0, 0, 255, 255], human=True)
    assert compose([road, car, road], [2, 2, 2, 2]) == ([255, 0, 0, 1], 1, 1)
    assert compose([road, car], None) == ([255, 0, 1, 1], 1, 1)


def test_two_regions_of_one_class_are_no_conflict() -> None:
    car = region("car", [255, 255, 0, 0], human=True)
    assert compose([car, car], None) == ([1, 1, 255, 255], 2, 0)


def test_an_erased_pixel_is_uncovered() -> None:
    assert compose([region("road", [255, 0, 255, 255], human=True)], [0, 0, 0, 0]) == ([0, 255, 0, 0], 1, 0)


def test_places_are_told_for_a_checker_to_look_at() -> None:
    road = region("road", [255, 255, 0, 0], human=True)
    car = region("car", [0, 255, 255, 0], human=True)
    mask = compose_mask([road, car], names=NAMES, base=None, height=1, width=4)
    assert mask.conflicts.tolist() == [[False, True, False, False]]
    assert mask.uncovered.tolist() == [[False, False, False, True]]


def test_no_region_leaves_everything_uncovered() -> None:
    assert compose([], [0, 0, 0, 0]) == ([255, 255, 255, 255], 4, 0)


def test_regions_and_bases_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="one of the classes"):
        compose([region("tree", [255] * 4)], None)
    with pytest.raises(ValueError, match="`alpha` must be"):
        compose([region("car", [255] * 3)], None)
    with pytest.raises(ValueError, match="`base` must be"):
        compose([], [0, 0])


def test_the_regions_of_a_map_compose_to_the_map() -> None:
    label_map = np.array([[0, 2, 2, 255], [0, 0, 2, 255]], dtype=np.uint8)
    regions = regions_of(label_map, NAMES)
    assert [name for name, _ in regions] == ["road", "sky"]
    decoded = [BrushRegion(name, decode_brush(rle, height=2, width=4), human=False) for name, rle in regions]
    mask = compose_mask(decoded, names=NAMES, base=label_map, height=2, width=4)
    assert mask.label_map.tolist() == label_map.tolist()
    assert (mask.uncovered_px, mask.conflict_px) == (2, 0)


def test_a_class_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="got 3 on 1 pixels"):
        regions_of(np.array([[3]], dtype=np.uint8), NAMES)
