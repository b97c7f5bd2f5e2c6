"""The logs of 20 pods with a pattern, beside the pipe that a person types: `kubectl logs -l app=backend --tail=-1 | grep -c ERROR`.

Ours is what `logs backend --grep ERROR` does: all streams side by side, matched as bytes, every matching line grouped by its message
and held against redaction, the newest shown. Both read the same pods of a real control plane and take turns.

    REAL_CLUSTER_LOG_LINES=50000 up.sh …      (the stand-in node makes so many lines for each pod)
    REAL_CLUSTER_KUBECONFIG=… python -m benchmarks logs [--smoke]
"""

import asyncio
import gc
import os
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

from benchmarks.figures import Figure
from runbooks import logs
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.connection import Timing
from runbooks.redaction.rules import patterns
from tests.support.real import VARIABLE, Place, place, real_kubeconfig

LINES = int(os.environ.get("REAL_CLUSTER_LOG_LINES", "5000"))
"""Of each pod, as the control plane was told at its start."""
KUBECTL = str(Path(sys.executable).parent / "kubectl")
PODS = 20
QUARTER = 4
ROUNDS = 5
PATTERN = "ERROR"
REGEX = r"ERROR.*conflict|code=10\d\d"
_MB = 1024.0
PATIENT = logs.LogLimits(stream=120.0, silence=60.0, all=120.0)
"""A benchmark waits for the end; the bot would rather say what is missing."""


async def measure(*, smoke: bool = False) -> list[Figure]:
    """Wall times beside kubectl's, and memory; nothing where no real control plane is named."""
    kubeconfig = real_kubeconfig()
    if kubeconfig is None:
        print(f"logs: {VARIABLE} names no real control plane, so there is nothing to measure against", file=sys.stderr)
        return []
    patterns()  # compiled once in the life of a bot
    async with place(kubeconfig, timing=Timing()) as here:
        await here.deploy("backend", replicas=PODS, pinned=False)
        await here.until("backend", lambda d: d.available == PODS)
        await _kubectl(here, PATTERN)  # the stand-in node makes the lines when they are first asked for
        asked = logs.Asked(target="backend", grep=PATTERN, tail=logs.MOST)
        shorter = _Shorter(here.cluster, LINES // QUARTER)
        await _read(_Shorter(here.cluster, 1), here, asked)  # what is made once in the life of a bot
        idle = _status("VmRSS")
        few, few_lines, _ = await _memory(lambda: _read(shorter, here, asked), idle)
        many, many_lines, found = await _memory(lambda: _read(here.cluster, here, asked), idle)
        rounds = [await _round(here, number) for number in range(1 if smoke else ROUNDS)]
    kubectl, count, shown, regex, kubectl_regex = (statistics.median(times) for times in zip(*rounds, strict=True))
    of = f"{PODS} pods, {many_lines:,} lines, {found:,} match"
    peer = "kubectl logs | grep -c"
    return [
        Figure(name=f"logs: the count, {of}", ours=count, unit="s", peer=kubectl, peer_name=peer, goal=0.25),
        Figure(name="logs: grouped, redacted, the newest 100 shown", ours=shown, unit="s", peer=kubectl, peer_name=peer, goal=0.5),
        Figure(name=f"logs: the same with {REGEX}", ours=regex, unit="s", peer=kubectl_regex, peer_name=f"{peer} -E", goal=0.5),
        Figure(name="logs: memory above idle", ours=many, unit="MB", goal=40),
        Figure(name=f"logs: memory for {many_lines / few_lines:.3g} × the lines", ours=many, unit="MB", peer=max(few, 1.0), peer_name=f"{few_lines:,} lines", goal=1.2),  # noqa: RUF001
    ]  # fmt: skip


async def _round(here: Place, number: int) -> tuple[float, float, float, float, float]:
    """Seconds of each; who goes first changes from round to round."""

    async def ours(grep: str, tail: int) -> float:
        return await _timed(_ours(here, grep, tail))

    if number % 2:
        count, shown = await ours(PATTERN, 0), await ours(PATTERN, 100)
        kubectl = await _timed(_kubectl(here, PATTERN))
        regex = await ours(REGEX, 100)
        return kubectl, count, shown, regex, await _timed(_kubectl(here, REGEX))
    kubectl = await _timed(_kubectl(here, PATTERN))
    count, shown = await ours(PATTERN, 0), await ours(PATTERN, 100)
    kubectl_regex = await _timed(_kubectl(here, REGEX))
    return kubectl, count, shown, await ours(REGEX, 100), kubectl_regex


async def _timed(work: Awaitable[object]) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


class _Shorter:
    """A cluster whose pods have said no more than so many lines."""

    def __init__(self, cluster: ClusterClient, lines: int) -> None:
        self._cluster = cluster
        self._lines = lines

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    def logs(self, *which: str, **how: Any) -> AsyncGenerator[bytes]:
        return self._cluster.logs(*which, **how | {"tail": self._lines})


async def _ours(here: Place, grep: str, tail: int) -> logs.LogReading:
    return await _read(here.cluster, here, logs.Asked(target="backend", grep=grep, tail=tail))


async def _read(cluster: ClusterClient | _Shorter, here: Place, asked: logs.Asked) -> logs.LogReading:
    found = await logs.read(cast("ClusterClient", cluster), here.environment, asked, limits=PATIENT)
    assert not found.silent, found.silent
    return found


async def _memory(reading: Callable[[], Awaitable[logs.LogReading]], idle: float) -> tuple[float, int, int]:
    """MB above idle, at its highest; lines read, lines that match."""
    gc.collect()
    _begin_anew()
    found = await reading()
    return max(0.0, _status("VmHWM") - idle), found.counts.read, found.counts.matching


def _begin_anew() -> None:
    """The highest mark of memory is what is used now."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / _MB


async def _kubectl(here: Place, pattern: str) -> int:
    """`kubectl logs … | grep -c PATTERN`, a pipe as a shell makes it."""
    read, write = os.pipe()
    try:
        said = await asyncio.create_subprocess_exec(
            KUBECTL, "--kubeconfig", here.kubeconfig, "-n", here.namespace,
            "logs", "-l", "app=backend", "--tail=-1", f"--max-log-requests={PODS}", stdout=write,
        )  # fmt: skip
        grep = await asyncio.create_subprocess_exec(
            "grep", "-cE", pattern.replace(r"\d", "[0-9]"), stdin=read, stdout=asyncio.subprocess.PIPE
        )
    finally:
        os.close(read)
        os.close(write)
    counted, _ = await grep.communicate()
    if await said.wait():
        raise RuntimeError("kubectl logs failed")
    return int(counted)
