"""`cancel RUN`: stops a run where it is, or stops it and goes back; the typed form of the progress card's button."""

from collections.abc import Mapping
from typing import Annotated

from commands.kit.command import RunDecision
from commands.kit.context import Context, Denied
from commands.kit.spec import RunDecisionMeta, option
from commands.kit.types import ChoiceType
from runbooks.kit.errors import RunbookError
from runbooks.observe import pods


class Cancel(RunDecision):
    """Stop a run where it is; changes stay, or are rolled back right away with `--then rollback`."""

    meta = RunDecisionMeta(permission=None, examples=["7KQ2", "7KQ2 --then rollback"], form_button="Stop the run")

    then: Annotated[str | None, ChoiceType("choice", ("stay", "rollback"))] = option(
        "stay: keep what was changed and let Kubernetes finish; rollback: go back to the last known good release"
    )

    @classmethod
    async def form_intro(cls, context: Context, filled: Mapping[str, str]) -> str:
        # the pods of each version, as they are now
        try:
            record = await context.runs.find(filled.get("run", ""))
            where = context.environments[record.environment]
            return f"{record.title} (run {record.short}). Now: {await pods.by_version(context.cluster, where)}."
        except (Denied, RunbookError, KeyError):
            return ""
