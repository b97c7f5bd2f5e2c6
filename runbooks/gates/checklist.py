"""The gates that an environment has. A new gate is a class, and a line here."""

from collections.abc import Callable, Iterator, Mapping
from typing import cast

from runbooks.gates.backups import ConfigurationIsBackedUp, RestoreIsProved, SnapshotIsGood
from runbooks.gates.clinical_work import SyncBacklog
from runbooks.gates.code import (
    AllChecks,
    CodeFacts,
    CoverageGate,
    NamedCheck,
    NoCriticalAlerts,
    OnBranch,
    ReleaseNotes,
    Revision,
    TagStays,
)
from runbooks.gates.gate import Gate, GateSubject
from runbooks.gates.images import ImagesExist
from runbooks.gates.promotion import Promoted
from runbooks.gates.provenance import Provenance
from runbooks.gates.schema import RunsOnNewSchema
from runbooks.gates.settings import CodeSettings, GateSettings, check_key
from runbooks.gates.signatures import Signed
from runbooks.gates.windows import OpenWindow
from runbooks.migrations.settings import MigrationSettings

_ALONE = GateSettings(images=False)
"""Of an environment that has no table of gates, but one that another table asks for."""


def settings_of(clients: Mapping[type, object], *, migrates: bool) -> GateSettings | None:
    """Return the settings of the environment's gates; None where it has none. `migrates`: pending migrations are applied."""
    found = cast("GateSettings | None", clients.get(GateSettings))
    return found or (_ALONE if migrates and _required_proof(clients) is not None else None)


def gates_of(settings: GateSettings, subject: GateSubject) -> tuple[Gate, ...]:
    """Return the gates that the environment has, in the order of the checklist."""

    def required(key: str) -> bool:
        return key not in settings.advisory

    gates: list[Gate] = []
    if settings.code is not None:
        gates += _of_code(settings.code, CodeFacts(subject), required)
    if settings.images:
        gates.append(ImagesExist(required=required("images")))
    if settings.promoted_from is not None:
        gates.append(Promoted(unverified=settings.unverified, required=required("promotion")))
    backups = (SnapshotIsGood, ConfigurationIsBackedUp, RestoreIsProved)
    gates += [kind(required=required(kind.key)) for kind in backups if kind.key in settings.backups]
    if settings.windows is not None:
        gates.append(OpenWindow(settings=settings.windows, required=required("time")))
    if settings.sync is not None:
        gates.append(SyncBacklog(settings=settings.sync, required=required("sync")))
    if subject.migrates and (migrations := _required_proof(subject.clients)) is not None:
        gates.append(RunsOnNewSchema(migrations=migrations))
    gates += [
        Signed(key=each.key, name=each.text, settings=each, required=required(each.key)) for each in settings.signatures
    ]
    return tuple(each for each in gates if not (subject.schema_only and each.of_services))


def _required_proof(clients: Mapping[type, object]) -> MigrationSettings | None:
    """Return the settings of migrations that need a proof or a declaration."""
    found = cast("MigrationSettings | None", clients.get(MigrationSettings))
    return found if found is not None and found.proof is not None and found.proof.required is not None else None


def _of_code(settings: CodeSettings, code: CodeFacts, required: Callable[[str], bool]) -> Iterator[Gate]:
    yield TagStays(code=code, required=required("tag"))
    if settings.branch:
        yield OnBranch(code=code, required=required("branch"))
    if not settings.checks:
        yield AllChecks(code=code, required=required("checks"))
    for each in settings.checks:
        key = check_key(each)
        yield NamedCheck(key=key, name=each, check=each, code=code, required=required(key))
    if settings.coverage is not None:
        yield CoverageGate(settings=settings, code=code, required=required("coverage"))
    if settings.code_scanning:
        yield NoCriticalAlerts(code=code, required=required("code-scanning"))
    if settings.release:
        yield ReleaseNotes(code=code, required=required("release"))
    if settings.revision:
        yield Revision(code=code, required=required("revision"))
    if settings.provenance is not None:
        yield Provenance(settings=settings.provenance, code=code, required=required("provenance"))
