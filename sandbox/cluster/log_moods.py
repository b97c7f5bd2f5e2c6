"""Logs in a bad way, chosen by an annotation on the pod: one that floods, one full of patients' data, one that hangs.

All people, numbers and ids are invented, by a generator with a seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sandbox.cluster.resources import Json

ANNOTATION = "sandbox.omnicare.dev/log"

_FIRST = ("Maria", "Ahmed", "Chen", "Olu", "Priya", "Lars")
_LAST = ("Lopez", "Haddad", "Wei", "Adeyemi", "Nair", "Berg")


class Mood(StrEnum):
    """What the annotation may say."""

    FLOOD = "flood"
    PATIENTS = "patients"
    JSON = "json"
    HANG = "hang"
    """The stream opens, and nothing ever comes."""
    BLOCKS = "blocks"
    """Patients over several lines: JSON as it is pretty-printed, XML, an X12 message, a table."""
    LOST = "lost"
    """The node answers with a sentence of its own in place of the log, and as if all were well."""
    CLOCK = "clock"
    """One line in ten is stamped an hour late: the node's clock jumps and is set back."""
    ROTATED = "rotated"
    """Only the newest file can be read. With every second new one a stream that follows ends, with the others it goes on."""
    DROPS = "drops"
    """WebSocket connections are cut off again and again, since a while ago; before that the log is as usual."""
    SENTENCE = "sentence"
    """Between its lines the node says something of its own, without a stamp."""


@dataclass(frozen=True)
class Manner:
    """How a container writes."""

    a_second: float = 2.0
    kept: int = 2_000
    write: Callable[[random.Random], str] | None = None
    """A line; an empty one stands for a line as usual."""
    in_turn: tuple[str, ...] = ()
    """Lines that come one after the other, and then again."""
    file: int = 0
    """Lines after which the log is rotated; 0 for never."""
    jumps: timedelta | None = None
    """By how much the node's clock is wrong for every tenth line."""

    def clock(self, number: int) -> timedelta:
        """By how much the stamp of that line is wrong."""
        return self.jumps if self.jumps is not None and number % 10 == 5 else timedelta()  # noqa: PLR2004


_AGO = timedelta(minutes=9)
"""How long ago drops began when they are chosen."""


def annotation(mood: Mood | None, now: datetime) -> str | None:
    """Return what the annotation says for a mood that is chosen now."""
    return f"{mood}@{(now - _AGO).isoformat()}" if mood is Mood.DROPS else mood


def mood_of(pod: Json) -> Mood | None:
    found = _annotated(pod).partition("@")[0]
    return Mood(found) if found in set(Mood) else None


def since_of(pod: Json) -> datetime | None:
    """Return since when the mood has been; None: always."""
    since = _annotated(pod).partition("@")[2]
    return datetime.fromisoformat(since) if since else None


def _annotated(pod: Json) -> str:
    return str((pod["metadata"].get("annotations") or {}).get(ANNOTATION) or "")


def manner_of(pod: Json) -> Manner:
    return _MANNERS.get(mood_of(pod), Manner())


def _flood(rng: random.Random) -> str:
    if rng.random() < 0.02:  # noqa: PLR2004 - what drowns in it
        return f"FATAL connection pool exhausted: {rng.randint(200, 300)} waiting, none free"
    return f"ERROR retry {rng.randint(1, 9)} of request {rng.getrandbits(64):016x} failed: ECONNRESET postgres-primary:5432"


def _json(rng: random.Random) -> str:
    level = rng.choice(("info", "info", "info", "debug", "warn", "error"))
    message = {"error": "sync failed", "warn": "slow query", "debug": "cache miss"}.get(level, "request done")
    found = {"level": level, "msg": message, "traceId": f"{rng.getrandbits(128):032x}", "ms": rng.randint(2, 4000)}
    return json.dumps(found)


def _patients(rng: random.Random) -> str:
    first, last = rng.choice(_FIRST), rng.choice(_LAST)
    born = f"19{rng.randint(30, 99)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    mrn, phone = rng.randint(10**6, 10**7 - 1), f"(212) 555-01{rng.randint(10, 99)}"
    name = [{"use": "official", "family": last, "given": [first]}]
    return rng.choice(
        (
            json.dumps({"resourceType": "Patient", "name": name, "birthDate": born, "telecom": [{"value": phone}]}),
            f"PID|1||{mrn}^^^OMNI^MR||{last.upper()}^{first.upper()}^A||{born.replace('-', '')}|F|||12 Elm Street^^Albany^NY^12207",
            f"ERROR merge conflict: patient {first} {last}, DOB {born}, MRN {mrn}, phone {phone}",
            f"INFO  letter for Mrs {last} ({first.lower()}.{last.lower()}@example.com) printed",
            f"WARN  duplicate SSN {rng.randint(100, 665)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)} for patient {first} {last}",
        )
    )


def _drops(rng: random.Random) -> str:
    if rng.random() < 0.12:  # noqa: PLR2004 - so that some fifteen a minute and pod drop
        return f'WARN  websocket connection lost client={rng.randint(1, 99)} code=1006 reason="idle timeout"'
    return ""


_BLOCKS = """\
INFO  merged 2 records, the first of them:
{
  "resourceType": "Patient",
  "status": "active",
  "name": [
    {
      "family": "Haddad",
      "given": [
        "Maria"
      ]
    }
  ]
}
INFO  sent to the insurance:
ISA*00*          *00*          *ZZ*SUBMITTER      *ZZ*RECEIVER       *261124*1120*^*00501*000000001*0*P*:~
NM1*IL*1*LOPEZ*MARIA****MI*W884471203~
IEA*1*000000001~
INFO  from the laboratory:
<Patient xmlns="http://hl7.org/fhir">
  <active value="true"/>
  <name>
    <family value="Adeyemi"/>
  </name>
</Patient>
INFO  found in the table:
 id | last_name | status
----+-----------+--------
  1 | Haddad    | active
(1 row)
INFO  done"""

_ENTRIES = tuple(f"INFO  entry {number}" for number in range(10_000))

_MANNERS: dict[Mood | None, Manner] = {
    Mood.FLOOD: Manner(a_second=400.0, kept=40_000, write=_flood),
    Mood.DROPS: Manner(kept=4_000, write=_drops),
    Mood.PATIENTS: Manner(a_second=4.0, write=_patients),
    Mood.JSON: Manner(write=_json),
    Mood.CLOCK: Manner(a_second=20.0, in_turn=_ENTRIES, jumps=timedelta(hours=1)),
    Mood.ROTATED: Manner(a_second=40.0, in_turn=_ENTRIES, file=200),
    Mood.BLOCKS: Manner(a_second=200.0, in_turn=tuple(_BLOCKS.split("\n"))),
}
