"""What the load balancer in front of a service says about its pods: how many take requests, and why the others do not."""

from collections.abc import Iterator, Sequence

from runbooks.clients.aws.target_groups import LoadBalancerTarget, TargetGroup
from runbooks.kit.targets import Environment
from runbooks.wording import counted, listed

_NAMED = 3
_PASSING = frozenset({"initial", "draining"})
"""States of targets that come and go with every rollout."""
_REASONS = {
    "Target.ResponseCodeMismatch": "answers its health check with the wrong status",
    "Target.Timeout": "does not answer its health check in time",
    "Target.FailedHealthChecks": "fails its health check: the connection is refused or breaks",
    "Target.NotRegistered": "is not registered",
    "Target.NotInUse": "is in a zone or a group that the load balancer does not use",
    "Target.InvalidState": "is stopped",
    "Target.IpUnusable": "has an address that the load balancer can't use",
    "Target.HealthCheckDisabled": "is not checked",
    "Elb.InternalError": "could not be checked, because of an error inside the load balancer",
}


def serving(group: TargetGroup) -> list[LoadBalancerTarget]:
    """Return the targets that take requests."""
    return [each for each in group.targets if each.state == "healthy"]


def failing(group: TargetGroup) -> list[LoadBalancerTarget]:
    """Return the targets that should take requests and do not."""
    return [each for each in group.targets if each.state not in {"healthy", *_PASSING}]


def trouble(group: TargetGroup) -> str:
    """Return what is wrong with the group, as a sentence without its full stop; empty where nothing is, or nobody knows."""
    if group.why:
        return ""
    if not group.targets:
        return f"{group.service}: the load balancer has no target in {group.name}"
    bad = failing(group)
    if not bad:
        return ""
    if not serving(group):
        return f"{group.service}: no target of the load balancer is healthy ({group.name})"
    return f"{group.service}: {len(bad)} of {counted(len(group.targets), 'target')} of the load balancer {'is' if len(bad) == 1 else 'are'} unhealthy ({group.name})"


def evidence(group: TargetGroup) -> Iterator[str]:
    """Yield a line for each of the first failing targets."""
    bad = failing(group)
    for each in bad[:_NAMED]:
        said = _REASONS.get(each.reason, f"is {each.state}")
        codes = f" ({each.codes})" if each.codes else ""
        zone = f" in {each.zone}" if each.zone else ""
        yield f"{each.named}{zone} {said}{codes}."
    if (more := len(bad) - _NAMED) > 0:
        yield f"{counted(more, 'more target')}."


def region_of(group: TargetGroup, environment: Environment) -> str:
    """Return the environment's region in that region of AWS; empty where there is none, or one cluster."""
    return next((each.name for each in environment.regions if each.aws_region == group.aws_region), "")


def in_short(groups: Sequence[TargetGroup]) -> str:
    """Return such as `backend 3 of 3 healthy, frontend unknown`."""
    said = (
        f"{each.service} " + ("unknown" if each.why else f"{len(serving(each))} of {len(each.targets)} healthy")
        for each in groups
    )
    return listed(said, most=8).replace(" and ", ", ")
