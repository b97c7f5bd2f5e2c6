"""Checks of the bucket that exports go to: there, encrypted, versioned; and, where it is asked for, with Object Lock."""

from collections.abc import AsyncGenerator

from bot.config import Settings
from bot.doctor.findings import Finding, failed, fine, warning
from runbooks.clients.aws import Bucket
from runbooks.kit.errors import RunbookError


async def exports(settings: Settings, name: str) -> AsyncGenerator[Finding]:
    """Whether what is about to be thrown away could be kept."""
    environment = settings.environments[name]
    if environment.sync is None:
        return
    if environment.exports is None:
        yield warning(
            f"{name}: no bucket for exports, so `sync clear-failed` will refuse.",
            f"Add `[environments.{name}.exports]`, if items are ever to be cleared there.",
        )
        return
    bucket = Bucket(environment.exports, throw_away=settings.bot.sandbox)
    where = environment.exports.bucket
    try:
        state = await bucket.state()
    except RunbookError as error:
        yield failed(f"{name}: the bucket {where} for exports: {error.message}", "; ".join(error.advice))
        return
    yield fine(f"{name}: the bucket {where} for exports is there.")
    yield _said(
        state.encrypted,
        f"{name}: {where} encrypts what is written",
        f"aws s3api put-bucket-encryption --bucket {where} …: what is exported is about patients.",
    )
    yield _said(
        state.versioned,
        f"{name}: {where} keeps versions",
        f"aws s3api put-bucket-versioning --bucket {where} --versioning-configuration Status=Enabled",
    )
    if environment.exports.lock_days:
        yield _said(
            state.locks,
            f"{name}: {where} has Object Lock",
            "Make a bucket with Object Lock, or take `lock_days` out: an export that can't be locked is refused.",
        )


def _said(is_so: bool | None, what: str, to_do: str) -> Finding:
    if is_so is None:
        return warning(f"Not to be seen with the bot's account whether {what.partition(': ')[2]}.", to_do)
    return fine(f"{what}.") if is_so else failed(f"Not so: {what}.", to_do)
