"""Waiting for the environment's lease before the plan is made, and taking it once the plan is approved."""

from functools import partial

from bot.config import Settings
from bot.policy.approvals import ApprovalDecision
from bot.policy.permissions import Permissions
from bot.runs.engine import Engine
from bot.runs.lease import Leases, LeaseSeen, LeaseTaken
from bot.runs.model import DecisionMessage, FreeMessage, OvertakeMessage
from bot.runs.request import endings, schedule
from bot.runs.request.asking_again import Refused
from bot.runs.request.open_request import OpenRequest
from bot.runs.request.planning import Planned
from commands.kit.card import State, sentence
from runbooks.kit.steps import Stop
from runbooks.wording import short_id


class Leasing:
    """One per process."""

    def __init__(self, engine: Engine, leases: Leases, permissions: Permissions, settings: Settings) -> None:
        self._engine = engine
        self._leases = leases
        self._permissions = permissions
        self._settings = settings

    async def wait(self, open_request: OpenRequest) -> None:
        """Wait until no run holds the environment; a rollback, and what is done beside runs, waits for nobody. Raises `Ended` where it is locked or withdrawn."""
        request, back = open_request.request, open_request.goes_back
        while True:
            look = partial(self._leases.look, request, back=back)
            seen = await open_request.step("look at the lease", LeaseSeen, look)
            if seen.failure is not None:
                raise endings.failed(request, seen.failure)
            if seen.reads:
                return
            after_rollback = open_request.command.after_rollback
            passes = back or (seen.freeze is not None and not seen.freeze.stops(after_rollback=after_rollback))
            if seen.freeze is not None and not passes and not schedule.over_by_then(open_request, seen.freeze):
                raise endings.locked(request, seen.freeze)
            if seen.holder is None or back or open_request.command.beside_runs:
                return
            await open_request.publish(phase="waiting", holder=seen.holder, word=seen.word, pending=None)
            await open_request.head(
                State.WAITING,
                f"waiting for {seen.holder}",
                detail=sentence(seen.way_out) if seen.way_out else None,
                buttons=(open_request.withdraw_button(seen.word),),
            )
            while (message := await open_request.receive(self._settings.times.place_recheck)) is not None:
                if isinstance(message, FreeMessage):
                    break
                if isinstance(message, DecisionMessage) and message.act == "withdraw" and message.word == seen.word:
                    raise endings.withdrawn(request, message)

    async def take(self, open_request: OpenRequest, planned: Planned) -> Refused | None:
        """Take the lease and return None; else return why the request has to be planned again."""
        request = open_request.request
        taken = await open_request.step("take the lease", LeaseTaken, partial(self._taken, open_request, planned))
        if taken.overtaken is not None:
            stop = Stop(kind="overtaken", by=f"run {short_id(request.id)}", reason=request.title)
            message = OvertakeMessage(stop=stop).model_dump(mode="json")
            await self._engine.send_if_known(taken.overtaken, message)
        if taken.failure is not None:
            raise endings.failed(request, taken.failure)
        if taken.freeze is not None:
            raise endings.locked(request, taken.freeze)
        return None if taken.result == "taken" else taken.result

    async def _taken(self, open_request: OpenRequest, planned: Planned) -> LeaseTaken:
        if not await self._may_still(open_request, planned):
            return LeaseTaken(result="unfit")
        approved: tuple[ApprovalDecision, ...] = schedule.starts_upon(open_request)
        return await self._leases.take(open_request.request, open_request.command, planned.plan, approved)

    async def _may_still(self, open_request: OpenRequest, planned: Planned) -> bool:
        """Return whether all who approved it may still do so.

        Hours lie between an approval by day and its start, and up to as many between the first yes and the last where it needs
        several; one that alone starts it was looked at just before.
        """
        request, state = open_request.request, open_request.state
        policy = open_request.command.approval(self._settings.policies(request.environment), planned.plan)
        waited = len(state.approved_by) > 1 or (request.appointment is not None and state.go is not None)
        if policy is None or policy.count == 0 or not waited:
            return True
        may = await self._permissions.holders(policy.permission, request.environment)
        by = {decision.by for decision in state.approved_by}
        if policy.one_of_role and not await self._permissions.any_has_role(by, policy.one_of_role, request.environment):
            return False
        return by <= set(may)
