"""The gates on backups: a snapshot of the database, a backup of the configuration, and a restore that was proved."""

from abc import abstractmethod
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from runbooks.backups.looking import Backups, Judgement, judge_configuration, judge_restore, judge_snapshot
from runbooks.fleet.fleet import Fleet
from runbooks.gates.gate import Gate, GateResult, GateSubject


@dataclass(frozen=True, kw_only=True)
class BackupGate(Gate):
    """One of them. A subclass judges what it sees."""

    async def look(self, subject: GateSubject) -> GateResult:
        # as it is now: right before the run starts it is looked at again
        found = await self._judged(subject, datetime.now(UTC))
        at = found.at.isoformat() if found.at is not None else None
        if found.good:
            return self.passed(found.evidence, at=at)
        button = ("Backups", f"backups --env {subject.environment.name}")
        return self.not_passed(
            "unknown" if found.good is None else "failed", found.evidence, found.advice, at=at, button=button
        )

    @abstractmethod
    async def _judged(self, subject: GateSubject, now: datetime) -> Judgement:
        """Return what is seen; raises RunbookError where it can't be."""


@dataclass(frozen=True, kw_only=True)
class SnapshotIsGood(BackupGate):
    """The newest snapshot is available, encrypted and young."""

    key: str = "snapshot"
    name: str = "Database backup"

    async def _judged(self, subject: GateSubject, now: datetime) -> Judgement:
        backups = subject.use(Backups)
        return judge_snapshot(await backups.newest_finished(), backups.settings, now)


@dataclass(frozen=True, kw_only=True)
class ConfigurationIsBackedUp(BackupGate):
    """The newest backup of the configuration is young and not empty."""

    key: str = "configuration-backup"
    name: str = "Configuration backup"
    of_services: ClassVar[bool] = True

    async def _judged(self, subject: GateSubject, now: datetime) -> Judgement:
        backups = subject.use(Backups)
        return judge_configuration(await backups.newest_configuration(), backups.settings, now)


@dataclass(frozen=True, kw_only=True)
class RestoreIsProved(BackupGate):
    """The last restore that was proved is young."""

    key: str = "restore"
    name: str = "Restore drill"

    async def _judged(self, subject: GateSubject, now: datetime) -> Judgement:
        proved = await subject.use(Fleet).proven_restore(subject.environment)
        return judge_restore(proved, subject.use(Backups).settings, now)
