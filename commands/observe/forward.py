"""`forward SERVICE [PORT]`: the line by which a person reaches a service from their own machine."""

from typing import Annotated

from commands.kit.card import Card, Note, Paragraph, Preformatted, Strong, sentence, words
from commands.kit.command import Observation
from commands.kit.context import Context
from commands.kit.regions import RegionName
from commands.kit.spec import CHANNEL_DEFAULT, QueryMeta, argument, option
from commands.kit.types import EnvironmentName, NumberType, ServiceName
from runbooks.observe.forwarding import forward
from runbooks.wording import listed


class Forward(Observation):
    """Show the `kubectl port-forward` line for a service, with the ports that it has in the cluster."""

    tool = ""
    meta = QueryMeta(permission="fleet:read", examples=["backend", "backend 3001 --env staging"])

    service: ServiceName = argument("the service")
    port: Annotated[int, NumberType(1, 65535, name="port", example="3001")] | None = argument(
        "the port of its Kubernetes Service; default: its first", default=None
    )
    region: RegionName | None = option("the region to reach; default: the home region")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        there = context.within(self.region)
        service = there.where.service(self.service)
        assert service is not None, "its type knows the services"
        return ((await forward(there.cluster, there.where, service, self.port)).line,)

    async def answer(self, context: Context) -> Card:
        there = context.within(self.region)
        service = there.where.service(self.service)
        assert service is not None, "its type knows the services"
        found = await forward(there.cluster, there.where, service, self.port)
        text = f"{service.name} in {there.where.shown} through port {found.local} of your machine"
        more = (
            (Note(text=sentence(f"It also has {listed([str(each) for each in found.others])}: add the port.")),)
            if found.others
            else ()
        )
        return Card(
            title=words(Strong(text=text)),
            summary=f"{text}: {found.line}",
            body=(
                Preformatted(text=found.line, to_paste=True),
                Paragraph(
                    text=sentence(
                        f"Run it in your own terminal, with your own access to the cluster. While it runs, "
                        f"`localhost:{found.local}` leads to port {found.port} of the service."
                    )
                ),
                Note(
                    text=words(
                        "The bot can't hold a connection open for you. What you do through it is not in the audit log."
                    )
                ),
                *more,
            ),
            data={"environment": context.where.name, "service": service.name, **found.model_dump(mode="json")},
        )
