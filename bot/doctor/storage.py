"""Checks of what is in AWS: buckets for exports and the audit log's heads (existing, encrypted, versioned, locked), backups, CDN and secrets."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime

from bot.config import Settings
from bot.doctor.findings import DoctorFinding, failed, fine, warning
from runbooks.backups.looking import Backups, judge_configuration, judge_snapshot
from runbooks.clients.aws.bucket import Bucket, BucketSettings
from runbooks.clients.aws.cloudfront import TAG, Cdn
from runbooks.kit.errors import RunbookError
from runbooks.rotation.settings import Rotations


async def exports(settings: Settings, name: str) -> AsyncGenerator[DoctorFinding]:
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


async def backups(settings: Settings, name: str) -> AsyncGenerator[DoctorFinding]:
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


async def cdn(settings: Settings, name: str) -> AsyncGenerator[DoctorFinding]:
    """Check whether the distribution can be seen, is enabled, and reads cache tags where some are configured."""
    configured = settings.environments[name].cdn
    if configured is None:
        return
    try:
        found = await Cdn(configured, throw_away=settings.bot.sandbox).distribution()
    except RunbookError as error:
        yield failed(f"{name}: CDN: {error.message}", " ".join(error.advice))
        return
    about = f"{name}: the CDN {configured.distribution} ({found.domain})"
    if not found.enabled:
        yield failed(f"{about} is disabled.", f"Check `distribution` in `[environments.{name}.cdn]`.")
    elif found.tag_header is None and any(path.startswith(TAG) for path in configured.paths):
        yield failed(
            f"{about} reads no cache tags, so invalidating one does nothing.",
            f"Set `CacheTagConfig` of the distribution, or name paths in `[environments.{name}.cdn]`.",
        )
    else:
        yield fine(f"{about} is enabled.")


async def secrets(settings: Settings, name: str) -> AsyncGenerator[DoctorFinding]:
    """Check whether each secret in AWS that a rotation reads has a current version; no value is read."""
    rotations = settings.environments[name].rotations
    known = Rotations(rotations, throw_away=settings.bot.sandbox)
    for what in rotations:
        if (manager := known.aws(what)) is None:
            continue
        try:
            await manager.current()
        except RunbookError as error:
            yield failed(f"{name}: the rotation {what}: {error.message}", " ".join(error.advice))
            continue
        yield fine(f"{name}: the rotation {what} has a current version in AWS.")


async def heads(settings: Settings) -> AsyncGenerator[DoctorFinding]:
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


async def _bucket(bucket: BucketSettings, of: str, purpose: str, *, throw_away: bool) -> AsyncGenerator[DoctorFinding]:
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


def _said(is_so: bool | None, what: str, to_do: str) -> DoctorFinding:
    if is_so is None:
        return warning(f"The bot's account can't check whether {what.partition(': ')[2]}.", to_do)
    return fine(f"{what}.") if is_so else failed(f"Not true: {what}.", to_do)
