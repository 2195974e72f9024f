"""The report page: complete, self-contained, escaped, and plain about what is missing."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from tasks.pictures import encode_jpeg, encode_png
from tasks.report_page import (
    Card,
    Curve,
    Fact,
    Picture,
    PlainTable,
    ReportData,
    ScoreRow,
    ScoreTable,
    TrialRow,
    render_report,
)

VOID = {"meta", "img", "br", "hr", "link", "input"}
SECTIONS = (
    "happened", "facts", "table1", "matrix", "classes", "finetuning", "failures", "test", "chosen", "cut",
    "people", "links", "config",
)  # fmt: skip
HOSTILE = "<script>alert('x')</script>\"&"


class _Page(HTMLParser):
    """Collects tags, attributes and text, and checks that every tag is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.bold: list[str] = []
        self.stack: list[str] = []
        self._in_best = False
        self.feed(html)
        self.close()
        assert self.stack == [], "unclosed tags"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)
        if tag == "td":
            self._in_best = dict(attrs).get("class") == "best"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.stack and data.strip():
            self.text.append(data.strip())
            if self._in_best and self.stack[-1] == "td":
                self.bold.append(data.strip())

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


def _pixels(value: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((12, 16, 3), value, dtype=np.uint8)


def _table(caption: str = "mIoU") -> ScoreTable:
    return ScoreTable(
        caption=caption,
        column_headers=("T(0)", "T(1)", "T(2)"),
        rows=(
            ScoreRow("unet-r18", "competitor", (0.6123, 0.3, None)),
            ScoreRow("f(0)", "target", (0.7887, 0.1759, math.nan)),
            ScoreRow("f(1)", "target", (0.78871, 0.2436, 0.25)),
        ),
        none_note="the version did not exist yet",
    )


def _sample() -> ReportData:
    card = Card(
        "0123456789abcdef" * 4,
        (
            "MOS 1.67 of 3 ratings",
            "chosen for unet-r18, class car, target side, rank 3, d 0.812",
            "main class car",
        ),
        (Picture("image", encode_jpeg(_pixels(90))), Picture("map before", encode_png(_pixels(30)))),
    )
    return ReportData(
        campaign="camvid", round_number=1, closing=False, created_at="2026-11-21T18:00:00Z", target="fpn",
        competitors=("unet-r18", "deeplab"), summary=("Fine-tuning helped on T(1).",),
        headline=(Fact("mIoU on T(1)", "0.176 → 0.244", "higher is better"),),
        table1=_table(), matrix=_table("matrix"), class_table=replace(_table("classes"), mark_best=False),
        trials=(TrialRow(1e-5, 0.71, 0.42, False), TrialRow(5e-5, 0.73, None, True)),
        loss_curves=(Curve("1e-05", (1.0, 0.5, 0.42)), Curve("5e-05", (1.0, math.nan, 0.3))),
        gallery_failures=(card,), gallery_test=(card,),
        how_chosen=(PlainTable("Reasons", "per side", ("competitor", "n"), (("unet-r18", "12"),)),),
        cut_short=(PlainTable("Rejects", "", ("image", "why"), (), if_empty="Every image was readable."),),
        people_and_cost=(PlainTable("Ratings", "by person", ("person", "n"), (("rater-1", "12"),)),),
        legend=(("car", (64, 0, 128)), ("road", (128, 64, 128))),
        links=(("MLflow run", "http://127.0.0.1:5000/#/experiments/1"),),
        config_yaml="name: camvid\nseed: 0\n",
    )  # fmt: skip


def test_the_sections_come_in_order_and_the_contents_lead_to_each() -> None:
    page = _Page(render_report(_sample()))
    assert tuple(attributes["id"] for attributes in page.attributes("section")) == SECTIONS
    inside = [
        attributes["href"] for attributes in page.attributes("a") if str(attributes["href"]).startswith("#")
    ]
    assert inside == [f"#{name}" for name in SECTIONS]


def test_nothing_is_fetched_and_nothing_runs() -> None:
    html = render_report(_sample())
    page = _Page(html)
    names = {name for name, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "form", "base"}
    sources = [str(attributes["src"]) for attributes in page.attributes("img")]
    assert len(sources) == 4
    assert all(source.startswith(("data:image/png;base64,", "data:image/jpeg;base64,")) for source in sources)
    assert not re.search(r"url\(|@import", html)
    assert re.findall(r"https?://[^\s\"'<]+", html) == ["http://127.0.0.1:5000/#/experiments/1"]
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_the_same_data_give_the_same_bytes() -> None:
    assert render_report(_sample()) == render_report(_sample())


def test_hostile_text_is_shown_as_text_everywhere() -> None:
    table = ScoreTable(HOSTILE, (HOSTILE,), (ScoreRow(HOSTILE, "class", (0.5,)),), none_note=HOSTILE)
    plain = (PlainTable(HOSTILE, HOSTILE, (HOSTILE,), ((HOSTILE,),)),)
    card = Card(HOSTILE, (HOSTILE,), (Picture(HOSTILE, encode_png(_pixels(1))),))
    data = ReportData(
        campaign=HOSTILE, round_number=1, closing=True, created_at=HOSTILE, target=HOSTILE,
        competitors=(HOSTILE,),
        summary=(HOSTILE,), headline=(Fact(HOSTILE, HOSTILE, HOSTILE),), table1=table, matrix=table,
        class_table=table, trials=(), loss_curves=(Curve(HOSTILE, (1.0,)),), gallery_failures=(card,),
        gallery_test=(card,), how_chosen=plain, cut_short=plain, people_and_cost=plain,
        legend=((HOSTILE, (1, 2, 3)),), links=((HOSTILE, "http://localhost/?\"><script>"),),
        config_yaml=HOSTILE,
    )  # fmt: skip
    html = render_report(data)
    page = _Page(html)
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(&#39;x&#39;)") > 25
    assert HOSTILE in page.words


def test_scores_have_three_decimals_and_missing_ones_a_dash_that_is_explained() -> None:
    empty = replace(_table(), rows=())
    page = _Page(render_report(replace(_sample(), matrix=empty, class_table=empty)))
    assert {"0.612", "0.176", "0.789"} <= set(page.text)
    assert page.text.count("–") == 2 + 1, "None, NaN and the unknown loss"
    assert "A dash (–): the version did not exist yet." in page.words


def test_the_best_of_a_column_is_bold_and_equal_looking_scores_together() -> None:
    empty = replace(_table(), rows=())
    page = _Page(render_report(replace(_sample(), matrix=empty, class_table=empty)))
    assert page.bold == ["0.300", "0.789", "0.789"], "T(2) has one value only"
    lower = replace(_table(), higher_is_better=False)
    page = _Page(render_report(replace(_sample(), table1=lower, matrix=empty, class_table=empty)))
    assert page.bold == ["0.612", "0.176"]


def test_what_is_empty_says_what_that_means() -> None:
    empty = ScoreTable("", (), ())
    data = ReportData(
        campaign="c", round_number=2, closing=False, created_at="", target="f", competitors=(), summary=(),
        headline=(), table1=empty, matrix=empty, class_table=empty,
    )  # fmt: skip
    page = _Page(render_report(data))
    assert page.attributes("img") == []
    assert page.attributes("table") == []
    for sentence in (
        "There are no scores yet", "Nothing was fine-tuned in this round", "There are no failures to show",
        "There is no test image to show", "Nothing was cut short", "Nobody has answered anything",
    ):  # fmt: skip
        assert sentence in page.words
    closing = _Page(render_report(replace(data, closing=True)))
    assert "the closing round only adds a test set" in closing.words
    assert "Every image was readable." in _Page(render_report(_sample())).words


def test_the_loss_chart_draws_a_gap_where_a_loss_is_undefined() -> None:
    page = _Page(render_report(_sample()))
    assert len(page.attributes("polyline")) == 3
    assert len(page.attributes("circle")) == 2


def test_links_that_could_run_code_are_refused() -> None:
    with pytest.raises(ValueError, match="links"):
        replace(_sample(), links=(("x", " JavaScript:alert(1)"),))


def test_tables_of_uneven_width_and_unknown_picture_files_are_refused() -> None:
    with pytest.raises(ValueError, match="row 0 has 1 cells"):
        PlainTable("t", "", ("a", "b"), (("1",),))
    card = Card("id", (), (Picture("image", b"GIF89a"),))
    with pytest.raises(ValueError, match="PNG or JPEG"):
        render_report(replace(_sample(), gallery_test=(card,)))
