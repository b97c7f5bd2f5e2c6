"""What the fleet remembers of itself: freeze and run of each environment, releases, the audit logs' newest heads.

ConfigMaps in the bot's own namespace, changed only where they still are as they were read, so that every replica of the bot
sees one truth and a person reads it with `kubectl get configmap -o yaml`. Nothing here is needed to run: it is needed to
know who may change what, and what to go back to.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TypeVar

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.errors import AlreadyThere, Conflict
from runbooks.clients.kubernetes.views import ConfigMapView
from runbooks.fleet.bounded_list import BoundedList
from runbooks.fleet.configurations import configuration_from, configurations_data
from runbooks.fleet.records import (
    KEPT_RELEASES,
    LONGEST_TEXT,
    EnvironmentRecord,
    Freeze,
    KeptHead,
    KnownReleases,
    Lease,
    LeaseAttempt,
    Measured,
    Part,
    ProvenRestore,
    Release,
    ReleasedService,
    Stored,
    Undecided,
    environment_data,
    environment_from,
    heads_from,
    heads_key,
    heads_text,
    measured_from,
    releases_data,
    releases_from,
    restore_from,
    unknown_holder,
    utc_now,
)
from runbooks.fleet.schema_proofs import SCHEMA_PROOFS, SchemaProof
from runbooks.fleet.script_starts import SCRIPT_STARTS, ScriptStart, begun
from runbooks.fleet.signatures import SIGNATURES, KnownSignatures, Signature
from runbooks.kit.answers import read_time
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment, Frozen

__all__ = [
    "KEPT_RELEASES",
    "EnvironmentRecord",
    "Fleet",
    "Freeze",
    "KeptHead",
    "KnownReleases",
    "Lease",
    "LeaseAttempt",
    "Measured",
    "ProvenRestore",
    "Release",
    "ReleasedService",
    "Undecided",
    "utc_now",
]

_TRIES = 30
_RECORD = "omnicare.dev/record"
_ENVIRONMENT = "omnicare.dev/environment"
_HEADS = "book-heads"

T = TypeVar("T")
E = TypeVar("E", bound=Frozen)


class Fleet:
    """The fleet's record in one cluster."""

    def __init__(self, cluster: ClusterClient) -> None:
        self._cluster = cluster

    @property
    def cluster(self) -> ClusterClient:
        """The cluster that has the record: the home region's."""
        return self._cluster

    # the environment

    async def read(self, environment: Environment) -> EnvironmentRecord:
        found = await self._find(environment.record_namespace, _name("environment", environment))
        return _environment(found)

    async def take(self, environment: Environment, run: Lease, *, after_rollback: bool = False) -> LeaseAttempt:
        """Takes the environment for a run if it is free. Taking it again for the same run changes nothing.

        `after_rollback`: the lock that a rollback left does not stop it.
        """

        def change(record: EnvironmentRecord) -> tuple[EnvironmentRecord, LeaseAttempt]:
            if (unknown := unknown_holder(record)) is not None:
                raise unknown
            if record.run is not None and record.run.run == run.run:
                return record, LeaseAttempt(taken=True, holder=record.run)
            frozen = record.freeze if record.freeze is not None and record.freeze.holds(datetime.now(UTC)) else None
            stopped = frozen is not None and frozen.stops(after_rollback=after_rollback)
            if record.run is not None or stopped:
                return record, LeaseAttempt(taken=False, holder=record.run, freeze=frozen)
            return record.having({"run": run}), LeaseAttempt(taken=True, holder=run, freeze=frozen)

        return await self._change(environment, change)

    async def take_over(
        self,
        environment: Environment,
        run: Lease,
        *,
        of: Lease | None,
        undecided: Undecided | None = None,
        decided: bool = False,
    ) -> bool:
        """Takes the environment from `of`, whatever freezes it, and says what `of` left, in one.

        False, and nothing is written, where somebody else than `of` holds it. Taking it again for the same run changes nothing.
        """

        def change(record: EnvironmentRecord) -> tuple[EnvironmentRecord, bool]:
            if record.run is not None and record.run.run == run.run:
                return record, True
            if record.run != of:
                return record, False
            changed: dict[Part, Lease | Undecided | None] = {"run": run}
            if decided or undecided is not None:
                changed["undecided"] = None if decided else undecided
            return record.having(changed), True

        return await self._change(environment, change)

    async def leave(self, environment: Environment, run: str) -> bool:
        """Gives the environment back; only the run that holds it can."""

        def change(record: EnvironmentRecord) -> tuple[EnvironmentRecord, bool]:
            if record.run is None or record.run.run != run:
                return record, False
            return record.having({"run": None}), True

        return await self._change(environment, change)

    async def end(
        self,
        environment: Environment,
        run: str,
        *,
        undecided: Undecided | None = None,
        decided: bool = False,
        decided_of: str = "",
        freeze: Freeze | None = None,
    ) -> bool:
        """Gives the environment back and says what the run left, in one; nothing where the run does not hold it any more.

        `decided_of`: a command; what a run of it left is decided. `freeze`: the lock that it leaves, as `freeze_after` has it.
        """

        def change(record: EnvironmentRecord) -> tuple[EnvironmentRecord, bool]:
            if record.run is None or record.run.run != run:
                return record, False
            changed: dict[Part, Lease | Undecided | Freeze | None] = {"run": None}
            if freeze is not None:
                changed["freeze"] = _after_rollback(record, freeze)
            left = record.undecided.run.split(".")[1:2] if record.undecided is not None else []
            if decided or undecided is not None or left == [decided_of]:
                changed["undecided"] = None if decided else undecided
            return record.having(changed), True

        return await self._change(environment, change)

    async def freeze(self, environment: Environment, freeze: Freeze) -> Freeze | None:
        """Locks it; returns the lock that it replaces."""
        kept = freeze.model_copy(update={"reason": freeze.reason[:LONGEST_TEXT]})
        return await self._change(environment, lambda r: (r.having({"freeze": kept}), r.freeze))

    async def freeze_after(self, environment: Environment, freeze: Freeze) -> Freeze:
        """Locks it after a rollback; returns the lock that stands then.

        A person's lock that has no end stays as it is. One that ends by itself is replaced by this one, which names it.
        """

        def change(record: EnvironmentRecord) -> tuple[EnvironmentRecord, Freeze]:
            kept = _after_rollback(record, freeze)
            return record.having({"freeze": kept}), kept

        return await self._change(environment, change)

    async def unfreeze(self, environment: Environment) -> Freeze | None:
        """Unlocks it; returns the lock that was there."""
        return await self._change(environment, lambda r: (r.having({"freeze": None}), r.freeze))

    async def decide(self, environment: Environment) -> Undecided | None:
        """Somebody decided what becomes of the failed run; returns what was open."""
        return await self._change(environment, lambda r: (r.having({"undecided": None}), r.undecided))

    async def watch(self, environment: Environment) -> AsyncGenerator[EnvironmentRecord, None]:
        """The record as it is, then at each change; use inside `contextlib.aclosing`."""
        last: EnvironmentRecord | None = None
        maps = self._cluster.watch_config_maps(environment.record_namespace, _name("environment", environment))
        async with aclosing(maps) as changes:
            async for seen in changes:
                if seen.kind == "synced" and last is not None:
                    continue
                record = _environment(seen.view if seen.kind == "changed" else None)
                if record != last:
                    last = record
                    yield record

    # releases

    async def releases(self, environment: Environment) -> tuple[Release, ...]:
        """Those that can be read, newest first."""
        return (await self.known_releases(environment)).releases

    async def known_releases(self, environment: Environment) -> KnownReleases:
        """The same, with what could not be read."""
        found = await self._find(environment.record_namespace, _name("releases", environment))
        return releases_from(found.data) if found is not None else KnownReleases()

    async def record_release(self, environment: Environment, release: Release) -> None:
        """Puts a release first; recording it again for the same run replaces what that run wrote."""
        kept = release.model_copy(update={"why": release.why[:LONGEST_TEXT]})
        await self._change_releases(
            environment, lambda known: (kept, *(r for r in known if r.run != kept.run or not r.run))
        )

    async def mark_bad(self, environment: Environment, version: str, why: str, services: Collection[str] = ()) -> int:
        """Marks every record of that version as bad, and of releases of several versions those in which these services run it; returns how many were good.

        A version that was never recorded (its first deploy failed) gets a record that says only that it is bad: else the
        next rollback, looking at earlier revisions, would go forth to it again.
        """
        count = 0
        bad = {"verdict": "bad", "why": why[:LONGEST_TEXT]}

        def change(known: tuple[Release, ...]) -> tuple[Release, ...]:
            nonlocal count
            count = sum(r.is_of(version, services) and r.verdict == "good" for r in known)
            if not any(r.version == version for r in known):
                unrecorded = {"version": version, "services": (), "run": "", "by": "", "at": utc_now(), **bad}
                known = (Release.model_validate(unrecorded), *known)
            marked = (r.is_of(version, services) and r.verdict == "good" for r in known)
            return tuple(r.model_copy(update=bad) if left else r for r, left in zip(known, marked, strict=True))

        await self._change_releases(environment, change)
        return count

    # the configurations of releases

    async def keep_configuration(self, environment: Environment, text: str) -> None:
        """Put the content of a release's ConfigMaps first among those that are kept."""
        labels = {_RECORD: "configurations", _ENVIRONMENT: environment.name}
        name = _name("configurations", environment)
        await self._update(
            environment.record_namespace, name, labels, lambda data: (configurations_data(text, data), None)
        )

    async def configuration(self, environment: Environment, sha256: str) -> str | None:
        """Return the content with that SHA-256; None where it is not kept."""
        found = await self._find(environment.record_namespace, _name("configurations", environment))
        return configuration_from(found.data, sha256) if found is not None else None

    # restores

    async def proven_restore(self, environment: Environment) -> ProvenRestore | None:
        """Return the last restore that was tried; None where there is none. PermanentError where it can't be read."""
        found = await self._find(environment.record_namespace, _name("restores", environment))
        return restore_from(found.data) if found is not None else None

    async def record_restore(self, environment: Environment, restore: ProvenRestore) -> None:
        """Put it in the place of the one before; recording it again changes nothing."""
        await self._keep_last(environment, "restores", restore)

    # what was measured before a deploy

    async def measured(self, environment: Environment, version: str) -> Measured | None:
        """Return what was measured before the deploy of that version that is still undecided; None where that is not known."""
        found = await self._find(environment.record_namespace, _name("measured", environment))
        kept = measured_from(found.data) if found is not None else None
        if kept is None or kept.version != version or (await self.read(environment)).undecided is None:
            return None
        newest = next(iter(await self.releases(environment)), None)
        recorded = read_time(newest.at) if newest is not None else None
        return kept if recorded is None or recorded < kept.at else None

    async def keep_measured(self, environment: Environment, measured: Measured) -> None:
        """Put it in the place of what was measured before."""
        await self._keep_last(environment, "measured", measured)

    # what people signed for a release

    async def signatures(self, environment: Environment) -> KnownSignatures:
        """Those that can be read, newest first."""
        found = await self._find(environment.record_namespace, _name("signatures", environment))
        signatures, unreadable = SIGNATURES.read(found.data if found is not None else {})
        return KnownSignatures(signatures=signatures, unreadable=unreadable)

    async def sign(self, environment: Environment, signature: Signature) -> None:
        """Puts a signature first, in place of an older one of the same for the same version."""
        await self._put_first(environment, SIGNATURES, signature, lambda each: (each.version, each.name))

    # which release runs on which schema

    async def schema_proofs(self, environment: Environment) -> tuple[SchemaProof, ...]:
        """Return those that can be read, newest first."""
        found = await self._find(environment.record_namespace, _name("schema-proofs", environment))
        return SCHEMA_PROOFS.read(found.data if found is not None else {})[0]

    async def record_schema_proof(self, environment: Environment, proof: SchemaProof) -> None:
        """Put a proof first, in place of an older one of the same two images."""
        await self._put_first(environment, SCHEMA_PROOFS, proof, lambda each: (each.older_digest, each.newer_digest))

    # scripts that run once

    async def begin_script(
        self, environment: Environment, start: ScriptStart, planned: datetime | None
    ) -> ScriptStart | None:
        """Write down that a run begins a script, and return None; or return how the same run began it before.

        PermanentError where nobody can say whether it did; `planned`: when its plan was made.
        """
        name, labels = (
            _name(SCRIPT_STARTS.key, environment),
            {_RECORD: SCRIPT_STARTS.key, _ENVIRONMENT: environment.name},
        )
        return await self._update(environment.record_namespace, name, labels, lambda data: begun(data, start, planned))

    # the audit logs' heads

    async def keep_head(self, environment: Environment, head: KeptHead, found: tuple[KeptHead, ...]) -> bool:
        """Puts a head behind those of its book that were found in the log; False where others are kept by now: look again."""
        key = heads_key(head.book)

        def change(data: dict[str, str]) -> tuple[dict[str, str], bool]:
            kept = heads_from(key, data[key]) if key in data else ()
            if kept != found:
                return data, False
            if kept and kept[-1].number >= head.number:
                return data, True
            return {**data, key: heads_text((*kept, head))}, True

        return await self._update(environment.record_namespace, _HEADS, {_RECORD: "heads"}, change)

    async def heads(self, environment: Environment) -> dict[str, tuple[KeptHead, ...]]:
        """By book, oldest first."""
        found = await self._find(environment.record_namespace, _HEADS)
        kept = {key: heads_from(key, text) for key, text in (found.data.items() if found is not None else ())}
        return {heads[-1].book: heads for heads in kept.values()}

    # one way to change a config map

    async def _change(
        self, environment: Environment, change: Callable[[EnvironmentRecord], tuple[EnvironmentRecord, T]]
    ) -> T:
        def apply(data: dict[str, str]) -> tuple[dict[str, str], T]:
            record, answer = change(environment_from(data))
            return environment_data(record, data), answer

        labels = {_RECORD: "environment", _ENVIRONMENT: environment.name}
        return await self._update(environment.record_namespace, _name("environment", environment), labels, apply)

    async def _change_releases(
        self, environment: Environment, change: Callable[[tuple[Release, ...]], tuple[Release, ...]]
    ) -> None:
        def apply(data: dict[str, str]) -> tuple[dict[str, str], None]:
            known = releases_from(data)
            return releases_data(change(known.releases), data, unreadable=known.unreadable), None

        labels = {_RECORD: "releases", _ENVIRONMENT: environment.name}
        await self._update(environment.record_namespace, _name("releases", environment), labels, apply)

    async def _put_first(
        self, environment: Environment, kept: BoundedList[E], entry: E, same: Callable[[E], object]
    ) -> None:
        """Put an entry first on such a list, in place of an older one of which `same` gives the same."""

        def change(data: dict[str, str]) -> tuple[dict[str, str], None]:
            known, unreadable = kept.read(data)
            others = (each for each in known if same(each) != same(entry))
            return kept.written((entry, *others), data, unreadable=unreadable), None

        labels = {_RECORD: kept.key, _ENVIRONMENT: environment.name}
        await self._update(environment.record_namespace, _name(kept.key, environment), labels, change)

    async def _keep_last(self, environment: Environment, what: str, entry: Stored) -> None:
        """Put it in the place of the one before."""
        labels, text = {_RECORD: what, _ENVIRONMENT: environment.name}, entry.model_dump_json()
        name = _name(what, environment)
        await self._update(environment.record_namespace, name, labels, lambda data: ({**data, "last": text}, None))

    async def _update(
        self,
        namespace: str,
        name: str,
        labels: dict[str, str],
        change: Callable[[dict[str, str]], tuple[dict[str, str], T]],
    ) -> T:
        """Reads, changes, and writes only over what was read; when somebody else was faster, all of it again."""
        labels = {"app.kubernetes.io/managed-by": "omnicare-bot", **labels}
        for attempt in range(_TRIES):
            found = await self._find(namespace, name)
            before = dict(found.data) if found is not None else {}
            after, answer = change(before)
            if after == before:
                return answer
            try:
                if found is None:
                    await self._cluster.create_config_map(namespace, name, after, labels)
                else:
                    await self._cluster.replace_config_map(found, after)
            except (AlreadyThere, Conflict):
                await asyncio.sleep(random.uniform(0, 0.01 * 2 ** min(attempt, 5)))  # noqa: S311 - spreads writers
            else:
                return answer
        raise Conflict(
            f"Record {namespace}/{name} is being changed by too many others at the same time.",
            code=ReasonCode.CHANGED_MEANWHILE,
        )

    async def _find(self, namespace: str, name: str) -> ConfigMapView | None:
        try:
            return await self._cluster.config_map(namespace, name)
        except PermanentError as error:
            if error.code is ReasonCode.NOT_FOUND:
                return None
            raise


def _after_rollback(record: EnvironmentRecord, freeze: Freeze) -> Freeze:
    """Return the lock that stands after a rollback that leaves `freeze`."""
    stood = record.freeze
    if stood is None or stood.run or not stood.holds(datetime.now(UTC)):
        return freeze
    if stood.until is None:
        return stood
    reason = f"{freeze.reason}; {stood.name} had locked it until {stood.until}: {stood.reason}"
    return freeze.model_copy(update={"reason": reason[:LONGEST_TEXT]})


def _name(what: str, environment: Environment) -> str:
    return f"{what}-{environment.name}"


def _environment(found: ConfigMapView | None) -> EnvironmentRecord:
    return environment_from(found.data) if found is not None else EnvironmentRecord()
