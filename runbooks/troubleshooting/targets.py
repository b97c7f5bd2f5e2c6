"""The load balancer: whether a service's targets pass its health check."""

from runbooks.clients.aws.target_groups import TargetGroup, TargetGroups
from runbooks.observe import target_health
from runbooks.troubleshooting.case import Case
from runbooks.troubleshooting.findings import Confidence, Finding, RuleAnswer, ToDo, Trouble, not_configured
from runbooks.troubleshooting.rule import Rule
from runbooks.wording import counted


class Targets(Rule):
    """Looks at every configured target group, in every region."""

    name = "load balancer targets"
    permission = "fleet:read"
    seconds = 6.0

    async def look(self, case: Case) -> RuleAnswer:
        """Return which services have unhealthy targets; those that come or go with a rollout are no trouble."""
        asked = case.find(TargetGroups)
        if asked is None:
            return not_configured()
        names = {each.name for each in case.services}
        groups = [each for each in await asked.look() if each.service in names]
        if not groups:
            return not_configured()
        known = [each for each in groups if not each.why]
        return RuleAnswer(
            found=tuple(_finding(each, case) for each in known if target_health.trouble(each)),
            unknown=tuple(f"{each.name}: {each.why}" for each in groups if each.why),
            details=counted(sum(len(each.targets) for each in known), "target"),
        )


def _finding(group: TargetGroup, case: Case) -> Finding:
    none = not target_health.serving(group)
    return Finding(
        kind=Trouble.TARGETS,
        cause=target_health.trouble(group),
        evidence=tuple(target_health.evidence(group)),
        confidence=Confidence.CERTAIN if none else Confidence.LIKELY,
        service=group.service,
        region=target_health.region_of(group, case.environment),
        explains=(Trouble.ERRORS, Trouble.SLOW, Trouble.METRIC, Trouble.ALERT, Trouble.WEBSOCKET_DROPS),
        to_do=(
            ToDo(text="See whether its pods are ready", command=f"describe {group.service}", label="Describe"),
            ToDo(text="Look for the health check in its log", command=f"logs {group.service}", label="Logs"),
            ToDo(
                text="If its pods are healthy, compare the health check's path, port and security group with the service's"
            ),
        ),
    )
