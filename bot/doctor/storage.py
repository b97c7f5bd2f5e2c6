"""Checks of the buckets for exports and the audit log's heads (existing, encrypted, versioned, locked), and of the backups."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

from bot.config import Settings
from bot.doctor.findings import Finding, failed, fine, warning
from runbooks.backups.looking import Backups, judge_configuration, judge_snapshot
from runbooks.clients.aws.bucket import Bucket, BucketSettings
from runbooks.kit.errors import RunbookError


async def exports(settings: Settings, name: str) -> AsyncGenerator[Finding]:
    """Check whether exports can be written."""
    environment = settings.environments[name]
    if environment.sync is None:
        return
    if environment.exports is None:
        yield warning(
            f"{name}: there is no bucket for exports, so `sync clear-failed` is refused.",
            f"Add `[environments.{name}.exports]` if failed items should be cleared there.",
        )
        return
    async for finding in _bucket(environment.exports, f"{name}: ", "exports", throw_away=settings.bot.sandbox):
        yield finding


async def backups(settings: Settings, name: str) -> AsyncGenerator[Finding]:
    """Check whether the database's instance, its snapshots and the backups of the configuration can be seen, and are good."""
    configured = settings.environments[name].backups
    if configured is None:
        return
    where, now = Backups(configured, throw_away=settings.bot.sandbox), datetime.now(UTC)
    try:
        if await where.rds.instance() is None:
            yield failed(
                f"{name}: RDS has no instance {configured.instance}.",
                f"Check `instance` and `region` in `[environments.{name}.backups]`.",
            )
            return
        judged = [("the database", judge_snapshot(await where.newest_finished(), configured, now))]
        if configured.bucket is not None:
            found = await where.newest_configuration()
            judged.append(("the configuration", judge_configuration(found, configured, now)))
    except RunbookError as error:
        yield failed(f"{name}: backups: {error.message}", " ".join(error.advice))
        return
    for what, each in judged:
        said = f"{name}: the newest backup of {what}: {each.evidence}."
        yield fine(said) if each.good else warning(said, each.advice)


async def heads(settings: Settings) -> AsyncGenerator[Finding]:
    """Check whether the audit log's heads are where nobody can rewrite them."""
    where = settings.bot.audit_bucket
    if where is None:
        return
    async for finding in _bucket(where, "Audit log: ", "its heads", throw_away=settings.bot.sandbox):
        yield finding
    if not where.lock_days:
        yield warning(
            f"The audit log's heads in {where.bucket} are not locked: anybody who can delete there can remove them.",
            "Add `lock_days` to `[bot.audit_bucket]`; the bucket must be created with Object Lock.",
        )


async def _bucket(bucket: BucketSettings, of: str, purpose: str, *, throw_away: bool) -> AsyncGenerator[Finding]:
    where = bucket.bucket
    try:
        state = await Bucket(bucket, throw_away=throw_away).state()
    except RunbookError as error:
        yield failed(f"{of}the bucket {where} for {purpose}: {error.message}", "; ".join(error.advice))
        return
    yield fine(f"{of}the bucket {where} for {purpose} exists.")
    yield _said(
        state.encrypted,
        f"{of}{where} encrypts what is written",
        f"aws s3api put-bucket-encryption --bucket {where} …",
    )
    yield _said(
        state.versioned,
        f"{of}{where} keeps versions",
        f"aws s3api put-bucket-versioning --bucket {where} --versioning-configuration Status=Enabled",
    )
    if bucket.lock_days:
        yield _said(
            state.locks,
            f"{of}{where} has Object Lock",
            "Create a bucket with Object Lock, or remove `lock_days`: without Object Lock, writes are refused.",
        )


def _said(is_so: bool | None, what: str, to_do: str) -> Finding:
    if is_so is None:
        return warning(f"The bot's account can't check whether {what.partition(': ')[2]}.", to_do)
    return fine(f"{what}.") if is_so else failed(f"Not true: {what}.", to_do)
