"""The gates on what no API can prove: a named person has signed it for this version."""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from runbooks.fleet.fleet import Fleet
from runbooks.fleet.signatures import Signature
from runbooks.gates.gate import Gate, GateResult, GateSubject
from runbooks.gates.settings import SignatureSettings
from runbooks.kit.answers import read_time
from runbooks.wording import age, listed

_AHEAD = timedelta(minutes=5)
"""Allowed clock difference between two bots."""


@dataclass(frozen=True, slots=True)
class Signers:
    """Who may sign, as the configuration and the user groups say now."""

    roles: Callable[[str, str], Awaitable[Collection[str]]]
    """A person's key and an environment → the person's roles that may sign there."""


@dataclass(frozen=True, kw_only=True)
class Signed(Gate):
    """Somebody who may still do so has signed it for these images, not too long ago."""

    settings: SignatureSettings

    async def look(self, subject: GateSubject) -> GateResult:
        where, version, name = subject.environment.name, subject.version, self.settings.name
        line = f"sign {version} {name} --env {where}"
        who = (
            f"Somebody with the role {self.settings.role}"
            if self.settings.role
            else "Somebody with the permission `gate:sign`"
        )
        advice = f"{who} must sign: `{line}`."
        button = (f"Sign: {self.settings.text}"[:70], line)
        known = await subject.use(Fleet).signatures(subject.environment)
        found = known.of(version, name)
        if found is None:
            unread = f"; {known.unreadable} of the recorded signatures can't be read" if known.unreadable else ""
            return self.not_passed("waiting", f"not signed for {version}{unread}", advice, button=button)
        signed, now = read_time(found.at), datetime.now(UTC)
        if signed is None or signed > now + _AHEAD:
            return self.not_passed("unknown", f"{found.by}'s signature has an invalid time", advice, button=button)
        if now - signed > timedelta(hours=self.settings.max_age_hours):
            old = age((now - signed).total_seconds())
            evidence = f"{found.by} signed {old} ago, but a signature is valid for {self.settings.max_age_hours:g} h"
            return self.not_passed("waiting", evidence, advice, at=found.at, button=button)
        if why := await self._counts_no_more(found, subject):
            return self.not_passed("waiting", f"{found.by} signed, but {why}", advice, at=found.at, button=button)
        return self.passed(f"signed by {found.by}", at=found.at)

    async def _counts_no_more(self, found: Signature, subject: GateSubject) -> str:
        """Return why the signature does not count any more; empty where it does."""
        roles = await subject.use(Signers).roles(found.person, subject.environment.name)
        if not roles or (self.settings.role is not None and self.settings.role not in roles):
            return "may no longer sign"
        if not found.digests:
            return "for unknown images"
        others = [
            change.service
            for change in subject.images
            if change.after.digest is None or found.digests.get(change.service) != change.after.digest
        ]
        return f"for a different image of {listed(others)}: the tag was moved" if others else ""
