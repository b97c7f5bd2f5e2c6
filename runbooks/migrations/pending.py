"""Which migrations a release contains, which of them the database has, and what the others would lock: what a plan says before anybody approves."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.jobs import JobSpec
from runbooks.database.databases import Database
from runbooks.jobs.running import run_job
from runbooks.kit.answers import NotUnderstood, read_printed
from runbooks.kit.errors import RunbookError
from runbooks.kit.steps import PlainPulse
from runbooks.kit.targets import Frozen
from runbooks.migrations.lint import LintFinding, LintUnavailable, lint
from runbooks.migrations.settings import MigrationSettings
from runbooks.wording import counted, listed, measured

_MOST, _LONGEST, _LONGEST_SQL = 5000, 200, 256 * 1024
_SHOWN = 5


class Contained(Frozen):
    """One migration that an image contains."""

    name: str
    sql: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingMigrations:
    """What is known before a migration runs; what is not known is None, with a sentence that says why."""

    names: tuple[str, ...] | None = None
    """What would be applied, oldest first."""
    foreign: tuple[str, ...] = ()
    """Applied migrations that the image does not contain."""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())


async def pending(
    cluster: ClusterClient, database: Database | None, settings: MigrationSettings, listing: JobSpec | None
) -> PendingMigrations:
    """Return what is pending. Never raises: what can't be known is a sentence."""
    (contained, no_list), (rows, no_rows) = await asyncio.gather(
        _contained(cluster, listing, settings.list_seconds), applied_rows(database, settings)
    )
    if contained is None:
        return PendingMigrations(
            warnings=tuple(f"The pending migrations are unknown: {why}" for why in (no_list,) if why)
        )
    if rows is None:
        why = no_rows or "no `database` is configured, so the bot can't read which are applied."
        return PendingMigrations(warnings=(f"The pending migrations are unknown: {why}",))
    left = [each for each in contained if each.name not in rows]
    names = {each.name for each in contained}
    foreign = tuple(name for name in reversed(rows) if name not in names)
    found, notes = await _lint(left)
    return PendingMigrations(
        names=tuple(each.name for each in left),
        foreign=foreign,
        warnings=(*_drift(foreign), *await _locks(found, database)),
        notes=notes,
    )


async def applied_rows(database: Database | None, settings: MigrationSettings) -> tuple[tuple[str, ...] | None, str]:
    """Return the table's names, the newest first, or None and why it can't be read."""
    if database is None:
        return None, ""
    try:
        return await database.applied_migrations(settings.table, settings.column), ""
    except RunbookError as error:
        return None, f"The table {settings.table} can't be read: {error.message}"


async def _contained(
    cluster: ClusterClient, listing: JobSpec | None, seconds: float
) -> tuple[tuple[Contained, ...] | None, str]:
    if listing is None:
        return None, "`list` is not configured in `migrations`."
    run = f"list.{secrets.token_hex(6)}"  # never an older answer: what is applied changes
    try:
        async with asyncio.timeout(seconds):
            end = await run_job(PlainPulse(run), cluster, listing)
    except TimeoutError:
        return None, f"the image did not list its migrations within {seconds:g} s. Request it again in a moment."
    except RunbookError as error:
        return None, error.message
    if not end.ok:
        return None, f"`{' '.join(listing.words)}` ended with exit status {end.exit_code}. It gets no database URL."
    try:
        return read_contained(end.output), ""
    except NotUnderstood as error:
        return None, f"the output of `{' '.join(listing.words)}` can't be read: {error}."


def read_contained(output: bytes) -> tuple[Contained, ...]:
    """Return the migrations that a program printed as JSON; raises `NotUnderstood`."""
    told = read_printed(output)
    if not isinstance(told, list) or len(told) > _MOST:
        raise NotUnderstood("it is not a list of migrations")
    return tuple(_one(each) for each in told)


def _one(told: object) -> Contained:
    entry = {"name": told} if isinstance(told, str) else told
    if not isinstance(entry, dict):
        raise NotUnderstood("an entry is neither a name nor an object")
    name, sql = entry.get("name"), entry.get("sql")
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST or not name.isprintable():
        raise NotUnderstood("an entry has no usable name")
    fits = isinstance(sql, str) and len(sql) <= _LONGEST_SQL
    return Contained(name=name, sql=sql if fits else None)


def _drift(foreign: Sequence[str]) -> tuple[str, ...]:
    if not foreign:
        return ()
    names = listed(foreign, most=_SHOWN)
    what = counted(len(foreign), "migration")
    return (f"Drift: the database has {what} that this release does not contain ({names}).",)


async def _lint(left: Sequence[Contained]) -> tuple[tuple[LintFinding, ...], tuple[str, ...]]:
    with_sql = [(each.name, each.sql) for each in left if each.sql]
    if not with_sql:
        return (), ()
    try:
        found = await lint(with_sql)
    except LintUnavailable as error:
        return (), (f"The migrations' SQL was not checked: {error}.",)
    return found, () if found else ("squawk finds no lock in the migrations' SQL that blocks others.",)


async def _locks(found: Sequence[LintFinding], database: Database | None) -> tuple[str, ...]:
    """One sentence for each migration, effect and table, with the table's size where that is known."""
    tables = sorted({each.table for each in found if each.table})
    known: dict[str, str] = {}
    if database is not None and tables:
        try:
            sizes = await database.sizes(tables)
            known = {
                each.name: f" ({rows(each.rows)}, {measured(each.writes, 'writes/s')} on average)" for each in sizes
            }
        except RunbookError:
            known = {}
    said = dict.fromkeys(
        f"{each.migration} drops data{f' of {each.table}' if each.table else ''}{known.get(each.table, '')}."
        if each.effect == "drops data"
        else f"{each.migration} locks {each.table or 'a table'}{known.get(each.table, '')} {each.effect}."
        for each in found
    )
    return tuple(islice(said, 20))


def rows(count: int) -> str:
    """Return `812 rows`, `41 k rows`, `4.1 M rows`."""
    for size, unit in ((1_000_000, "M rows"), (1_000, "k rows")):
        if count >= size:
            return f"{round(count / size, 1):g} {unit}"
    return counted(count, "row")
