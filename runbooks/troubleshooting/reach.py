"""Whether each region's cluster answers at all: where it does not, every other rule can say only that it could not look."""

from runbooks.kit.errors import RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.troubleshooting.case import Case, PlaceFacts
from runbooks.troubleshooting.findings import Confidence, Finding, RuleAnswer, ToDo, Trouble, found
from runbooks.troubleshooting.rule import RegionRule


class Clusters(RegionRule):
    """Looks at whether the Kubernetes API answers."""

    name = "Kubernetes API"
    permission = "fleet:read"

    async def look_at(self, case: Case, place: PlaceFacts) -> RuleAnswer:
        """Return a finding where it can't be reached, and the client's words why."""
        try:
            await place.listed()
        except RunbookError as error:
            if error.code is not ReasonCode.CLUSTER_UNREACHABLE:
                raise
            return found(_away(case, error.message))
        return found()


def _away(case: Case, why: str) -> Finding:
    others = (
        ToDo(
            text="If the other regions have to go back now: `rollback` leaves out a region that does not answer, or offers `--without-record` if it is home"
        ),
    )
    return Finding(
        kind=Trouble.CLUSTER,
        cause="The Kubernetes API does not answer",
        evidence=(why, "Running pods may still serve; the API is needed only to read and change them."),
        confidence=Confidence.CERTAIN,
        to_do=(
            ToDo(text="See whether people are served: health URLs, metrics, alerts", command="status", label="Status"),
            ToDo(text="Look at the cluster in its provider's console, and at the network between it and the bot"),
            *(others if len(case.places) > 1 else ()),
        ),
    )
