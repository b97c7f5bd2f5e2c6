"""`python -m benchmarks [--smoke] [NAME…]`: every module here that measures, and one table of ratios with goal and verdict.

Each runs in a process of its own, so that none finds the other's memory. Exit status 1 where a goal is missed. `--smoke` runs each
of them small and judges nothing: it fails only where one can't run.
"""

import argparse
import asyncio
import dataclasses
import importlib
import json
import pkgutil
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

import benchmarks
from benchmarks.figures import Figure, shown

WIDTH = 140


def modules() -> list[str]:
    """The names of the modules that measure."""
    return sorted(
        found.name
        for found in pkgutil.iter_modules(benchmarks.__path__)
        if not found.name.startswith("__")
        and callable(getattr(importlib.import_module(f"benchmarks.{found.name}"), "measure", None))
    )


async def _measured(name: str, *, smoke: bool) -> list[Figure]:
    """The figures of one module; RuntimeError where it could not run (what it said is on standard error)."""
    words = [sys.executable, "-m", "benchmarks", "--figures", name, *(["--smoke"] if smoke else [])]
    process = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{name} ended with status {process.returncode}")
    return [Figure(**each) for each in json.loads(said.splitlines()[-1])]


def _figures(name: str, *, smoke: bool) -> int:
    """Runs one module here; its figures as JSON, on the last line."""
    found = asyncio.run(importlib.import_module(f"benchmarks.{name}").measure(smoke=smoke))
    print(json.dumps([dataclasses.asdict(figure) for figure in found]))
    return 0


def table(figures: Sequence[Figure], *, smoke: bool) -> Table:
    """One line for each figure."""
    lines = Table(title="Smoke run: the figures mean nothing" if smoke else "Figures", title_justify="left")
    for column in ("Figure", "Ours", "Peer", "Ratio", "Goal", "Verdict"):
        lines.add_column(column, justify="right" if column in ("Ours", "Ratio") else "left", no_wrap=column != "Figure")
    for figure in figures:
        lines.add_row(
            figure.name,
            f"{shown(figure.ours)} {figure.unit}",
            f"{shown(figure.peer)} {figure.unit}, {figure.peer_name}" if figure.peer is not None else "",
            f"{figure.ratio:.2f}" if figure.ratio is not None else "",
            figure.goal_text,
            "" if figure.met is None or smoke else "met" if figure.met else "missed",
        )
    return lines


def main() -> int:
    """The exit status."""
    known = modules()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Every figure beside its peer.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; otherwise all")
    parser.add_argument("--smoke", action="store_true", help="run each small, to see that it runs; nothing is judged")
    parser.add_argument("--figures", action="store_true", help="run one here, and write its figures as JSON")
    chosen = parser.parse_args()
    if strange := [name for name in chosen.names if name not in known]:
        parser.error(f"there is no benchmark {', '.join(strange)}; there is {', '.join(known)}")
    if chosen.figures:
        return _figures(chosen.names[0], smoke=chosen.smoke)
    figures: list[Figure] = []
    broken: list[str] = []
    for name in chosen.names or known:
        began = time.monotonic()
        try:
            figures += asyncio.run(_measured(name, smoke=chosen.smoke))
        except RuntimeError:
            broken.append(name)
        print(f"{name}: {time.monotonic() - began:.1f} s", file=sys.stderr)
    Console(width=WIDTH).print(table(figures, smoke=chosen.smoke))
    missed = [figure.name for figure in figures if figure.met is False]
    if broken:
        print(f"could not run: {', '.join(broken)}")
    if missed and not chosen.smoke:
        print(f"missed: {'; '.join(missed)}")
    return 1 if broken or (missed and not chosen.smoke) else 0


if __name__ == "__main__":
    raise SystemExit(main())
