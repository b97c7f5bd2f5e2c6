"""`releases`: what was rolled out here, good or bad. `releases adopt`: what runs today becomes a recorded release.

A new installation has no releases recorded, and so nothing that a rollback could call known good; adopting says so once.
"""

from typing import Annotated

from commands.kit.card import Button, Card, Code, Element, Note, Strong, Table, Text, Typed, moment, sentence, words
from commands.kit.command import Operation, Query
from commands.kit.context import Context, Outcome
from commands.kit.endings import ending_card
from commands.kit.policy import Risk
from commands.kit.spec import CHANNEL_DEFAULT, OperationMeta, QueryMeta, option
from commands.kit.types import EnvironmentName, NumberType
from runbooks.deployments import images
from runbooks.fleet.fleet import Release
from runbooks.kit.plan import Image, Plan, versions
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Results
from runbooks.release.adopting import plan_adopt
from runbooks.release.rollouts import CheckResult
from runbooks.release.steps import CheckRollout, images_of
from runbooks.wording import counted, duration, listed, short_digest


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
            body.append(
                Note(text=sentence(f"{len(known) - len(shown)} older: `releases --limit {len(known)} --env {where}`."))
            )
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
    limits = (*release.unusual, *((f"{listed(release.regions)} only",) if release.regions else ()))
    options = f" ({', '.join(limits)})" if limits else ""
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


class ReleasesAdopt(Operation):
    """Record what runs now as a good release that a later rollback can go back to; no pod is changed."""

    meta = OperationMeta(
        permission="rollout:write",
        risk=Risk.REVERSIBLE,
        examples=["", '--env staging --reason "before the first deploy"'],
        name="releases adopt",
    )

    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    def title(self, environment: str) -> str:
        return f"Record what runs in {environment} as a good release"

    @property
    def after_rollback(self) -> bool:
        """A rollback to what no record knows recommends it, and no pod is changed."""
        return True

    async def plan(self, context: Context) -> Plan:
        return await plan_adopt(context.fleet, context.where, context.places)

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:
        warnings = [each for _, found in results.each(CheckRollout, CheckResult) for each in found.warnings]
        version = versions(change.after for change in images_of(plan))
        return Outcome(
            code=ReasonCode.SUCCEEDED,
            title=f"{version} is recorded as a good release of {context.where.name}",
            lines=("Nothing was changed; `rollback` can go back to this release from now on.", *warnings),
            data={"version": version},
        )

    def card(self, outcome: Outcome) -> Card:
        return ending_card(
            outcome, buttons=(Button(label="Releases", does=Typed(text=f"releases --env {outcome.environment}")),)
        )
