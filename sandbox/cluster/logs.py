"""What the containers say: the lively log of an invented medical record, with secrets and patients' data in it.

All people, numbers and tokens are invented. A pod's log is a function of its name and its start, so it is the same
whenever it is read, and it grows while the pod runs; nothing is stored. Redaction is shown and tested on it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sandbox.cluster.clock import parse
from sandbox.cluster.images import behaviour
from sandbox.cluster.log_moods import manner_of, since_of
from sandbox.cluster.resources import Json

_FIRST = ("Maria", "Ahmed", "Chen", "Olu", "Priya", "Lars")
_LAST = ("Lopez", "Haddad", "Wei", "Adeyemi", "Nair", "Berg")
_PATHS = ("/dashboard", "/patients", "/schedule", "/static/app.js", "/orders", "/login")
LOGIN = "omnicare_prod_user:hunter2"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"  # noqa: S105
LOG_SECRETS = (LOGIN, TOKEN)
"""What is in every backend's log, and must be seen nowhere but there."""


@dataclass(frozen=True)
class Line:
    at: datetime
    text: str

    def stamped(self) -> str:
        return f"{self.at.strftime('%Y-%m-%dT%H:%M:%S.%f')}000Z {self.text}"


def _backend(rng: random.Random) -> str:
    person = f"{rng.choice(_FIRST)} {rng.choice(_LAST)}"
    mrn = rng.randint(10**6, 10**7 - 1)
    ssn = f"{rng.randint(100, 665)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}"
    database = f"postgres://{LOGIN}{rng.randint(0, 9)}@db:5432/omnicare_emr_prod"
    request = {"level": "info", "method": "GET", "path": f"/fhir/Observation/{rng.randint(1, 9999)}", "status": 200}
    return rng.choice(
        (
            f"INFO  GET /fhir/Patient/{mrn} 200 {rng.randint(5, 250)}ms",
            f"INFO  POST /fhir/Encounter 201 {rng.randint(9, 300)}ms",
            json.dumps({**request, "ms": rng.randint(3, 180), "traceId": f"{rng.getrandbits(64):016x}"}),
            json.dumps({"level": "warn", "msg": "slow query", "ms": rng.randint(900, 4000), "table": "observations"}),
            _closed(rng.randint(1, 99)),
            f"INFO  websocket connection opened client={rng.randint(1, 99)}",
            f"ERROR sync failed for patient {person} MRN {mrn} SSN {ssn}: conflict",
            f"DEBUG db pool idle={rng.randint(0, 20)} url={database}",
            f"INFO  auth ok Bearer {TOKEN}",
            f"INFO  audit_log event=read actor=dr.{rng.choice(_LAST).lower()} resource=Observation/{rng.randint(1, 9999)}",
            f"INFO  reminder sent to {person.replace(' ', '.').lower()}@example.com phone 555-01{rng.randint(10, 99)}",
        )
    )


def _closed(client: int) -> str:
    """Most clients leave by themselves; some have lost their network."""
    if client < 10:  # noqa: PLR2004 - one of ten
        return f"WARN  websocket connection lost client={client} code=1006"
    return f"INFO  websocket connection closed client={client} code=1001"


def _frontend(rng: random.Random) -> str:
    address, path = f"10.1.{rng.randint(0, 9)}.{rng.randint(2, 250)}", rng.choice(_PATHS)
    return rng.choice(
        (
            f'{address} - - "GET {path} HTTP/1.1" 200 {rng.randint(300, 90_000)}',
            f'{address} - - "GET {path} HTTP/1.1" 304 0',
            f'{address} - - "GET /patients?mrn={rng.randint(10**6, 10**7 - 1)} HTTP/1.1" 200 {rng.randint(900, 9000)}',
            f"INFO  rendered {path} in {rng.randint(4, 90)}ms",
            json.dumps({"level": "warn", "msg": "chunk reload", "path": path, "client": rng.randint(1, 99)}),
            f"WARN  upstream backend slow {rng.randint(800, 3000)}ms {path}",
        )
    )


def _opening(container: str, image: str) -> list[str]:
    return [
        f"INFO  {container} starting, image {image.partition('@')[0]}",
        "INFO  configuration loaded, 14 settings from the environment",
        "INFO  connecting to postgres-primary:5432",
    ]


def _endings(image: str) -> list[str]:
    if behaviour(image).exit_reason == "OOMKilled":
        return ["WARN  heap 498 MB of 512 MB in use", "FATAL JavaScript heap out of memory"]
    return [
        "ERROR connection to postgres-primary:5432 refused, attempt 3 of 3",
        "FATAL cannot connect to postgres-primary:5432: ECONNREFUSED",
    ]


_PREPARING = [
    "INFO  wait-for-database starting",
    f"INFO  connecting to postgres://{LOGIN}@postgres-primary:5432/omnicare_emr_prod",
]
_UNPREPARED = [
    "INFO  schema version 41 found, 42 is wanted",
    "ERROR schema 42 did not come within 30 s: has the migration been run?",
]


class Log:
    """The log of one container of a pod, in one of its lives."""

    def __init__(self, pod: Json, container: str, started: datetime, ended: datetime | None) -> None:
        self._seed = f"{pod['metadata']['name']}/{container}"
        inits = pod["spec"].get("initContainers") or []
        ephemeral = pod["spec"].get("ephemeralContainers") or []
        spec = next(each for each in [*pod["spec"]["containers"], *inits, *ephemeral] if each["name"] == container)
        self._image = str(spec["image"])
        self._prepares = spec in inits
        self._opening = _PREPARING if self._prepares else _opening(container, self._image)
        self._manner = manner_of(pod)
        own = _frontend if "frontend" in f"{container} {self._image}" else _backend
        self._own, self._since = own, since_of(pod)
        self._started, self._ended = started, ended

    def until(self, now: datetime, *, last: int | None = None, since: datetime | None = None) -> Iterator[Line]:
        """What is there now: the last lines that the node keeps, or fewer."""
        dies = behaviour(self._image).crashes and not behaviour(self._image).killed_by
        if self._ended is not None and (dies or self._prepares):
            yield from self._crashed(last, since)
            return
        end = self._count(min(now, self._ended) if self._ended else now)
        first = max(0, end - self._manner.kept, end - last if last is not None else 0)
        if self._manner.file:
            first = max(first, end - end % self._manner.file)
        if since is not None:
            first = max(first, self._count(since) - 1)
        for number in range(first, end):
            line = self.line(number)
            if since is None or line.at >= since:
                yield line

    def _crashed(self, last: int | None, since: datetime | None) -> Iterator[Line]:
        assert self._ended is not None
        texts = [*self._opening, *(_UNPREPARED if self._prepares else _endings(self._image))]
        step = (self._ended - self._started) / len(texts)
        lines = [Line(self._started + step * (at + 1), text) for at, text in enumerate(texts)]
        for line in lines[len(lines) - min(last, len(lines)) :] if last is not None else lines:
            if since is None or line.at >= since:
                yield line

    def _count(self, now: datetime) -> int:
        """How many lines have been written by then: the opening at once, then at an even pace."""
        seconds = (now - self._started).total_seconds()
        return 0 if seconds < 0 else int(seconds * self._manner.a_second) + len(self._opening)

    def next_number(self, now: datetime) -> int:
        return self._count(now)

    def ends_streams(self, number: int) -> bool:
        """The line is the first of a new file, and who follows the old one is told no more."""
        return bool(self._manner.file) and number % (2 * self._manner.file) == 0

    def due(self, number: int) -> datetime:
        return self._started + timedelta(seconds=max(0, number - len(self._opening) + 1) / self._manner.a_second)

    def line(self, number: int) -> Line:
        if number < len(self._opening):
            return Line(self._started, self._opening[number])
        at = self.due(number) + self._manner.clock(number)
        if self._manner.in_turn:
            return Line(at, self._manner.in_turn[(number - len(self._opening)) % len(self._manner.in_turn)])
        rng = random.Random(f"{self._seed}/{number}")  # noqa: S311
        moody = self._manner.write if self._since is None or at >= self._since else None
        return Line(at, (moody(rng) if moody is not None else "") or self._own(rng))


def statuses_of(pod: Json) -> list[Json]:
    """Of all its containers, those that prepare it or look into it too."""
    kinds = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
    return [entry for kind in kinds for entry in pod["status"].get(kind) or []]


def log_of(pod: Json, container: str, *, previous: bool) -> Log | None:
    """The log of a container's present life, or of the one before; None where there was no such life."""
    status = next(entry for entry in statuses_of(pod) if entry["name"] == container)
    state, last = status["state"], (status.get("lastState") or {}).get("terminated")
    if previous:
        return _ended(pod, container, last) if last else None
    if "running" in state:
        return Log(pod, container, parse(state["running"]["startedAt"]), None)
    ended = state.get("terminated") or last
    return _ended(pod, container, ended) if ended else None


def _ended(pod: Json, container: str, end: Json) -> Log:
    started, finished = parse(end["startedAt"]), parse(end["finishedAt"])
    return Log(pod, container, started, max(finished, started + timedelta(milliseconds=10)).astimezone(UTC))
