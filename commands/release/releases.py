"""`releases`: what was rolled out here, good or bad. `releases adopt`: what runs today becomes a recorded release.

A new installation has no releases recorded, and so nothing that a rollback could call known good; adopting says so once.
"""

from typing import Annotated

from commands.kit.card import (
    Button,
    Card,
    Code,
    Element,
    Note,
    State,
    Strong,
    Table,
    Text,
    Typed,
    moment,
    sentence,
    words,
)
from commands.kit.command import EnvironmentDecision, Query
from commands.kit.context import Context
from commands.kit.orphaned_run import as_it_is
from commands.kit.spec import CHANNEL_DEFAULT, DecisionMeta, QueryMeta, option
from commands.kit.types import EnvironmentName, NumberType, Words
from runbooks.deployments import images, service_state
from runbooks.fleet.fleet import Release, ReleasedService, utc_now
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Image, versions
from runbooks.kit.reasons import ReasonCode
from runbooks.release import last_good
from runbooks.wording import by_count, counted, duration, listed, short_digest


class Releases(Query):
    """List the releases: what ran when, good or bad, deployed by whom, with which digests."""

    meta = QueryMeta(permission="fleet:read", examples=["", "--env staging --limit 30"])

    limit: Annotated[int, NumberType(low=1, high=50)] = option("how many to show", default=10)
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def answer(self, context: Context) -> Card:
        record = await context.fleet.known_releases(context.where)
        known = record.releases
        shown = known[: self.limit]
        good = sum(release.verdict == "good" for release in known)
        where = context.where.name
        of_them = f"{good} of them good" if len(known) > 1 else "good" if good else "bad"
        text = f"{counted(len(known), 'release')} of {where}, {of_them}" if known else f"No releases in {where} yet"
        body: list[Element] = []
        if shown:
            body.append(
                Table(
                    columns=("Version", "Verdict", "When", "By", "Approved by", "Took", "Digests"),
                    rows=tuple(_row(release) for release in shown),
                )
            )
        body += [Note(text=words(warning)) for warning in record.warnings]
        body += [Note(text=words(each)) for each in images.usable(record, context.where.services)[1]]
        if len(known) > len(shown):
            body.append(Note(text=sentence(f"{len(known) - len(shown)} older: `releases --limit {len(known)}`.")))
        if not good:
            body.append(
                Note(text=sentence(f"`releases adopt --env {where}` records what runs now as the first good release."))
            )
        back = Button(label="Roll back…", does=Typed(text=f"rollback --dry-run --env {where}"))
        return Card(
            title=words(Strong(text=text)),
            summary=text,
            body=tuple(body),
            buttons=(back,) if good else (),
            data={"environment": where, "releases": [release.model_dump(mode="json") for release in known]},
        )


def _row(release: Release) -> tuple[Text, ...]:
    digests = " ".join(dict.fromkeys(f"{each.service} {_short(each.image)}" for each in release.services))
    verdict = f"bad: {release.why}" if release.verdict == "bad" and release.why else release.verdict
    options = f" ({', '.join(release.unusual)})" if release.unusual else ""
    return (
        words(f"{release.version}{options}"),
        words(verdict),
        words(moment(release.at)),
        words(release.by),
        words(", ".join(release.approved_by)),
        words(duration(release.seconds)) if release.seconds is not None else words(""),
        words(Code(text=digests)) if digests else words("never ran completely"),
    )


def _short(image: Image) -> str:
    return short_digest(image.digest or "") or "tag only"


class ReleasesAdopt(EnvironmentDecision):
    """Record what runs now as a good release that a later rollback can go back to."""

    meta = DecisionMeta(
        permission="rollout:write",
        group="act",
        examples=["", '--env staging --reason "before the first deploy"'],
        name="releases adopt",
        private=False,
        audit_event="release:adopted",
    )

    reason: Words | None = option("why, for the audit log")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def decide(self, context: Context) -> Card:
        where = context.where
        record = await as_it_is(context, await context.fleet.read(where))
        if record.run is not None:
            raise PermanentError(
                f"{record.run.by}'s run is changing {where.name} right now: {record.run.title}. Adopt after it has ended.",
                code=ReasonCode.NOT_A_RELEASE,
            )
        current = await service_state.current(context.cluster, where)
        known = await context.fleet.releases(where)
        release = _adopted(context, current, known)
        await context.fleet.record_release(where, release)
        text = f"{context.actor.name} recorded {release.version} as a good release in {where.name}"
        return Card(
            state=State.DONE,
            title=words(Strong(text=text)),
            summary=text,
            body=(Note(text=sentence("Nothing was changed; `rollback` can go back to this release from now on.")),),
            data={"environment": where.name, "release": release.model_dump(mode="json")},
        )


def _adopted(context: Context, current: list[service_state.ServiceState], known: tuple[Release, ...]) -> Release:
    """What runs, as a release; `PermanentError` where it could not be gone back to."""
    where = context.where.name
    for service in current:
        if service.foreign:
            raise PermanentError(
                f"{service.foreign[:-1]}, so it is not a release.",
                code=ReasonCode.FOREIGN_IMAGE,
                advice=("`deploy VERSION` rolls out an image from the configured repository.",),
            )
        if not service.runs_completely or service.ready < service.desired or service.desired == 0:
            why = (
                service.detail
                or f"{service.ready} of {counted(service.desired, 'pod')} {by_count(service.ready, 'is', 'are')} ready"
            )
            raise PermanentError(
                f"{service.service} does not run completely in {where} ({why}), so this is not a good release yet.",
                code=ReasonCode.NOT_A_RELEASE,
            )
    running = {service.service: service_state.pinned(service) for service in current}
    pinned = {name: image for name, image in running.items() if image is not None and image.digest is not None}
    if missing := [name for name in running if name not in pinned]:
        raise PermanentError(
            f"The digest of {listed(missing)} in {where} is unknown, so a rollback could not restore it exactly.",
            code=ReasonCode.NOT_A_RELEASE,
        )
    version = versions(pinned.values())
    if version in last_good.bad_versions(known):
        raise PermanentError(
            f"{version} was marked bad in {where}, so a rollback would never use it.", code=ReasonCode.NOT_A_RELEASE
        )
    if (
        known
        and known[0].verdict == "good"
        and known[0].version == version
        and last_good.runs_completely(known[0], current)
    ):
        raise PermanentError(
            f"{version} is already the newest recorded release in {where}.", code=ReasonCode.NOTHING_TO_DO
        )
    return Release(
        version=version,
        services=tuple(
            ReleasedService(service=each.service, image=pinned[each.service], revision=each.revision)
            for each in current
        ),
        run="",
        by=context.actor.name,
        at=utc_now(),
        why="adopted as it ran",
    )
