"""A chart as PNG: our own SVG through resvg, with the font beside this module, so that it looks the same wherever the bot runs."""

from pathlib import Path

from runbooks.metrics.chart import Chart
from runbooks.metrics.svg import svg

FONT = Path(__file__).parent / "fonts" / "DejaVuSans.ttf"
_ZOOM = 2.0
"""Pixels of the picture for one of the drawing: telephones have two or three."""


def png(chart: Chart) -> bytes:
    """Return the picture. It takes some 50 ms of the processor."""
    return rendered(svg(chart))


def rendered(document: str) -> bytes:
    """Return the picture of an SVG document."""
    import resvg_py

    return resvg_py.svg_to_bytes(
        svg_string=document,
        skip_system_fonts=True,
        font_files=[str(FONT)],
        font_family="DejaVu Sans",
        sans_serif_family="DejaVu Sans",
        zoom=_ZOOM,
    )
