"""Checks of the environment's database: servers reachable, role read-only without tables, statistics and function installed."""

from collections.abc import AsyncGenerator
from pathlib import Path

from bot.config import Settings
from bot.doctor.findings import DoctorFinding, failed, fine, warning
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.postgres.access import DatabaseSettings
from runbooks.clients.postgres.credentials import CredentialsSource
from runbooks.clients.postgres.database import DatabaseClient
from runbooks.database.databases import Database, DatabaseStatus, concerns
from runbooks.kit.errors import RunbookError
from runbooks.redaction.redactor import default_redactor

_OTHERS = 0o007


async def database(settings: Settings, name: str) -> AsyncGenerator[DoctorFinding]:
    """Check each server in the way the bot uses it."""
    environment = settings.environments[name]
    wanted = environment.database
    if wanted is None:
        return
    if wanted.file is not None and (finding := _file(name, wanted.file)) is not None:
        yield finding
    home = environment.home_cluster
    async with ClusterClient(
        kubeconfig=str(home.kubeconfig) if home.kubeconfig else None, context=home.context
    ) as cluster:
        kubectl = settings.environment(name).kubectl
        source = CredentialsSource(wanted, cluster, environment.namespace, default_redactor(), kubectl=kubectl)
        here = Database(name, DatabaseClient(wanted, source))
        for place in wanted.places():
            try:
                found = await here.known(place)
            except RunbookError as error:
                yield failed(f"{name}: the database can't be used. {error.message}", " ".join(error.advice))
                continue
            for finding in _findings(name, found, wanted):
                yield finding


def _findings(name: str, found: DatabaseStatus, wanted: DatabaseSettings) -> list[DoctorFinding]:
    who = found.identity
    told = [fine(f"{name}: the {found.place} {who.address} accepts role {who.role}, PostgreSQL {who.version}.")]
    if found.place == "primary" and who.in_recovery:
        told.append(
            warning(
                f"{name}: {who.address}, configured as primary, is a replica.",
                f"After a failover, correct `primary` in environments.{name}.database, or use the cluster's writer endpoint.",
            )
        )
    if found.place == "replica" and not who.in_recovery:
        told.append(
            warning(
                f"{name}: {who.address}, configured as replica, is a primary.",
                f"Correct `replica` in environments.{name}.database, or remove it.",
            )
        )
    if not who.encrypted and wanted.tls != "disable":
        told.append(failed(f"{name}: the connection to {who.address} has no TLS.", "Report it as a bug in the bot."))
    odd = concerns(who)
    if not odd:
        told.append(
            fine(
                f"{name}: {who.role} can read statistics on the {found.place} but no tables, and can explain statements."
            )
        )
    told += [
        (failed if each.fatal else warning)(f"{name}: {found.place}: {each.says}", each.to_do.replace("`", ""))
        for each in odd
    ]
    return told


def _file(name: str, path: Path) -> DoctorFinding | None:
    """Check the file's mode: whoever can read it has the reader's password."""
    if path.is_file() and path.stat().st_mode & _OTHERS:
        return failed(
            f"{name}: others can read {path}, which contains the database reader's password.", f"chmod o-rwx {path}"
        )
    return None
