"""`run SCRIPT [ARGUMENT]`: one of the configured scripts, in a ready pod or as a Job."""

from collections.abc import Sequence
from typing import Annotated

from commands.kit.card import Button, Card, Preformatted, Typed
from commands.kit.command import Operation
from commands.kit.context import Context, Outcome
from commands.kit.endings import ending_card
from commands.kit.policy import ApprovalPolicy, Policies, Risk, raised
from commands.kit.script_type import ScriptArgumentType, ScriptType
from commands.kit.spec import CHANNEL_DEFAULT, OperationMeta, argument, option
from commands.kit.types import EnvironmentName, nearest
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Results
from runbooks.kit.targets import NamedScript
from runbooks.scripts.settings import ConfiguredScript, Scripts
from runbooks.scripts.steps import RunScript, ScriptRan, plan_script
from runbooks.wording import cited, listed

_PERMISSION = "script:run"


class Run(Operation):
    """Run a script of the application that the configuration names, and nothing else: in a ready pod, or as a Job.

    Its arguments are fixed or chosen from a list. A script that changes something needs an approval by its risk; one that only reads needs none, and
    waits for no run and no lock. No shell is involved, and there is no way to run anything else.
    """

    meta = OperationMeta(
        permission=_PERMISSION, risk=Risk.REVERSIBLE, examples=["cache-warm wards", "sessions"], name="run"
    )

    script: Annotated[str, ScriptType()] = argument("one of those that `help run` lists")
    choice: Annotated[str | None, ScriptArgumentType()] = argument(
        "the script's argument, if it takes one", default=None
    )
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    def title(self, environment: str) -> str:
        return f"Run {self._typed} in {environment}"

    @property
    def _typed(self) -> str:
        return " ".join(filter(None, (self.script, self.choice)))

    def only_reads(self, context: Context) -> bool:
        found = context.find(Scripts)
        script = found.by_name.get(self.script) if found is not None else None
        return script is not None and not script.changes

    @classmethod
    def help_lines(cls, context: Context) -> Sequence[str]:
        known = [
            f"`{_typed(name, each)}` in {place.name}: {each.about.rstrip('.') or 'no description'}. "
            f"{'Changes something' if each.changes else 'Only reads'}."
            for place in context.environments.values()
            for name, each in place.scripts.items()
        ]
        return known or ["No scripts are configured: add `[environments.….scripts.NAME]` to `omnicare.toml`."]

    async def plan(self, context: Context) -> Plan:
        where = context.where
        script = _known(context, self.script)
        if script.permission is not None and not await context.authority.may(
            context.actor, script.permission, where.name
        ):
            roles = listed(context.authority.roles_with(script.permission, where.name), "or")
            raise PermanentError(
                f"`{self.script}` needs the permission {script.permission} in {where.name} too, which you don't have. Roles with it: {roles}.",
                code=ReasonCode.NOT_PERMITTED,
            )
        return await plan_script(context.cluster, where, self.script, script, _chosen(self.script, script, self.choice))

    def approval(self, policies: Policies, plan: Plan) -> ApprovalPolicy | None:
        step = next((each for each in plan.steps if isinstance(each, RunScript)), None)
        if step is None or step.writes:
            return raised(policies.of(Risk(step.risk) if step is not None else self.meta.risk), plan.unusual)
        return ApprovalPolicy(count=0, permission=_PERMISSION)

    def outcome(self, context: Context, plan: Plan, results: Results) -> Outcome:  # noqa: ARG002 - the step's result says it
        ran = results.only(RunScript, ScriptRan)
        return Outcome(
            code=ReasonCode.SUCCEEDED,
            title=f"{self._typed} ran in {context.where.name}",
            lines=(f"In {ran.where}." if ran.lines else f"In {ran.where}; it printed nothing.",),
            data={"script": self.script, "where": ran.where, "output": list(ran.lines)},
        )

    def card(self, outcome: Outcome) -> Card:
        where = outcome.environment
        again = Button(label="Run it again", does=Typed(text=f"run {self._typed} --env {where}"))
        card = ending_card(outcome, buttons=(again,))
        output = outcome.data.get("output")
        if not isinstance(output, list) or not output:
            return card
        printed = Preformatted(label="End of its output", text="\n".join(map(str, output)))
        return card.model_copy(update={"body": (printed, *card.body)})


def _typed(name: str, script: NamedScript) -> str:
    """Return how it is typed: `run cache-warm wards|drugs`."""
    return " ".join(filter(None, ("run", name, "|".join(script.choices))))


def _known(context: Context, name: str) -> ConfiguredScript:
    """Return the script of that name here; PermanentError, with what was probably meant, where there is none."""
    found = context.use(Scripts, "scripts").by_name
    if name in found:
        return found[name]
    meant = nearest(name, found)
    hint = f"Did you mean `{meant}`?" if meant else f"There are: {', '.join(found)}."
    raise PermanentError(
        f"{context.where.name} has no script {cited(name)}.", code=ReasonCode.NOT_FOUND, advice=(hint,)
    )


def _chosen(name: str, script: ConfiguredScript, choice: str | None) -> str | None:
    """Return the argument, which must be one of the list; PermanentError where it is none, is missing, or where none is taken."""
    if choice in script.choices or (choice is None and not script.choices):
        return choice
    if not script.choices:
        raise PermanentError(f"Script {name} takes no argument.", code=ReasonCode.NOT_FOUND)
    meant = nearest(choice, script.choices) if choice is not None else None
    hint = f"Did you mean `{meant}`?" if meant else f"Name one of: {', '.join(script.choices)}."
    what = (
        f"Script {name} has no argument {cited(choice)}" if choice is not None else f"Script {name} needs an argument"
    )
    raise PermanentError(f"{what}.", code=ReasonCode.NOT_FOUND, advice=(hint,))
