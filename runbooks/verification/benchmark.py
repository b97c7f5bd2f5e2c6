"""The release's performance benchmark: a Job from the image that runs, whose printed values are held to limits.

The script prints one JSON document, a list of values or `{"metrics": […]}`, each `{"name": "API p95", "value": 143, "unit": "ms"}`. Its values are
compared with the limits in the configuration; the script's own opinion counts only where it failed.
"""

from collections.abc import Iterable
from typing import Any, ClassVar, Self

from pydantic import Field, model_validator

from runbooks.jobs.running import JobEnd
from runbooks.kit.answers import NotUnderstood, read_printed
from runbooks.verification.findings import Verdict, VerificationFinding, unknown
from runbooks.verification.limits import Limit
from runbooks.verification.scripts import ReleaseScript, not_understood, shown_name, unexplained
from runbooks.wording import shortened

_NAME = "benchmark"
_MOST = 50
_LARGEST = 1e15

LIMITS = (
    Limit(name="API p95", limit=200, unit="ms"),
    Limit(name="database p95", limit=100, unit="ms"),
    Limit(name="page load", limit=3, unit="s"),
)
"""The guide's."""


class Benchmark(ReleaseScript):
    """The performance benchmark, run only by `verify benchmark`. It puts load on the environment."""

    what: ClassVar[str] = "benchmark"
    about: ClassVar[str] = _NAME
    words: tuple[str, ...] = Field(default=("npm", "run", "--silent", "benchmark:production"), min_length=1)
    """The program. `$environment` is the environment's name. It prints each value with name and unit as JSON."""
    limits: tuple[Limit, ...] = Field(default=LIMITS, min_length=1)
    """The values that must be reported in this unit and be within these limits. Others that are reported are only shown."""
    seconds: int = Field(default=900, gt=0, le=3600)
    """Time limit for the Job, pulling the image included."""

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [each.name.casefold() for each in self.limits]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise ValueError(f"limits: two are called {twice}")
        return self

    def judged(self, end: JobEnd) -> tuple[VerificationFinding, ...]:
        return judged(end, self.limits)


def judged(end: JobEnd, limits: Iterable[Limit]) -> tuple[VerificationFinding, ...]:
    """Return a finding for each value that was reported or should have been."""
    try:
        reported = _values(end.output, whole=end.whole)
    except NotUnderstood as error:
        return (not_understood(_NAME, end, error),)
    findings = [_held(limit, reported.pop(limit.name.casefold(), None)) for limit in limits]
    if not end.ok and not any(each.verdict is Verdict.FAILED for each in findings):
        findings.append(unexplained(_NAME, end, "value"))
    findings += [
        VerificationFinding(name=name, verdict=Verdict.PASSED, value=f"{value:.4g} {unit}".strip(), required=False)
        for name, value, unit in reported.values()
    ]
    return tuple(findings)


def _held(limit: Limit, found: tuple[str, float, str] | None) -> VerificationFinding:
    if found is None:
        return unknown(limit.name, "not reported", required=limit.required)
    _, value, unit = found
    if unit != limit.unit:
        said = f"reported in {unit}" if unit else "reported without a unit"
        return unknown(limit.name, f"{said}, and its limit is {limit.limit_shown}", required=limit.required)
    return VerificationFinding(
        name=limit.name,
        verdict=Verdict.PASSED if limit.within(value) else Verdict.FAILED,
        value=limit.shown(value),
        limit=limit.limit_shown,
        required=limit.required,
    )


def _values(out: bytes, *, whole: bool) -> dict[str, tuple[str, float, str]]:
    """Return name, value and unit by the name in lower case; raises `NotUnderstood`."""
    if not whole:
        raise NotUnderstood("more was printed than is read")
    found = read_printed(out)
    listing = found.get("metrics") if isinstance(found, dict) else found
    if not isinstance(listing, list) or not 0 < len(listing) <= _MOST:
        raise NotUnderstood("the JSON is not a list of values")
    values: dict[str, tuple[str, float, str]] = {}
    for each in listing:
        name, value, unit = _value(each)
        if name.casefold() in values:
            raise NotUnderstood("a value is reported twice")
        values[name.casefold()] = (shown_name(name), value, unit)
    return values


def _value(raw: Any) -> tuple[str, float, str]:
    match raw:
        case {"name": str(name), "value": int() | float() as value} if (
            name.strip() and not isinstance(value, bool) and 0 <= value < _LARGEST
        ):
            unit = raw.get("unit", "")
            if isinstance(unit, str):
                return name.strip(), float(value), shortened(shown_name(unit), 20)
        case _:
            pass
    raise NotUnderstood("a value in the JSON has no name, or is no number of zero or more")
