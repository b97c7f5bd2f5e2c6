"""A chart as SVG, to be read on a phone: 390 pixels wide, one panel under the other, one time axis, what happened as numbered marks.

Its ground is a dark grey of its own, so it reads the same on a light and a dark page. What is beyond its limit is said in words and drawn
thicker, never by colour alone. Every text is escaped and cut to the room that it has.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from xml.sax.saxutils import escape

from runbooks.metrics.chart import Chart, ChartLine, ChartPanel, clock
from runbooks.wording import measured, shortened

WIDTH = 390
_PANEL, _PLOT, _TOP = 112, 54, 44
_LEFT, _RIGHT = 12, 56
_AXIS, _LEGEND_LINE, _PAD = 34, 18, 12
_LETTER = 0.56
"""Width of a letter of the font, in its size, on the average."""
_TICKS = 4

_GROUND, _FRAME, _GRID = "#1c2128", "#39414d", "#2f3742"
_TEXT, _QUIET = "#f0f3f6", "#b6bfca"
_LINES = ("#79b8ff", "#e3b341", "#8ddb8c", "#d2a8ff", "#ffab70", "#9ecbff")
_LIMIT, _BEYOND, _MARK = "#ffa198", "#ffb77c", "#d2a8ff"
_DASHES = ("", "6 3", "2 3", "8 3 2 3", "4 4", "1 3")


def svg(chart: Chart) -> str:
    """Return the document."""
    plots, high = _PANEL * len(chart.panels), height(chart)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{high}" viewBox="0 0 {WIDTH} {high}">',
        f'<rect width="{WIDTH}" height="{high}" rx="8" fill="{_GROUND}"/>',
    ]
    for place, panel in enumerate(chart.panels):
        parts += _panel(panel, place * _PANEL)
    parts += _axis(chart, plots)
    parts += _marks(chart, plots)
    parts.append("</svg>")
    return "".join(parts)


def height(chart: Chart) -> int:
    """Return how high its drawing is."""
    return _PANEL * len(chart.panels) + _AXIS + _LEGEND_LINE * len(chart.marks) + _PAD


def _panel(panel: ChartPanel, top: int) -> Iterator[str]:
    room = WIDTH - _LEFT - 12
    value = _text(panel.now, room // 2, 15)
    yield _said(WIDTH - 12, top + 20, value, 15, _BEYOND if panel.beyond else _TEXT, anchor="end")
    yield _said(_LEFT, top + 20, _text(panel.title, room - _wide(value, 15) - 8, 14), 14, _TEXT)
    sign = "▲ " if panel.beyond and panel.good_below else "▼ " if panel.beyond else ""
    limit = f" · limit {panel.limit_shown}" if panel.limit_shown else ""
    said = _text(f"{sign}{panel.verdict}{limit}", room, 11.5)
    yield _said(_LEFT, top + 37, said, 11.5, _BEYOND if panel.beyond else _QUIET)
    yield from _plot(panel, top + _TOP)


def _plot(panel: ChartPanel, top: int) -> Iterator[str]:
    most, least = _scale(panel)
    right, bottom = WIDTH - _RIGHT, top + _PLOT
    for y in (top, bottom):
        yield f'<line x1="{_LEFT}" x2="{right}" y1="{y}" y2="{y}" stroke="{_GRID}"/>'
    yield _said(right + 6, top + 8, measured(most), 11, _QUIET)
    yield _said(right + 6, bottom, measured(least), 11, _QUIET)
    for place, line in enumerate(panel.lines):
        colour, dash = _LINES[place % len(_LINES)], _DASHES[place % len(_DASHES)]
        yield from _line(line, top, most, least, f'stroke="{colour}" stroke-dasharray="{dash}"', thick=panel.beyond)
    if panel.limit is not None and least <= panel.limit <= most:
        at = _y(panel.limit, top, most, least)
        yield f'<line x1="{_LEFT}" x2="{right}" y1="{at:.1f}" y2="{at:.1f}" stroke="{_LIMIT}" stroke-dasharray="5 4"/>'
        if top + 18 < at < bottom - 8:  # where the scale's own numbers leave room
            yield _said(right + 6, at + 4, "limit", 11, _LIMIT)
    if len(panel.lines) > 1:
        yield from _names(panel.lines, bottom + 12)
    if not any(value is not None for line in panel.lines for value in line.values):
        yield _said((_LEFT + right) / 2, (top + bottom) / 2 + 4, "no data", 12, _QUIET, anchor="middle")


def _names(lines: Sequence[ChartLine], y: int) -> Iterator[str]:
    """What each line is, with a piece of it."""
    room = (WIDTH - 2 * _LEFT) // len(lines)
    for place, line in enumerate(lines):
        x, colour, dash = _LEFT + place * room, _LINES[place % len(_LINES)], _DASHES[place % len(_DASHES)]
        yield (
            f'<line x1="{x}" x2="{x + 16}" y1="{y - 4}" y2="{y - 4}" stroke="{colour}" stroke-width="2"'
            f' stroke-dasharray="{dash}"/>'
        )
        yield _said(x + 20, y, _text(line.name or "without a name", room - 26, 10.5), 10.5, _QUIET)


def _line(line: ChartLine, top: int, most: float, least: float, style: str, *, thick: bool) -> Iterator[str]:
    """One path for each stretch without a gap; a point alone is a short stroke."""
    across = WIDTH - _RIGHT - _LEFT
    last = max(1, len(line.values) - 1)
    stretch: list[str] = []
    for place, value in enumerate((*line.values, None)):
        if value is not None:
            stretch.append(f"{_LEFT + across * place / last:.1f},{_y(value, top, most, least):.1f}")
        elif stretch:
            path = f"M{' L'.join(stretch)}" if len(stretch) > 1 else f"M{stretch[0]} h2"
            yield f'<path d="{path}" fill="none" stroke-width="{2.4 if thick else 1.6}" {style}/>'
            stretch = []


def _scale(panel: ChartPanel) -> tuple[float, float]:
    """Return the largest and the smallest value of the axis: from zero, with the limit where it does not flatten the line."""
    values = [value for line in panel.lines for value in line.values if value is not None]
    most, least = max(values, default=1.0), min(0.0, *values, 0.0)
    if panel.limit is not None and panel.limit <= max(most * 3, 1e-9):
        most = max(most, panel.limit)
    return (most * 1.08 if most > 0 else 1.0), least


def _y(value: float, top: int, most: float, least: float) -> float:
    return top + _PLOT * (1 - (value - least) / (most - least))


def _axis(chart: Chart, top: int) -> Iterator[str]:
    """The times, and whose clock it is."""
    span = chart.end - chart.start
    days = span >= timedelta(days=2)
    for place in range(_TICKS):
        x = _LEFT + (WIDTH - _RIGHT - _LEFT) * place / (_TICKS - 1)
        at = chart.start + span * place / (_TICKS - 1)
        anchor = "start" if place == 0 else "end" if place == _TICKS - 1 else "middle"
        yield _said(x, top + 14, f"{at:%d %b}" if days else f"{at:%H:%M}", 11, _QUIET, anchor=anchor)
    yield _said(WIDTH - 12, top + 14, _text(chart.end.tzname() or "", _RIGHT - 14, 11), 11, _QUIET, anchor="end")


def _marks(chart: Chart, plots: int) -> Iterator[str]:
    """A line in each panel, its number at the axis, and under it what each number is."""
    free = -1.0
    for place, mark in enumerate(sorted(chart.marks, key=lambda mark: mark.at)):
        x = _x(mark.at, chart)
        lines = "".join(f"M{x:.1f},{top + _TOP} v{_PLOT + 6}" for top in range(0, plots, _PANEL))
        yield f'<path d="{lines}" stroke="{_MARK}" stroke-width="1.2" stroke-dasharray="3 3"/>'
        label = max(x, free)  # two of one time stand beside each other
        free = label + 12
        yield _said(label, plots + 28, str(place + 1), 11, _MARK, anchor="middle")
        said = f"{place + 1} {mark.sign} {clock(mark.at.astimezone(chart.end.tzinfo), chart.end - chart.start)} {mark.text}"
        y = plots + _AXIS + _LEGEND_LINE * (place + 1) - 4
        yield _said(_LEFT, y, _text(said, WIDTH - 2 * _LEFT, 12), 12, _TEXT)
    if chart.marks:
        yield f'<line x1="{_LEFT}" x2="{WIDTH - 12}" y1="{plots + _AXIS}" y2="{plots + _AXIS}" stroke="{_FRAME}"/>'


def _x(at: datetime, chart: Chart) -> float:
    share = (at - chart.start) / (chart.end - chart.start)
    return _LEFT + (WIDTH - _RIGHT - _LEFT) * min(1.0, max(0.0, share))


def _said(x: float, y: float, text: str, size: float, colour: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-family="DejaVu Sans" font-size="{size:g}" fill="{colour}"'
        f' text-anchor="{anchor}">{escape(text)}</text>'
    )


def _text(text: str, room: float, size: float) -> str:
    """Return a text from outside on one line, without what no reader sees, cut to its room."""
    shown = "".join(sign if sign.isprintable() else " " for sign in unicodedata.normalize("NFC", text))
    return shortened(" ".join(shown.split()), max(1, int(room / (size * _LETTER))))


def _wide(text: str, size: float) -> float:
    return len(text) * size * _LETTER
