"""The release's smoke tests: a Job from the image that runs, whose output says flow by flow what passed.

The script prints one JSON document, a list of flows or `{"flows": […]}` (each `{"name": "…", "status": "passed"}`, or failed, skipped), or TAP
(`1..4`, `ok 1 - …`, `not ok 2 - …`). What is not clear is "not understood", which is never passed. Only names of flows are shown: a
script's messages may be about patients.
"""

import re
from collections.abc import Iterable
from typing import Any

from pydantic import Field

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.jobs import JobSpec, SecretVariable, Word
from runbooks.deployments.service_state import current, pinned
from runbooks.jobs.running import JobEnd, run_job
from runbooks.kit.answers import NotUnderstood, read_printed
from runbooks.kit.errors import RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Pulse
from runbooks.kit.targets import Environment, Frozen
from runbooks.redaction.redactor import default_redactor
from runbooks.verification.findings import Finding, Verdict, Verified, unknown
from runbooks.wording import counted, listed, shortened

FLOWS = ("User authentication", "Patient data retrieval", "Clinical note creation", "Offline sync functionality")
"""The guide's key user flows."""
_NAME = "smoke tests"
_WORDS = {"passed": Verdict.PASSED, "ok": Verdict.PASSED, "failed": Verdict.FAILED, "skipped": Verdict.INCONCLUSIVE}
_PLAN = re.compile(r"1\.\.([0-9]{1,3})", re.ASCII)
_RESULT = re.compile(r"(not )?ok ([0-9]{1,3})(?: -)? ([^#]+?)(?: *# *(skip|todo)\b.*)?", re.ASCII | re.IGNORECASE)
_MOST = 100


class SmokeTests(Frozen):
    """The smoke tests, run after a deploy from the image that runs. They may write: use accounts of made-up patients."""

    words: tuple[str, ...] = Field(
        default=("npm", "run", "--silent", "test:smoke", "--", "--env=$environment"), min_length=1
    )
    """The program. `$environment` is the environment's name. It prints the result of each flow as JSON or TAP."""
    flows: tuple[str, ...] = FLOWS
    """The flows that must be reported. One that is not has no result; others count, too."""
    secrets: tuple[SecretVariable, ...] = ()
    """Environment variables from Secrets, such as a test account's password: `{variable = "…", secret = "…", key = "…"}`."""
    seconds: int = Field(default=300, gt=0, le=3600)
    """Time limit for the Job, pulling the image included."""

    def program(self, environment: str) -> tuple[Word, ...]:
        """Return the words as they are run."""
        return tuple(word.replace("$environment", environment) for word in self.words)


async def smoke(
    pulse: Pulse, cluster: ClusterClient, environment: Environment, service: str, tests: SmokeTests
) -> Verified:
    """Return a finding for each flow; one for all of them where the Job or its output gives no result. Raises only `Stopped`."""
    try:
        state = next(each for each in await current(cluster, environment) if each.service == service)
        image = pinned(state)
        if image is None:
            return Verified(findings=(unknown(_NAME, f"nobody knows which image {service} runs"),))
        found = environment.service(service)
        spec = JobSpec(
            namespace=environment.namespace,
            what="smoke",
            image=image.reference,
            words=tests.program(environment.name),
            environment=tests.secrets,
            like=found.deployment if found is not None else None,
            deadline=tests.seconds,
        )
        return Verified(findings=judged(await run_job(pulse, cluster, spec), tests.flows))
    except RunbookError as error:
        said = error.message.rstrip(".")
        if error.code is ReasonCode.TIMED_OUT:
            return Verified(findings=(Finding(name=_NAME, verdict=Verdict.FAILED, value="did not end", detail=said),))
        return Verified(findings=(unknown(_NAME, said),))


def judged(end: JobEnd, flows: Iterable[str]) -> tuple[Finding, ...]:
    """Return a finding for each flow that was reported or should have been."""
    try:
        reported = flows_of(end.output, whole=end.whole)
    except NotUnderstood as error:
        why = f"exited with {end.exit_code}, and its output is not understood: {error}"
        verdict = Verdict.INCONCLUSIVE if end.ok else Verdict.FAILED
        return (Finding(name=_NAME, verdict=verdict, value="" if end.ok else "failed", detail=why),)
    known = {name.casefold(): name for name in flows}
    named = {known.get(name.casefold(), _shown(name)): verdict for name, verdict in reported.items()}
    findings = [Finding(name=name, verdict=named.get(name, Verdict.INCONCLUSIVE)) for name in flows]
    findings = [
        each if each.verdict is not Verdict.INCONCLUSIVE else each.model_copy(update={"detail": _why(each, named)})
        for each in findings
    ]
    findings += [
        Finding(name=name, verdict=verdict, required=verdict is Verdict.FAILED)
        for name, verdict in named.items()
        if name not in known.values()
    ]
    if not end.ok and not any(each.verdict is Verdict.FAILED for each in findings):
        said = f"exited with {end.exit_code}, though it reports no failed flow"
        findings.append(Finding(name=_NAME, verdict=Verdict.FAILED, value="failed", detail=said))
    return tuple(findings)


def _why(finding: Finding, named: dict[str, Verdict]) -> str:
    return "skipped" if finding.name in named else "not reported"


def _shown(name: str) -> str:
    return shortened(" ".join(default_redactor().text(name).split()), 60)


def flows_of(out: bytes, *, whole: bool = True) -> dict[str, Verdict]:
    """Return each flow's verdict by its name; raises `NotUnderstood`, also where `out` is not the `whole` output."""
    if not whole:
        raise NotUnderstood("more was printed than is read")
    tap = _tap(out.decode("utf-8-sig", errors="replace").splitlines())
    if tap is not None:
        return tap
    found = read_printed(out)
    listing = found.get("flows") if isinstance(found, dict) else found
    if not isinstance(listing, list) or not 0 < len(listing) <= _MOST:
        raise NotUnderstood("the JSON is not a list of flows")
    return _once(_flow(each) for each in listing)


def _flow(value: Any) -> tuple[str, Verdict]:
    match value:
        case {"name": str(name), "status": str(status)} if name.strip() and status.lower() in _WORDS:
            return name.strip(), _WORDS[status.lower()]
        case _:
            raise NotUnderstood(f"a flow in the JSON has no name, or its status is not {listed(_WORDS, 'or')}")


def _tap(lines: list[str]) -> dict[str, Verdict] | None:
    """None where it is not TAP, which begins with its plan or ends with it."""
    plans = [int(found[1]) for line in lines if (found := _PLAN.fullmatch(line.strip()))]
    results = [found for line in lines if (found := _RESULT.fullmatch(line.rstrip()))]
    if not plans:
        return None
    numbers = [int(found[2]) for found in results]
    if len(plans) != 1 or numbers != list(range(1, plans[0] + 1)):
        raise NotUnderstood(f"TAP with {counted(len(plans), 'plan')} and {counted(len(results), 'result')}")
    return _once((found[3].strip(), _tap_verdict(found)) for found in results)


def _tap_verdict(found: re.Match[str]) -> Verdict:
    if found[4]:
        return Verdict.INCONCLUSIVE
    return Verdict.FAILED if found[1] else Verdict.PASSED


def _once(pairs: Iterable[tuple[str, Verdict]]) -> dict[str, Verdict]:
    flows: dict[str, Verdict] = {}
    for name, verdict in pairs:
        if name.casefold() in {each.casefold() for each in flows}:
            raise NotUnderstood("a flow is reported twice")
        flows[name] = verdict
    if not flows:
        raise NotUnderstood("no flow is reported")
    return flows
