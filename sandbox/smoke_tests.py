"""The smoke tests and the benchmark in every image of the invented medical record, each printing one JSON document."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sandbox.cluster.programs import Execution, Scripts

FLOWS = ("User authentication", "Patient data retrieval", "Clinical note creation", "Offline sync functionality")

MEASURED = {"API p95": (143.0, "ms"), "database p95": (41.0, "ms"), "page load": (1.9, "s"), "requests": (412.0, "/s")}


@dataclass
class SmokeTests:
    """`failing`: flows that fail; `prints`: what they print instead; `measured`: what the benchmark finds, with its unit; `trouble`: why the
    release does not run on its database's schema.
    """

    failing: set[str] = field(default_factory=set)
    prints: bytes | None = None
    measured: dict[str, tuple[float, str]] = field(default_factory=lambda: dict(MEASURED))
    trouble: Callable[[Execution], Awaitable[str]] | None = None

    def scripts(self) -> Scripts:
        return {"test:smoke": self._run, "benchmark:production": self._benchmark}

    async def _run(self, execution: Execution) -> int:
        failing = set(self.failing)
        if self.trouble is not None and await self.trouble(execution):
            failing.add(FLOWS[1])
        flows = [{"name": each, "status": "failed" if each in failing else "passed"} for each in FLOWS]
        await execution.out(self.prints if self.prints is not None else json.dumps({"flows": flows}).encode() + b"\n")
        return 1 if failing else 0

    async def _benchmark(self, execution: Execution) -> int:
        await execution.out(b"warming up\nmeasuring for 2 s\n")
        values = [{"name": name, "value": value, "unit": unit} for name, (value, unit) in self.measured.items()]
        await execution.out(json.dumps({"metrics": values}).encode() + b"\n")
        return 0
