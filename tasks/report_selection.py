"""How M came about, as tables of the report."""

from __future__ import annotations

from collections import Counter

from tasks.report_findings import RoundRows
from tasks.report_page import PlainTable


def selection_tables(rows: RoundRows) -> tuple[PlainTable, ...]:
    """How M came about: reasons by competitor and side, windows, quotas that could not be filled."""
    counts = Counter((row["competitor"], row["side"]) for row in rows.candidates)
    failures = {row["image_id"] for row in rows.failures}
    hits = Counter((row["competitor"], row["side"]) for row in rows.candidates if row["image_id"] in failures)
    reasons = tuple((c, side, str(n), str(hits[(c, side)])) for (c, side), n in sorted(counts.items()))
    windows = tuple(
        (
            w["class_name"],
            *(("none", "none") if w["low"] is None else (f"{w['low']:.4f}", f"{w['high']:.4f}")),
            "given" if w["n_masks"] is None else str(w["n_masks"]),
        )
        for w in rows.windows
    )
    short = tuple(
        (s["competitor"], s["side"], s["class_name"], str(s["wanted"]), str(s["got"]))
        for s in rows.shortfalls
    )
    specks = sum(bool(row["rests_on_specks"]) for row in rows.order)
    checks = tuple(
        (f"{s['competitor']}: images without a defined discrepancy", f"{s['n_undefined']} of {s['n_images']}")
        for s in rows.selection
    )
    return (
        PlainTable(
            "Checks of the selection",
            "An undefined discrepancy (no pixel that both models give a class) is never chosen. Specks are "
            "classes below 0.1 % of the image.",
            ("what", "how many"),
            (
                ("candidates that would not be chosen without specks", f"{specks} of {len(rows.order)}"),
                *checks,
            ),
        ),
        _engine_table(rows),
        PlainTable(
            "Reasons",
            "How often each competitor put an image into M, from which side, and how many of these "
            "reasons belong to images of S.",
            ("competitor", "side", "reasons", "of images in S"),
            reasons,
        ),
        PlainTable(
            "Area windows",
            "Share of the image that the class must cover to be searched; first and third "
            "quartile of the training masks. Fewer than 8 masks: no window.",
            ("class", "from", "to", "training masks"),
            windows,
        ),
        PlainTable(
            "Quotas not filled",
            "Subgroups with fewer images than their quota.",
            ("competitor", "side", "class", "wanted", "found"),
            short,
            "Every quota was filled.",
        ),
    )


def _engine_table(rows: RoundRows) -> PlainTable:
    """What ran each model over the pool, and why not ONNX Runtime where it did not."""
    return PlainTable(
        "Engines",
        "What ran each model over the pool. ONNX Runtime may, if it gives the classes of torch on 99.9 % of "
        "the pixels of some pool images, and the same M of these; else the model runs in its own engine.",
        ("model", "engine", "pixels that agree", "images compared", "why not ONNX Runtime"),
        tuple(
            (
                row["model"],
                {"own": "its own", "onnxruntime": "ONNX Runtime"}[row["engine"]],
                "" if row["agreement"] is None else f"{row['agreement']:.4%}",
                str(row["n_images"]),
                row["reason"],
            )
            for row in rows.engines
        ),
    )
