"""`python -m benchmarks [--smoke] [NAME…]`: every module here that measures, and one table of ratios with goal and verdict.

Exit status 1 where a goal is missed. `--smoke` runs each of them small and judges nothing: it fails only where one can't run.
"""

import argparse
import asyncio
import importlib
import pkgutil
import sys
import time
import traceback
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

import benchmarks
from benchmarks.figures import Figure

WIDTH = 132


def modules() -> list[str]:
    """The names of the modules that measure."""
    return sorted(
        found.name
        for found in pkgutil.iter_modules(benchmarks.__path__)
        if not found.name.startswith("__")
        and callable(getattr(importlib.import_module(f"benchmarks.{found.name}"), "measure", None))
    )


async def _measured(name: str, *, smoke: bool) -> list[Figure]:
    measure = importlib.import_module(f"benchmarks.{name}").measure
    return list(await measure(smoke=smoke))


def table(figures: Sequence[tuple[str, Figure]], *, smoke: bool) -> Table:
    """One line for each figure."""
    shown = Table(title="Smoke run: the figures mean nothing" if smoke else "Figures", title_justify="left")
    for column in ("Benchmark", "Figure", "Ours", "Peer", "Ratio", "Goal", "Verdict"):
        shown.add_column(column, justify="right" if column in ("Ours", "Peer", "Ratio") else "left", no_wrap=True)
    for name, figure in figures:
        shown.add_row(
            name,
            figure.name,
            f"{figure.ours:,.4g} {figure.unit}",
            f"{figure.peer:,.4g} {figure.unit} {figure.peer_name}".rstrip() if figure.peer is not None else "",
            f"{figure.ratio:.2f}" if figure.ratio is not None else "",
            figure.goal_text,
            "" if figure.met is None or smoke else "met" if figure.met else "missed",
        )
    return shown


def main() -> int:
    """The exit status."""
    known = modules()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Every figure beside its peer.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; otherwise all")
    parser.add_argument("--smoke", action="store_true", help="run each small, to see that it runs; nothing is judged")
    chosen = parser.parse_args()
    if strange := [name for name in chosen.names if name not in known]:
        parser.error(f"there is no benchmark {', '.join(strange)}; there is {', '.join(known)}")
    figures: list[tuple[str, Figure]] = []
    broken: list[str] = []
    for name in chosen.names or known:
        began = time.monotonic()
        try:
            figures += [(name, figure) for figure in asyncio.run(_measured(name, smoke=chosen.smoke))]
        except Exception:  # noqa: BLE001 - the others are still worth having
            traceback.print_exc()
            broken.append(name)
        print(f"{name}: {time.monotonic() - began:.1f} s", file=sys.stderr)
    Console(width=WIDTH).print(table(figures, smoke=chosen.smoke))
    missed = [figure.name for _, figure in figures if figure.met is False]
    if broken:
        print(f"could not run: {', '.join(broken)}")
    if missed and not chosen.smoke:
        print(f"missed: {'; '.join(missed)}")
    return 1 if broken or (missed and not chosen.smoke) else 0


if __name__ == "__main__":
    raise SystemExit(main())
