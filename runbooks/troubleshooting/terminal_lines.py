"""The lines with which a person sees in a terminal what findings are about: this pod, its log, that node, the ConfigMap, the statement."""

from collections.abc import Iterator, Sequence

from runbooks.database import by_hand as psql
from runbooks.database.databases import Database
from runbooks.deployments.places import Place
from runbooks.observe.by_hand import kubectl
from runbooks.troubleshooting.case import Case
from runbooks.troubleshooting.findings import Finding, Thing

_MOST = 12
_TAIL = 100
_STATEMENTS = {
    "sessions": psql.ACTIVITY,
    "connections": psql.POOL,
    "locks": psql.LOCKS,
    "replicas": psql.REPLICATION,
}


def terminal_lines(case: Case, findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return them in the order of the findings, each once and with the context of the finding's region; at most a dozen."""
    lines = (line for each in findings for line in _of_finding(case, each))
    return tuple(dict.fromkeys(lines))[:_MOST]


def _of_finding(case: Case, finding: Finding) -> Iterator[str]:
    places = [each.place for each in case.places if finding.region in ("", each.region)]
    about = finding.about
    service = case.environment.service(finding.service) if finding.service else None
    if not about and service is not None:
        about = (Thing(kind="deployment", name=service.deployment),)
    for thing in about:
        if (statements := _STATEMENTS.get(thing.kind)) is not None:
            yield from _in_psql(case, statements)
        elif thing.kind == "statement":
            yield from _in_psql(case, psql.statement(thing.name))
        else:
            yield from (_in_kubectl(place, thing) for place in places)


def _in_psql(case: Case, statements: tuple[str, ...]) -> tuple[str, ...]:
    database = case.find(Database)
    return psql.psql(database.settings, "primary", statements) if database is not None else ()


def _in_kubectl(place: Place, thing: Thing) -> str:
    match thing.kind:
        case "log":
            return kubectl(place.environment, "logs", thing.name, *thing.options, f"--tail={_TAIL}")
        case "configmap":
            # who wrote which key, and when; the values are for who may read them anyway
            return kubectl(place.environment, "get", "configmap", thing.name, "-o", "yaml", "--show-managed-fields")
        case kind:
            return kubectl(place.environment, "describe", kind, thing.name, everywhere=kind == "node")
