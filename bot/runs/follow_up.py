"""One request that follows another: the same once more (`retry`), or going back from it.

Its id is made from the request that it follows, so asking twice is asking once. What was approved there may count here: see
`carried`.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any

from bot.policy.approvals import ApprovalDecision, lacks_role
from bot.runs.model import Request, RequestState, request_id
from bot.runs.notes import AuditNotes
from bot.runs.store import RunStore
from commands.kit.command import Operation
from commands.kit.context import Actor, Context
from commands.kit.orphaned_run import as_it_is
from commands.kit.policy import ApprovalPolicy
from commands.kit.registry import Registry
from commands.kit.typed_again import typed_again
from runbooks.kit.errors import RunbookError
from runbooks.kit.plan import Plan


class FollowUps:
    """Makes them; one per process."""

    def __init__(self, registry: Registry, notes: AuditNotes, clock: Callable[[], datetime]) -> None:
        self._registry = registry
        self._notes = notes
        self._clock = clock

    def following(
        self, of: Request, command: str, arguments: dict[str, Any], actor: Actor, reason: str | None, number: int = 1
    ) -> Request:
        """Return the request that follows `of` in its channel, the first or a later one; not yet written down or started."""
        asked = self._registry.operation(command, arguments).without_start_time()  # its time was then
        return Request(
            id=request_id(of.environment, command, f"follows:{of.id}{f'/{number}' if number > 1 else ''}"),
            command=command,
            arguments=asked.arguments(),
            environment=of.environment,
            text=typed_again(asked),
            title=asked.title(of.environment),
            requester=actor,
            channel=of.channel,
            threaded=of.threaded,
            at=self._clock(),
            reason=reason or asked.reason,
            ticket=asked.ticket,
            follows=of.id,
        )

    async def going_back(self, of: Request, actor: Actor) -> Request | None:
        """Write down the rollback from `of` and return it; None where the audit log can't be written (people see that it is missing there)."""
        arguments = {"after": of.id, "env": of.environment}
        request = self.following(of, "rollback", arguments, actor, None)
        return request if await self._notes.requested(request) else None


async def planned(store: RunStore, request: Request, command: Operation, context: Context) -> Plan:
    """Return the command's plan; for a retry, without the steps that only the runs before it know to be done."""
    plan = await command.plan(context)
    done: set[str] = set()
    before, again = request.follows, request.id.split(".")[1]
    while (
        before is not None and before.split(".")[1] == again
    ):  # a retry of a retry: each run knows only what it did itself
        done |= await store.done(before)
        of = await store.ended_request(before)
        before = of.follows if of is not None else None
    followed = await store.state(request.follows) if done and request.follows is not None else None
    return plan.without(done, followed.plan if followed is not None else None)


async def undecided(context: Context) -> str | None:
    """Return the run that left the environment undecided; a cluster that does not say so carries nothing over."""
    try:
        found = (await as_it_is(context, await context.fleet.read(context.where))).undecided
    except RunbookError:
        return None
    return found.run if found is not None else None


def carried(
    request: Request,
    plan: Plan,
    of: RequestState | None,
    policy: ApprovalPolicy | None,
    *,
    now: datetime,
    holders: Collection[str],
    undecided: str | None,
) -> tuple[ApprovalDecision, ...]:
    """Return the approvals of the request that this one tries again, where they count for `plan` too; else nothing.

    They count as long as the policy lets an approval stand, for a plan that leads nowhere but where they said, from people who
    could still give it (`holders`), and never where the one who asks now is one of them. What came of its run is still to be
    decided (`undecided`: the run of which that is so): once somebody went back or left it as it is, a yes from before is none.
    """
    if of is not None and of.started is not None and undecided != request.follows:
        return ()
    if of is None or of.plan is None or policy is None or policy.own or not of.approved_by:
        return ()
    if of.scheduled and of.go is None:
        return ()  # it was approved for a time, at a go that nobody said
    given = of.approved_by
    until = min(decision.at for decision in given) + timedelta(seconds=policy.expires_seconds)
    people = {each.by for each in given}
    if now >= until or len(people) < policy.count or request.requester.key in people:
        return ()
    if not people <= set(holders) or lacks_role(policy, given):
        return ()
    return given if plan.completes(of.plan) else ()
