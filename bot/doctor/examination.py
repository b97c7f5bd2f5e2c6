"""The list of checks, and reporting of their findings as they come."""

import asyncio
import json
import sys
from collections import Counter
from functools import partial
from pathlib import Path

from bot.boundary.inbound import Exit
from bot.boundary.printable import safe
from bot.config import ConfigurationError, Settings, default_path, load
from bot.doctor import audit_log, database, dependencies, github, here, monitoring, outside, storage
from bot.doctor.findings import DoctorCheck, DoctorFinding, Severity, failed, findings
from commands.kit import registry
from runbooks.redaction.redactor import default_redactor


def examine(path: Path | None, *, as_json: bool) -> int:
    """Print a line for each finding, or with JSON one object per line. Return exit status 1 if anything failed."""
    telling = _Telling(as_json=as_json)
    where = path or default_path()
    try:
        settings = load(where)
    except ConfigurationError as error:
        telling.tell(failed(str(error), "Correct the configuration, then try again: nothing else can be checked."))
        return telling.end()
    asyncio.run(_examine(where, settings, telling))
    return telling.end()


def checks(where: Path, settings: Settings) -> list[DoctorCheck]:
    """Return all checks, in the order of their report."""
    known = registry.load()
    found = [
        DoctorCheck(subject="Configuration", look=partial(here.configuration, where, settings)),
        DoctorCheck(subject="Files", look=partial(here.files, settings)),
        DoctorCheck(subject="Audit log", look=partial(audit_log.tail, settings), seconds=60.0),
        *(
            [DoctorCheck(subject="Audit heads", look=partial(storage.heads, settings), seconds=30.0)]
            if settings.bot.audit_bucket
            else []
        ),
        DoctorCheck(subject="People", look=partial(here.people, settings)),
        DoctorCheck(subject="Policies", look=partial(here.policies, settings, known)),
        DoctorCheck(subject="Slack", look=partial(outside.slack, settings), seconds=30.0),
    ]
    found += [
        DoctorCheck(
            subject=f"Cluster of {name}{f' in {region}' if region else ''}",
            look=partial(outside.cluster, settings, name, region),
            seconds=30.0,
        )
        for name, environment in settings.environments.items()
        for region in environment.clusters() or ("",)
    ]
    found += [
        DoctorCheck(subject=f"Health of {name}", look=partial(outside.health, settings, name), seconds=30.0)
        for name in settings.environments
    ]
    found += [
        DoctorCheck(subject=f"Exports of {name}", look=partial(storage.exports, settings, name), seconds=30.0)
        for name in settings.environments
    ]
    found += [
        DoctorCheck(subject=f"Backups of {name}", look=partial(storage.backups, settings, name), seconds=30.0)
        for name, environment in settings.environments.items()
        if environment.backups is not None
    ]
    found += [
        DoctorCheck(subject=f"{what} of {name}", look=partial(look, settings, name), seconds=30.0)
        for name in settings.environments
        for what, look in (
            ("CDN", storage.cdn),
            ("Secrets in AWS", storage.secrets),
            ("Cache", dependencies.cache),
            ("ElastiCache", dependencies.elasticache),
            ("Load balancer", dependencies.targets),
        )
    ]
    found += [
        DoctorCheck(subject=f"Database of {name}", look=partial(database.database, settings, name), seconds=30.0)
        for name in settings.environments
    ]
    found += [
        DoctorCheck(subject=f"Monitoring of {name}", look=partial(monitoring.monitoring, settings, name), seconds=60.0)
        for name, environment in settings.environments.items()
        if environment.verification is not None
    ]
    found += [
        DoctorCheck(subject=f"GitHub of {name}", look=partial(github.github, settings, name))
        for name in settings.environments
    ]
    found += [
        DoctorCheck(subject=repository, look=partial(outside.registry, settings, repository))
        for repository in outside.repositories(settings)
    ]
    return [*found, DoctorCheck(subject="Clock", look=partial(outside.clock, settings))]


async def _examine(where: Path, settings: Settings, telling: "_Telling") -> None:
    async for finding in findings(checks(where, settings)):
        telling.tell(finding)


class _Telling:
    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json
        self._counts: Counter[Severity] = Counter()
        self._redact = default_redactor().text

    def tell(self, finding: DoctorFinding) -> None:
        """Print at once: a check that hangs hides no earlier one."""
        self._counts[finding.level] += 1
        sentence, to_do = self._redact(finding.sentence), self._redact(finding.to_do)
        if self._json:
            self._write(json.dumps({"level": finding.level, "sentence": sentence, "to_do": to_do}))
            return
        self._write(f"{finding.level.sign} {safe(sentence, lines=True)}")
        if to_do:
            self._write(f"    {safe(to_do, lines=True)}")

    def end(self) -> int:
        """Print the counts, and return the exit status."""
        broken, odd = self._counts[Severity.FAILED], self._counts[Severity.WARNING]
        if not self._json:
            self._write("")
            self._write(f"{self._counts.total()} checked: {broken} failed, {odd} with warnings.")
        return Exit.FAILED if broken else Exit.OK

    def _write(self, line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
