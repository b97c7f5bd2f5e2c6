"""What the gates add to the plan of a deploy: their table, and why it can't be approved where one has not passed."""

from collections.abc import Sequence
from datetime import datetime

from runbooks.gates.checklist import gates_of
from runbooks.gates.gate import GateResult, Subject
from runbooks.gates.looking import look_at
from runbooks.gates.settings import GateSettings
from runbooks.gates.steps import CheckGates
from runbooks.kit.plan import Refusal
from runbooks.kit.train import Part, Train
from runbooks.wording import by_count, listed

START = "start"
"""The option with the time for which a deploy is planned (ISO 8601)."""


async def plan_part(train: Train) -> Part:
    """Return the gates as they stand, and why the plan can't be approved where a required one has not passed."""
    settings = train.find(GateSettings)
    if train.going_back:
        return Part()
    if settings is None:
        return Part(not_done=("gates (not configured)",))
    start = datetime.fromisoformat(train.options[START]) if START in train.options else train.now
    subject = Subject(
        environment=train.environment,
        version=train.version,
        images=train.changes,
        at=max(start, train.now),
        clients=train.clients,
    )
    results = await look_at(gates_of(settings, subject), subject, settings.seconds)
    return Part(
        first=(CheckGates(version=train.version, images=train.changes, results=results),),
        warnings=_warnings(results),
        refused_by=_refusals([each for each in results if each.stops]),
    )


def _warnings(results: Sequence[GateResult]) -> tuple[str, ...]:
    said = [each.warning for each in results if each.warning]
    advisory = [each for each in results if not each.required and each.state != "passed"]
    return (*said, *(f"Advisory gate {each.name} ({each.state}): {each.evidence}." for each in advisory))


def _refusals(results: Sequence[GateResult]) -> tuple[Refusal, ...]:
    """One for each, but one for all gates that have the same to say: a server that does not answer."""
    alike: dict[tuple[str, str, str], list[GateResult]] = {}
    for each in results:
        alike.setdefault((each.state, each.evidence, each.advice), []).append(each)
    return tuple(
        Refusal(
            what=f"{by_count(len(each), 'Gate', 'Gates')} {listed(one.name for one in each)} ({state}): {evidence}.",
            advice=advice,
            button=each[0].button,
        )
        for (state, evidence, advice), each in alike.items()
    )
