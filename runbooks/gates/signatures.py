"""The gates on what no API can prove: a named person has signed it for this version."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from runbooks.fleet.fleet import Fleet
from runbooks.gates.gate import Gate, GateResult, Subject
from runbooks.gates.settings import SignatureSettings
from runbooks.kit.answers import read_time
from runbooks.wording import age

_AHEAD = timedelta(minutes=5)
"""Allowed clock difference between two bots."""


@dataclass(frozen=True, kw_only=True)
class Signed(Gate):
    """Somebody has signed it for this version, not too long ago."""

    settings: SignatureSettings

    async def look(self, subject: Subject) -> GateResult:
        where, version, name = subject.environment.name, subject.version, self.settings.name
        line = f"sign {version} {name} --env {where}"
        who = f"somebody with the role {self.settings.role}" if self.settings.role else "whoever may sign (`gate:sign`)"
        advice = f"To be signed by {who}: `{line}`."
        button = (f"Sign: {self.settings.text}"[:70], line)
        known = await subject.use(Fleet).signatures(subject.environment)
        found = known.of(version, name)
        if found is None:
            unread = f"; {known.unreadable} of the recorded signatures can't be read" if known.unreadable else ""
            return self.not_passed("waiting", f"nobody has signed it for {version}{unread}", advice, button=button)
        signed, now = read_time(found.at), datetime.now(UTC)
        if signed is None or signed > now + _AHEAD:
            return self.not_passed("unknown", f"{found.by}'s signature has no valid time", advice, button=button)
        if now - signed > timedelta(hours=self.settings.max_age_hours):
            old = age((now - signed).total_seconds())
            evidence = f"{found.by} signed it {old} ago, and that counts for {self.settings.max_age_hours:g} h"
            return self.not_passed("waiting", evidence, advice, at=found.at, button=button)
        return self.passed(f"signed by {found.by}", at=found.at)
