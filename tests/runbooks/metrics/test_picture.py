"""The picture of a chart: what is drawn, that its texts are harmless and redacted, and that a terminal gets the same in words."""

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest

from bot.boundary.redacting import redacted
from commands.kit.card import Card, words
from runbooks.metrics.chart import Chart, ChartLine, ChartMark, ChartPanel, preceding, sparkline
from runbooks.metrics.picture import png
from runbooks.metrics.svg import WIDTH, svg
from runbooks.redaction.redactor import default_redactor

END = datetime(2026, 11, 29, 14, 30, tzinfo=UTC)
TEXT = "{http://www.w3.org/2000/svg}text"


def chart(name: str = "/api/notes", mark: str = "v2.0.0 by Maya") -> Chart:
    beyond = ChartPanel(
        title="Error rate",
        now="2.4 %",
        verdict="above its limit since 14:02",
        beyond=True,
        limit=0.1,
        limit_shown="< 0.1 %",
        lines=(ChartLine(values=(*(0.02,) * 10, None, *(2.4,) * 5)),),
    )
    several = ChartPanel(
        title="Slowest endpoints",
        now="240 ms",
        verdict="within its limit",
        lines=(ChartLine(name=name, values=(200.0,) * 16), ChartLine(name="/api/sync", values=(None,) * 16)),
    )
    return Chart(
        filename="production-metrics.png",
        caption="Error rate",
        alt=f"Error rate: 2.4 %. {mark}",
        start=END - timedelta(hours=3),
        end=END,
        panels=(beyond, several),
        marks=(
            ChartMark(at=END - timedelta(minutes=28), kind="deploy", text=mark),
            ChartMark(at=END - timedelta(hours=2), kind="rollback", text="v1.2.0 by Ines"),
        ),
    )


def said(document: str) -> list[str]:
    return [each.text or "" for each in ET.fromstring(document).iter(TEXT)]


def test_state_marks_and_limits_are_said_in_words() -> None:
    texts = said(svg(chart()))
    assert "▲ above its limit since 14:02 · limit < 0.1 %" in texts
    assert "1 ◀ 12:30 v1.2.0 by Ines" in texts, "in the order of time"
    assert "2 ▲ 14:02 v2.0.0 by Maya" in texts
    assert {"11:30", "14:30", "UTC", "limit"} & set(texts) >= {"11:30", "14:30", "UTC"}


def test_texts_from_outside_are_escaped_cut_to_their_room_and_harmless() -> None:
    document = svg(chart(name='</text><script>"&' + "\x1b\u202e" + "x" * 500, mark="v2 <b>&amp;</b>\n" + "y" * 500))
    assert "<script" not in document
    assert not {"\x1b", "\u202e"} & set(document)
    assert max(map(len, said(document))) < 70
    assert png(chart(name="Ünïcödé 患者 🙂")).startswith(b"\x89PNG")


def test_the_picture_is_drawn_from_redacted_texts() -> None:
    private = "/patients/jane.roe@example.org"
    card = Card(title=words("x"), summary="x", body=(chart(name=private, mark="ssn 536-90-4399"),))
    (found, *_) = redacted(card, default_redactor()).body
    assert isinstance(found, Chart)
    shown = " ".join([svg(found), found.alt, *found.in_lines()])
    assert "jane.roe" not in shown
    assert "4399" not in shown


def test_it_is_a_png_of_twice_a_phones_width() -> None:
    picture = png(chart())
    assert int.from_bytes(picture[16:20]) == 2 * WIDTH
    empty = Chart(filename="x.png", caption="x", alt="x", start=END, end=END + timedelta(minutes=5), panels=())
    assert png(empty).startswith(b"\x89PNG")


def test_a_terminal_gets_sparklines_and_what_happened() -> None:
    lines = chart().in_lines()
    assert lines[0] == "11:30 to 14:30 UTC"
    assert lines[1] == "Error rate  ▁▁▁▁▁▁▁▁▁▁·█████  2.4 %, above its limit since 14:02"
    assert lines[-1] == "12:30 ◀ v1.2.0 by Ines"


@pytest.mark.parametrize(
    ("values", "bars"),
    [((), ""), ((0.0, 0.0), "▁▁"), ((None, 1.0), "·█"), ((1.0, 2.0, 4.0), "▃▅█"), ((-1.0, 4.0), "▁█")],
)
def test_a_sparkline_begins_at_zero(values: tuple[float | None, ...], bars: str) -> None:
    assert sparkline(values) == bars


def test_what_was_changed_shortly_before_is_found_and_an_alert_is_no_change() -> None:
    marks = (*chart().marks, ChartMark(at=END - timedelta(minutes=27), kind="alert", text="HighErrorRate"))
    step = timedelta(minutes=2)
    deploy, rollback = chart().marks
    assert preceding(marks, END - timedelta(minutes=24), step) == deploy
    assert preceding(marks, deploy.at - step, step) == deploy, "the time is of a point, and may be early by a step"
    assert preceding(marks, rollback.at + timedelta(minutes=14), step) == rollback
    assert preceding(marks, END, step) is None


def test_a_steady_metric_shows_how_near_to_its_limit_it_is() -> None:
    assert sparkline((50.0, 50.0), limit=200) == "▃▃"
    assert sparkline((50.0, 400.0), limit=200) == "▂█"


def test_a_sparkline_has_the_largest_of_each_part() -> None:
    assert sparkline((*(1.0,) * 99, 8.0), width=4) == "▂▂▂█"
