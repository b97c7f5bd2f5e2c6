"""A picture of metrics, from the card's chart to the PNG, beside a picture of the same size in which nothing is drawn.

python -m benchmarks metrics [--smoke]
"""

import math
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from benchmarks.figures import Figure
from runbooks.metrics.chart import Chart, ChartLine, ChartMark, ChartPanel
from runbooks.metrics.picture import png, rendered
from runbooks.metrics.svg import WIDTH, height, svg

POINTS = 91
ROUNDS = 25
_MILLISECONDS = 150


async def measure(*, smoke: bool = False) -> list[Figure]:
    """The picture that `metrics` shares: three panels, six lines, what happened as marks."""
    chart = _chart()
    empty = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height(chart)}"/>'
    png(chart)  # the library is imported once for the life of the bot
    rounds = [(_took(lambda: png(chart)), _took(lambda: rendered(empty))) for _ in range(2 if smoke else ROUNDS)]
    ours, peer = (statistics.median(times) for times in zip(*rounds, strict=True))
    drawn = statistics.median(_took(lambda: svg(chart)) for _ in range(5))
    return [
        Figure(name="metrics: a chart as PNG", ours=ours, unit="ms", goal=_MILLISECONDS),
        Figure(name="metrics: the same, beside an empty one", ours=ours, unit="ms", peer=peer, peer_name="resvg alone"),
        Figure(name="metrics: its SVG alone", ours=drawn, unit="ms"),
    ]


def _took(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def _chart() -> Chart:
    end = datetime(2026, 11, 29, 14, 30, tzinfo=UTC)

    def line(level: float, name: str = "") -> ChartLine:
        values = (level * (1 + 0.1 * math.sin(place / 3) + 0.04 * math.cos(place * 7)) for place in range(POINTS))
        return ChartLine(name=name, values=tuple(values))

    panels = (
        ChartPanel(
            title="Error rate", now="2.4 %", verdict="above its limit since 14:02", beyond=True, limit=0.1,
            limit_shown="< 0.1 %", lines=(line(2.4),),
        ),
        ChartPanel(
            title="API p95", now="112 ms", verdict="within its limit", limit=200, limit_shown="< 200 ms", lines=(line(112),)
        ),
        ChartPanel(
            title="Slowest endpoints p95", now="240 ms", verdict="within its limit", limit=500, limit_shown="< 500 ms",
            lines=tuple(line(240 / (place + 1), f"/api/route-{place}") for place in range(4)),
        ),
    )  # fmt: skip
    marks = tuple(
        ChartMark(at=end - timedelta(minutes=20 * place), kind=kind, text=text)
        for place, (kind, text) in enumerate(
            (("deploy", "v2.0.0 by Maya"), ("alert", "HighErrorRate"), ("rollback", "v1.2.0 by Ines")), start=1
        )
    )
    return Chart(
        filename="x.png", caption="x", alt="x", start=end - timedelta(hours=3), end=end, panels=panels, marks=marks
    )
