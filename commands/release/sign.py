"""`sign VERSION NAME`: a named person signs off a manual check for a release."""

from datetime import UTC

from commands.kit.card import Button, Card, Moment, State, Strong, Typed, words
from commands.kit.command import EnvironmentDecision
from commands.kit.context import Context, Denied
from commands.kit.parsing import UsageError
from commands.kit.spec import CHANNEL_DEFAULT, DecisionMeta, argument, option
from commands.kit.types import EnvironmentName, SignatureName, Version
from runbooks.fleet.signatures import Signature
from runbooks.gates.settings import GateSettings, SignatureSettings
from runbooks.gates.signatures import Signers
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.waiting import side_by_side
from runbooks.wording import listed

_PERMISSION = "gate:sign"


class Sign(EnvironmentDecision):
    """Sign off a manual check for a release, such as updated API documentation.

    The environment's configuration says which signatures a deploy needs, who may give them and how long they are valid. A signature is for the
    images that the version's tags name now.
    """

    meta = DecisionMeta(
        permission=_PERMISSION,
        examples=["v2.0.0 api-documentation"],
        private=False,
        audit_event="gate:signed",
    )

    version: Version = argument("the release")
    name: SignatureName = argument("the signature's name, as the plan shows it")
    env: EnvironmentName = option("where the release will be deployed", default=CHANNEL_DEFAULT)

    async def decide(self, context: Context) -> Card:
        asked = self._asked(context)
        await _may(context, asked)
        now = context.now.astimezone(UTC)
        services = context.where.services
        found = await side_by_side(*(context.registry.resolve(each.repository, self.version) for each in services))
        signature = Signature(
            version=self.version,
            name=asked.name,
            person=context.actor.key,
            by=context.actor.name,
            at=now.isoformat(timespec="seconds"),
            digests={service.name: digest for service, digest in zip(services, found, strict=True)},
        )
        await context.fleet.sign(context.where, signature)
        text = f"{context.actor.name} signed for {self.version} in {context.where.name}: {asked.text}"
        return Card(
            state=State.DONE,
            title=words(Strong(text=text), ", ", Moment(at=now, form="date-time")),
            summary=f"{text}. Valid for {asked.max_age_hours:g} h",
            buttons=(
                Button(
                    label=f"Deploy {self.version}",
                    does=Typed(text=f"deploy {self.version} --env {context.where.name}"),
                ),
            ),
            data={"environment": context.where.name, "signature": signature.model_dump(mode="json")},
        )

    def _asked(self, context: Context) -> SignatureSettings:
        settings = context.use(GateSettings, "gates")
        found = next((each for each in settings.signatures if each.name == self.name), None)
        if found is None:
            names = [f"`{each.name}`" for each in settings.signatures]
            there = f"Use {listed(names, 'or')}." if names else f"{context.where.name} has no signatures configured."
            raise UsageError(
                f"There is no signature `{self.name}`. {there}",
                usage="sign VERSION NAME",
                example=f"sign {self.version} {settings.signatures[0].name}"
                if names
                else "sign v2.0.0 api-documentation",
            )
        return found


async def _may(context: Context, asked: SignatureSettings) -> None:
    """Raises Denied where it is for another role."""
    if asked.role is None:
        return
    if asked.role not in await context.use(Signers, "gates").roles(context.actor.key, context.where.name):
        raise Denied(
            f"Only somebody with the role {asked.role} in {context.where.name} can sign `{asked.name}`, and you don't have that role.",
            code=ReasonCode.NOT_PERMITTED,
        )
