"""The target groups of a load balancer: which of a service's pods or instances pass its health check. They are only looked at."""

import asyncio
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from runbooks.clients.aws.client import AwsApi, AwsClient
from runbooks.kit.errors import RunbookError
from runbooks.kit.targets import Frozen

_ARN = r"^arn:aws[a-z-]*:elasticloadbalancing:[a-z0-9-]{5,25}:[0-9]{12}:targetgroup/[A-Za-z0-9-]{1,32}/[0-9a-f]{16}$"
TargetGroupArn = Annotated[str, StringConstraints(pattern=_ARN)]
"""`arn:aws:elasticloadbalancing:REGION:ACCOUNT:targetgroup/NAME/ID`."""
_WORD = re.compile(r"[A-Za-z][A-Za-z.]{0,60}")
_TARGET = re.compile(r"[A-Za-z0-9.:_-]{1,64}")
_CODES = re.compile(r"\[([1-5][0-9]{2}(?:, ?[1-5][0-9]{2})*)\]")

_ELB = AwsApi(
    id="elbv2",
    name="Elastic Load Balancing",
    said={
        "TargetGroupNotFound": (
            "there is no such target group in the account",
            "Check the ARN under `load_balancer` in `omnicare.toml`, and the account of the bot's credentials.",
        ),
    },
)


class LoadBalancerSettings(Frozen):
    """The target groups of the load balancer in front of the services."""

    targets: dict[str, Annotated[tuple[TargetGroupArn, ...], Field(min_length=1, max_length=8)]] = Field(min_length=1)
    """Service → the ARNs of its target groups, of every region; the region is part of an ARN."""
    endpoint: str | None = None
    """An address other than AWS's own, `https://…`."""


class LoadBalancerTarget(Frozen):
    """A pod's address or an instance, as the load balancer sees it."""

    id: str
    port: int | None
    zone: str = ""
    state: str
    """`healthy`, `unhealthy`, `initial`, `draining`, `unused`, `unavailable`, or another word of AWS's."""
    reason: str = ""
    """AWS's code, such as `LoadBalancerTarget.Timeout`."""
    codes: str = ""
    """The statuses with which it answered its health check: `502, 503`."""

    @property
    def named(self) -> str:
        """Return such as `10.0.3.7:3001`."""
        return self.id if self.port is None else f"{self.id}:{self.port}"


class TargetGroup(Frozen):
    """One group; or why it could not be asked."""

    service: str
    name: str
    aws_region: str
    targets: tuple[LoadBalancerTarget, ...] = ()
    why: str = ""
    """Why it is unknown, and what to do, without the last full stop."""


class TargetGroups:
    """Those of one environment. Making it does no I/O."""

    def __init__(self, settings: LoadBalancerSettings, *, throw_away: bool = False, read_seconds: float = 4.0) -> None:
        """`throw_away`: a sandbox's, for which real credentials are never looked up."""
        self.settings = settings
        regions = {_region(arn) for arns in settings.targets.values() for arn in arns}
        self._clients: Mapping[str, AwsClient] = {
            region: AwsClient(
                _ELB, region=region, endpoint=settings.endpoint, throw_away=throw_away, read_seconds=read_seconds
            )
            for region in regions
        }

    def load(self) -> None:
        """Import what the first look would wait for; in a thread."""
        for client in self._clients.values():
            client.load()

    async def look(self) -> tuple[TargetGroup, ...]:
        """Return every group, asked side by side. Never raises: one that can't be asked says why."""
        asked = [(service, arn) for service, arns in self.settings.targets.items() for arn in arns]
        return tuple(await asyncio.gather(*(self._group(service, arn) for service, arn in asked)))

    async def _group(self, service: str, arn: str) -> TargetGroup:
        region, name = _region(arn), arn.split("/")[1]
        group = TargetGroup(service=service, name=name, aws_region=region)

        def read(elb: Any) -> list[Any]:
            return list(elb.describe_target_health(TargetGroupArn=arn).get("TargetHealthDescriptions", ()))

        try:
            found = await self._clients[region].call(
                f"show the targets of {name}", read, needs="elasticloadbalancing:DescribeTargetHealth"
            )
        except RunbookError as error:
            return group.model_copy(update={"why": " ".join((error.message, *error.advice)).rstrip(".")})
        return group.model_copy(update={"targets": tuple(map(_target, found))})


def _region(arn: str) -> str:
    return arn.split(":")[3]


def _target(found: Mapping[str, Any]) -> LoadBalancerTarget:
    """AWS's description is never shown whole; only the statuses that it names are read from it."""
    target, health = found.get("Target") or {}, found.get("TargetHealth") or {}
    port, codes = target.get("Port"), _CODES.search(str(health.get("Description") or ""))
    return LoadBalancerTarget(
        id=_plain(_TARGET, target.get("Id")) or "an unknown target",
        port=port if isinstance(port, int) else None,
        zone=_plain(_TARGET, target.get("AvailabilityZone")),
        state=_plain(_WORD, health.get("State")) or "unknown",
        reason=_plain(_WORD, health.get("Reason")),
        codes=codes[1] if codes else "",
    )


def _plain(form: re.Pattern[str], value: object) -> str:
    return value if isinstance(value, str) and form.fullmatch(value) else ""
