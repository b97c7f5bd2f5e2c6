"""`verify`: the checks that end a deploy, made now of what runs, without a change and without waiting."""

from collections.abc import Sequence

from commands.kit.card import Button, Card, Note, State, Strong, Table, Text, Typed, sentence, words
from commands.kit.command import Query
from commands.kit.context import Context
from commands.kit.follow_ups import ROLL_BACK
from commands.kit.spec import CHANNEL_DEFAULT, FollowUp, QueryMeta, option
from commands.kit.types import EnvironmentName
from runbooks.deployments.places import Place
from runbooks.verification.checks import CheckInput, MeasuredValue
from runbooks.verification.findings import Verdict, VerificationFinding, Verified
from runbooks.verification.verification import Verification
from runbooks.wording import counted, duration, listed, shortened

_WITHIN = 5.0
"""Seconds for each check: somebody waits for the card."""
_LONGEST = 160


class Verify(Query):
    """Check whether the running release works: health, database connection, measured values, alerts, sync queue.

    It makes the checks that end each deploy, over the last minutes and without waiting. It does not run the smoke tests, which need a
    Job: `verify smoke` does.
    """

    meta = QueryMeta(
        permission="fleet:read",
        examples=["", "--env staging"],
        next=(FollowUp(command="diagnose", trouble=True), ROLL_BACK),
    )

    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def answer(self, context: Context) -> Card:
        verification = context.use(Verification, "verification")
        places = [place for place in context.places if not place.region.maintenance]
        left_out = await _not_permitted(context, verification, places)
        seconds = verification.settings.bake_seconds
        asked = CheckInput(health=context.health, seconds=seconds)
        found = await verification.look(asked, places=places, left_out=left_out, within=_WITHIN)
        measured = frozenset(each.name for each in verification.checks_in(places) if isinstance(each, MeasuredValue))
        closed = [
            f"Region {place.name} is not checked: it is in maintenance ({place.region.maintenance})."
            for place in context.places
            if place.region.maintenance
        ]
        return _card(context.where.name, found, seconds, left_out, measured, closed)


async def _not_permitted(context: Context, verification: Verification, places: Sequence[Place]) -> dict[str, str]:
    """Name of a check → the permission for it that this person lacks."""
    needed = {check.name: check.permission for check in verification.checks_in(places) if check.permission}
    may = context.authority.may
    return {
        name: permission
        for name, permission in needed.items()
        if not await may(context.actor, permission, context.where.name)
    }


def _card(
    where: str,
    found: Verified,
    seconds: float,
    left_out: dict[str, str],
    measured: frozenset[str],
    closed: Sequence[str],
) -> Card:
    failed, unknown = found.having(Verdict.FAILED), found.having(Verdict.INCONCLUSIVE)
    passed = len(found.having(Verdict.PASSED))
    said = f"{passed} of {counted(len(found.findings), 'check')} passed in {where}"
    troubles = [f"{listed(each.name for each in failed)} failed"] if failed else []
    troubles += [f"{listed(each.name for each in unknown)} inconclusive"] if unknown else []
    text = f"{said}: {', '.join(troubles)}" if troubles else said
    why = [f"{each.name}: {shortened(each.detail, _LONGEST)}" for each in (*failed, *unknown) if each.detail]
    over = f"Measured over the last {duration(max(1.0, seconds))}. `verify smoke` runs the smoke tests."
    missing = [f"{name} is not checked: you need the permission {needed}." for name, needed in left_out.items()]
    looks = [Button(label="Status", does=Typed(text=f"status --env {where}"))]
    if any(each.name in measured for each in (*failed, *unknown)):
        looks.insert(0, Button(label="Metrics", does=Typed(text=f"metrics --env {where}")))
    return Card(
        state=State.FAILED if failed else State.WAITING if unknown else State.DONE,
        title=words(Strong(text=text)),
        summary=text,
        body=(
            Table(columns=("Check", "Value", "Limit", "Verdict"), rows=tuple(map(_row, found.findings))),
            *(Note(text=words(line)) for line in (*why, *missing, *closed)),
            Note(text=sentence(over)),
        ),
        buttons=tuple(looks),
        data={
            "environment": where,
            "ok": not failed and not unknown,
            "checks": [each.model_dump(mode="json") for each in found.findings],
            "left_out": left_out,
        },
    )


def _row(finding: VerificationFinding) -> tuple[Text, ...]:
    verdict = finding.verdict
    needed = "" if finding.required else ", not required"
    shown = words(verdict) if verdict is Verdict.PASSED else words(Strong(text=f"{verdict}{needed}"))
    return (words(finding.name), words(finding.value or "\N{EN DASH}"), words(finding.limit or "\N{EN DASH}"), shown)
