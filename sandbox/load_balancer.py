"""The target groups of the sandbox's load balancer, in moto: three targets for each service, healthy unless a scenario says otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from sandbox.aws_services import ACCOUNT, REGION, Refusal

if TYPE_CHECKING:
    from moto.elbv2.models import FakeHealthStatus, FakeTargetGroup

TargetFault = Literal["one", "all"]
_PORTS = {"backend": 3001, "frontend": 8080}
_TARGETS = 3
ARNS = {
    service: f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/omnicare-{service}/{place:016x}"
    for place, service in enumerate(_PORTS, 1)
}
"""Service → its target group."""


class TargetGroups:
    """`wanted`: how the backend's targets fail: one of them, or all."""

    def __init__(self) -> None:
        self.wanted: set[TargetFault] = set()

    def want(self, how: TargetFault, *, broken: bool) -> None:
        """Break it that way, or mend that."""
        (self.wanted.add if broken else self.wanted.discard)(how)

    def furnish(self) -> None:
        from moto.backends import get_backend
        from moto.elbv2.models import FakeTargetGroup

        # moto's own calls every target healthy
        group: Any = type(
            "Group", (FakeTargetGroup,), {"health_for": lambda made, target, _: self.health(made, target)}
        )
        backend = get_backend("elbv2")[ACCOUNT][REGION]
        for number, (service, port) in enumerate(_PORTS.items(), 1):
            made = group(f"omnicare-{service}", ACCOUNT, REGION, "vpc-sandbox", "HTTP", str(port), target_type="ip")
            made.arn = ARNS[service]
            for place in range(_TARGETS):
                address = f"10.0.{number}.{10 + place}"
                made.targets[address] = {"Id": address, "Port": port}
            backend.target_groups[made.arn] = made

    def health(self, group: FakeTargetGroup, target: dict[str, Any]) -> FakeHealthStatus:
        """Return how the load balancer sees it."""
        from moto.elbv2.models import FakeHealthStatus

        fails = group.arn == ARNS["backend"] and (
            "all" in self.wanted or ("one" in self.wanted and target["Id"].endswith(".10"))
        )
        said = ("unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [503]")
        return FakeHealthStatus(target["Id"], target["Port"], None, *(said if fails else ("healthy",)))

    def before(self, environ: dict[str, Any]) -> Refusal | None:  # noqa: ARG002 - moto answers as AWS does
        return None
