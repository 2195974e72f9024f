"""The gallery of a report: what people and models saw of every failure and every test image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from configs.model_specs import ModelSpec
from configs.schema import Campaign
from models.inference import predict
from models.zoo import AnyModel, load_model
from tasks.artifacts import ArtifactRef
from tasks.core.label_maps import colourise
from tasks.core.records import CANDIDATES, MAPS, RATINGS
from tasks.label_map_files import MAPS_FILE, read_label_map
from tasks.labelled_sets import LabelledImage, LabelledSet
from tasks.pictures import encode_jpeg, encode_png, thumbnail
from tasks.report_page import Card, Picture
from tasks.rounds import Round

_LONG_SIDE = 220  # px of a thumbnail: five fit beside each other on a laptop

Row = dict[str, Any]


@dataclass(frozen=True)
class GalleryData:
    """What the cards are made of.

    Attributes:
        candidates: the round's candidates.
        maps: maps at original size.
        ratings: the round's ratings.
        after: the new version, None if the round made none.
    """

    candidates: ArtifactRef
    maps: ArtifactRef
    ratings: ArtifactRef
    after: ModelSpec | None


def gallery(round_: Round, labelled: LabelledSet, data: GalleryData) -> tuple[Card, ...]:
    """A card for every image of a set, worst rated first."""
    store, campaign = round_.open_store(), round_.campaign
    reasons: dict[str, list[Row]] = {}
    for row in store.rows(data.candidates, CANDIDATES):
        reasons.setdefault(row["image_id"], []).append(row)
    ratings = {row["image_id"]: row for row in store.rows(data.ratings, RATINGS)}
    maps: dict[str, list[Row]] = {}
    for row in store.rows(data.maps, MAPS):
        maps.setdefault(row["image_id"], []).append(row)
    model = (
        None
        if data.after is None
        else load_model(
            data.after, campaign.classes.names, campaign.predictions.device, campaign.predictions.threads
        )
    )
    file = store.path(data.maps, MAPS_FILE)
    images = sorted(
        labelled.images, key=lambda i: (ratings[i.image_id]["mean_opinion_score"] or 0, i.image_id)
    )
    return tuple(
        Card(
            image.image_id,
            card_lines(ratings[image.image_id], reasons[image.image_id]),
            _pictures(
                campaign, image, [(row, read_label_map(file, row)) for row in maps[image.image_id]], model
            ),
        )
        for image in images
    )


def card_lines(rating: Row, reasons: list[Row]) -> tuple[str, ...]:
    """Rating and the reasons for which an image became a candidate, strongest first."""
    scores = ", ".join(str(score) for score in rating["scores"])
    strongest = sorted(
        reasons, key=lambda r: (-r["discrepancy"], r["competitor"], r["class_name"], r["side"])
    )
    lines = [f"mean opinion score {rating['mean_opinion_score']:.2f} ({scores})"]
    lines += [
        f"{r['competitor']}, {r['class_name']}, {r['side']} side, rank {r['rank']}, "
        f"d = {r['discrepancy']:.3f}"
        for r in strongest[:3]
    ]
    return tuple(lines + ([f"and {len(strongest) - 3} more reason(s)"] if len(strongest) > 3 else []))


def _pictures(
    campaign: Campaign, image: LabelledImage, maps: list[tuple[Row, Any]], after: AnyModel | None
) -> tuple[Picture, ...]:
    def shown(label: str, label_map: Any) -> Picture:
        return Picture(
            label, encode_png(thumbnail(colourise(label_map, campaign.classes.colours), _LONG_SIDE, "map"))
        )

    photo, truth = image.read_image(), image.read_mask(campaign.classes)
    pictures = [Picture("image", encode_jpeg(thumbnail(photo, _LONG_SIDE, "photo")))]
    pictures += [shown(f"before: {row['model']}", m) for row, m in maps if row["role"] == "target"]
    if after is not None:
        new = predict(after, image.as_input(), height=truth.shape[0], width=truth.shape[1])
        pictures.append(shown(f"after: {after.spec.name}", new.label_map))
    pictures += [shown(f"chosen by: {row['model']}", m) for row, m in maps if row["role"] == "competitor"]
    return (*pictures, shown("truth drawn", truth))
