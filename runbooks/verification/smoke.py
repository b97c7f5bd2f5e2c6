"""The release's smoke tests: a Job from the image that runs, whose output says flow by flow what passed.

The script prints one JSON document, a list of flows or `{"flows": […]}` (each `{"name": "…", "status": "passed"}`, or failed, skipped), or TAP
(`1..4`, `ok 1 - …`, `not ok 2 - …`). What is not clear is "not understood", which is never passed. Only names of flows are shown: a
script's messages may be about patients.
"""

import re
from collections.abc import Iterable
from typing import Any, ClassVar

from pydantic import Field

from runbooks.jobs.running import JobEnd
from runbooks.kit.answers import NotUnderstood, read_printed
from runbooks.verification.findings import Verdict, VerificationFinding
from runbooks.verification.scripts import ReleaseScript, not_understood, shown_name, unexplained
from runbooks.wording import counted, listed

FLOWS = ("User authentication", "Patient data retrieval", "Clinical note creation", "Offline sync functionality")
"""The guide's key user flows."""
_NAME = "smoke tests"
_WORDS = {"passed": Verdict.PASSED, "ok": Verdict.PASSED, "failed": Verdict.FAILED, "skipped": Verdict.INCONCLUSIVE}
_PLAN = re.compile(r"1\.\.([0-9]{1,3})", re.ASCII)
_RESULT = re.compile(r"(not )?ok ([0-9]{1,3})(?: -)? ([^#]+?)(?: *# *(skip|todo)\b.*)?", re.ASCII | re.IGNORECASE)
_MOST = 100


class SmokeTests(ReleaseScript):
    """The smoke tests, run after a deploy from the image that runs. They may write: use accounts of made-up patients."""

    what: ClassVar[str] = "smoke"
    about: ClassVar[str] = _NAME
    words: tuple[str, ...] = Field(
        default=("npm", "run", "--silent", "test:smoke", "--", "--env=$environment"), min_length=1
    )
    """The program. `$environment` is the environment's name. It prints the result of each flow as JSON or TAP."""
    flows: tuple[str, ...] = FLOWS
    """The flows that must be reported. A flow that is not reported has no result. Other flows count too."""

    def judged(self, end: JobEnd) -> tuple[VerificationFinding, ...]:
        return judged(end, self.flows)


def judged(end: JobEnd, flows: Iterable[str]) -> tuple[VerificationFinding, ...]:
    """Return a finding for each flow that was reported or should have been."""
    try:
        reported = flows_of(end.output, whole=end.whole)
    except NotUnderstood as error:
        return (not_understood(_NAME, end, error),)
    known = {name.casefold(): name for name in flows}
    named = {known.get(name.casefold(), shown_name(name)): verdict for name, verdict in reported.items()}
    findings = [VerificationFinding(name=name, verdict=named.get(name, Verdict.INCONCLUSIVE)) for name in flows]
    findings = [
        each if each.verdict is not Verdict.INCONCLUSIVE else each.model_copy(update={"detail": _why(each, named)})
        for each in findings
    ]
    findings += [
        VerificationFinding(name=name, verdict=verdict, required=verdict is Verdict.FAILED)
        for name, verdict in named.items()
        if name not in known.values()
    ]
    if not end.ok and not any(each.verdict is Verdict.FAILED for each in findings):
        findings.append(unexplained(_NAME, end, "flow"))
    return tuple(findings)


def _why(finding: VerificationFinding, named: dict[str, Verdict]) -> str:
    return "skipped" if finding.name in named else "not reported"


def flows_of(out: bytes, *, whole: bool = True) -> dict[str, Verdict]:
    """Return each flow's verdict by its name; raises `NotUnderstood`, also where `out` is not the `whole` output."""
    if not whole:
        raise NotUnderstood("the output is too long")
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
        raise NotUnderstood(
            f"its TAP has {counted(len(plans), 'plan')} and {counted(len(results), 'result')}, which don't match"
        )
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
