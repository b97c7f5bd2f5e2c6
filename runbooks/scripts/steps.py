"""The step that runs a configured script, and its plan.

A Job is made once: its name comes from the run, so an interrupted step finds it again. In a pod nothing can be found again: a script that
changes something is written down in the fleet's record before it begins, and one that was begun before is told as unknown, never begun again.
"""

import secrets
import shlex
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import ClassVar, Literal

from pydantic import JsonValue

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.exec import ExecLimits, Program
from runbooks.clients.kubernetes.jobs import JobSpec, SecretVariable
from runbooks.deployments.pod_scripts import PodScripts
from runbooks.deployments.service_state import current, image_for_job
from runbooks.fleet.fleet import Fleet
from runbooks.fleet.script_starts import ScriptStart
from runbooks.jobs.running import run_job
from runbooks.jobs.speaking import SpokenLines, redacted_lines
from runbooks.kit.answers import read_time
from runbooks.kit.diagnosis import Diagnosis
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.plan import Plan
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Cell, Shown, Step, StepContext
from runbooks.kit.targets import Environment, Frozen
from runbooks.kit.waiting import unless_stopped
from runbooks.scripts.settings import ConfiguredScript, Scripts

LINES = 40
"""Of the output that are kept."""
_LARGEST = 1 << 20
"""Bytes of output in a pod."""


class ScriptRan(Frozen):
    """A script ran to its end, and well."""

    where: str
    """The pod or the Job."""
    lines: tuple[str, ...] = ()
    """The end of what it printed, redacted."""


class RunScript(Step):
    """A configured script is run."""

    kind: Literal["run-script"] = "run-script"
    decides: ClassVar[bool] = False
    carried: ClassVar[bool] = False

    script: str
    words: tuple[str, ...]
    service: str
    deployment: str
    container: str = ""
    """Empty in a plan of the version before."""
    namespace: str
    runs: Literal["in-pod", "as-job"]
    writes: bool
    """It changes something."""
    risk: str
    seconds: int
    image: str = ""
    """Of a Job, by its digest."""
    kubectl: str = "kubectl"
    """As a person types it for the region where it runs."""
    secrets: tuple[SecretVariable, ...] = ()
    planned: str = ""
    """When the plan was made (ISO 8601)."""

    @property
    def target(self) -> str:
        return self.script

    @property
    def title(self) -> str:
        return f"Run {self.script}"

    def changes(self) -> dict[str, JsonValue]:
        about: dict[str, JsonValue] = {"words": list(self.words), "service": self.service, "namespace": self.namespace}
        about |= {"runs": self.runs, "writes": self.writes, "risk": self.risk}
        return about | ({"image": self.image} if self.image else {})

    def shown(self) -> Shown:
        where = f"a ready pod of {self.service}" if self.runs == "in-pod" else f"a Job from {self.service}'s image"
        row = (Cell(text=self.script), Cell(text=shlex.join(self.words)), Cell(text=where))
        return Shown(columns=("Script", "Program", "Where"), rows=(row,))

    def by_hand(self) -> tuple[str, ...]:
        if self.runs == "as-job":
            return self._job().by_hand()
        where = f"deployment/{self.deployment}" + (f" -c {self.container}" if self.container else "")
        return (f"{self.kubectl} exec -n {self.namespace} {where} -- {shlex.join(self.words)}",)

    def goes_on(self) -> tuple[str, ...]:
        return (f"`{shlex.join(self.words)}` may still be running in its pod.",) if self.runs == "in-pod" else ()

    def _job(self) -> JobSpec:
        return JobSpec(
            namespace=self.namespace,
            kubectl=self.kubectl,
            what=f"run-{self.script}"[:22].rstrip("-"),
            image=self.image,
            words=self.words,
            environment=self.secrets,
            like=self.deployment,
            deadline=self.seconds,
        )

    async def apply(self, context: StepContext) -> ScriptRan:
        script = context.use(Scripts).by_name.get(self.script)
        if script is None or self.words not in script.programs() or script.changes != self.writes:
            raise PermanentError(
                f"The configured script {self.script} changed after the plan was made. Request it again.",
                code=ReasonCode.CHANGED_MEANWHILE,
            )
        if self.runs == "as-job":
            return await self._as_job(context)
        return await unless_stopped(context.pulse, self._in_pod(context, script))

    async def _as_job(self, context: StepContext) -> ScriptRan:
        end = await run_job(context.pulse, context.use(ClusterClient), self._job())
        lines = redacted_lines(end.output, LINES)
        if not end.ok:
            raise PermanentError(
                f"`{Program(self.words)}` exited with {end.exit_code} in Job {end.name}.",
                code=ReasonCode.SCRIPT_FAILED,
                diagnosis=Diagnosis(log=lines),
            )
        return ScriptRan(where=f"Job {end.name}", lines=lines)

    async def _in_pod(self, context: StepContext, script: ConfiguredScript) -> ScriptRan:
        programs = map(Program, script.programs())
        scripts = PodScripts(context.use(ClusterClient), context.environment, self.service, programs, table="scripts")
        limits, spoken, began = ExecLimits(seconds=self.seconds, bytes=_LARGEST), SpokenLines(context.pulse), ""

        async def begins(pod: str) -> None:
            nonlocal began
            if self.writes:
                await self._begin_once(context, pod)
                began = pod

        try:
            pod, out = await scripts.ran(self.words, limits=limits, says=True, heard=spoken.hear, begins=begins)
        except TemporaryError as error:
            if not began:  # nothing was run, or what was run changes nothing: it may be tried again
                raise
            raise self._unknown(f"The connection to pod {began} was lost", (error.message,)) from error
        return ScriptRan(where=f"pod {pod}", lines=redacted_lines(out, LINES))

    async def _begin_once(self, context: StepContext, pod: str) -> None:
        at = datetime.now(UTC).isoformat(timespec="seconds")
        start = ScriptStart(run=context.run, script=self.key, pod=pod, at=at, attempt=secrets.token_hex(8))
        before = await context.use(Fleet).begin_script(context.environment, start, read_time(self.planned))
        if before is not None:
            raise self._unknown(f"This run started it in pod {before.pod} at {before.at} and was interrupted", ())

    def _unknown(self, why: str, evidence: tuple[str, ...]) -> RunbookError:
        return PermanentError(
            f"{why}, so it is unknown how far `{Program(self.words)}` got. It was not run again.",
            code=ReasonCode.SCRIPT_UNANSWERED,
            evidence=evidence,
            advice=(
                f"Look at what it changes, and at `logs {self.service}`. If it is safe to run it once more, request it again.",
            ),
        )


async def plan_script(
    cluster: ClusterClient, environment: Environment, name: str, script: ConfiguredScript, choice: str | None
) -> Plan:
    """Return the plan; of a Job with the image that runs now."""
    service = environment.service(script.service)
    assert service is not None, "the configuration was checked"
    image = ""
    if script.runs == "as-job":
        state = next(each for each in await current(cluster, environment) if each.service == service.name)
        running = image_for_job(state)
        if running.digest is None:
            raise PermanentError(
                f"It is unknown which image {service.name} runs, so no Job can be made from it.",
                code=ReasonCode.NOT_FOUND,
                advice=(f"`describe {service.name}` shows its pods.",),
            )
        image = running.reference
    step = RunScript(
        script=name,
        words=script.program(choice),
        service=service.name,
        deployment=service.deployment,
        container=service.container,
        namespace=environment.namespace,
        runs=script.runs,
        writes=script.changes,
        risk=script.risk,
        seconds=script.seconds,
        image=image,
        kubectl=environment.kubectl,
        secrets=script.secrets,
        planned=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return Plan(
        title=f"Run {' '.join(filter(None, (name, choice)))} in {environment.name}",
        steps=(step,),
        notes=tuple(_notes(environment, script)),
    )


def _notes(environment: Environment, script: ConfiguredScript) -> Iterable[str]:
    if script.about:
        yield f"{script.about.rstrip('.')}."
    yield "It changes something." if script.changes else "It only reads, so it needs no approval."
    if environment.regions:
        yield f"It runs in the home region {environment.home} only."
