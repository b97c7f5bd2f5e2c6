"""Asks all rules side by side, each with a deadline of its own, and puts what they found in order."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from runbooks.kit.bugs import told
from runbooks.kit.errors import RunbookError
from runbooks.kit.waiting import beside
from runbooks.redaction.redactor import default_redactor
from runbooks.troubleshooting.case import LOGS, Case
from runbooks.troubleshooting.changes import SYMPTOMS, RecentChanges, blamed, changes_of
from runbooks.troubleshooting.findings import (
    ORDER,
    Confidence,
    Finding,
    RuleAnswer,
    Trouble,
    could_not_look,
    explains,
    no_answer,
)
from runbooks.troubleshooting.rule import Rule
from runbooks.troubleshooting.rules import RULES
from runbooks.wording import shortened

_TICK = 0.05
_LATE = 0.5
"""Seconds."""
_SECONDS = 17.0
"""For all of it, where nobody says otherwise: the rest of an answer's 20 s is for what comes before and after."""
_SILENT = (Trouble.DATABASE_UNREACHABLE, Trouble.CACHE)
"""What may be found because no answer came in time."""
_LONGEST_CAUSE, _LONGEST_EVIDENCE = 400, 600
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosed:
    """What is wrong, what is well, and what nobody could look at."""

    findings: tuple[Finding, ...] = ()
    """The most likely cause first; what a finding causes comes after it."""
    caused_by: tuple[int | None, ...] = ()
    """For each finding, the place of the one before it that may be why there is it."""
    well: tuple[str, ...] = ()
    """What was looked at and found well, in a few words each."""
    unknown: tuple[tuple[str, str], ...] = ()
    """What could not be checked, and why."""
    not_configured: tuple[str, ...] = ()
    not_permitted: tuple[tuple[str, str], ...] = ()
    """What was not looked at, and the permission that who asks lacks."""
    changes: RecentChanges = field(default_factory=RecentChanges)
    """What changed meanwhile, newest first."""


async def diagnose(case: Case, rules: Sequence[Rule] = RULES, *, seconds: float = _SECONDS) -> Diagnosed:
    """Return what the rules say, and what changed before it began. A rule whose permission is missing does not look.

    Within so many seconds, times the case's patience: of what gives no answer by then that is what is known.
    """
    seconds *= case.patience
    ends = asyncio.get_running_loop().time() + seconds
    refused = [(rule.name, rule.permission) for rule in rules if rule.permission not in case.may]
    rules = [rule for rule in rules if rule.permission in case.may]
    lateness = Lateness()
    async with lateness.measured():
        changes, answers = await asyncio.gather(
            changes_of(case, seconds), asyncio.gather(*(_answer(rule, case, seconds) for rule in rules))
        )
    if lateness.worst > _LATE:  # such as the first time, when clients' libraries are loaded
        answers, changes = await asyncio.gather(
            looked_again(case, rules, answers, ends), _changes_again(case, changes, ends)
        )
    pairs = list(zip(rules, answers, strict=True))
    findings = [_clean(finding) for answer in answers for finding in answer.found]
    wrong = {finding.kind for finding in findings}
    in_order = ranked(blamed(findings, changes.found))
    return Diagnosed(
        findings=in_order,
        caused_by=tuple(_cause_of(in_order, place) for place in range(len(in_order))),
        changes=changes,
        well=tuple(
            _well(rule, answer)
            for rule, answer in pairs
            if answer.well and not wrong.intersection(rule.contradicted_by)
        ),
        unknown=tuple((rule.name, why) for rule, answer in pairs for why in answer.unknown),
        not_configured=tuple(rule.name for rule, answer in pairs if answer.not_configured),
        not_permitted=(*refused, *([] if LOGS in case.may else [("log lines", LOGS)])),
    )


class Lateness:
    """How late the bot's own event loop was at worst: what it takes for no answer may have come in time."""

    def __init__(self) -> None:
        self.worst = 0.0
        """Seconds."""

    @asynccontextmanager
    async def measured(self) -> AsyncGenerator[None]:
        """Measure while the body runs."""
        async with beside(self._measure(), "measuring the event loop"):
            yield

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(_TICK)
            self.worst = max(self.worst, loop.time() - began - _TICK)


async def looked_again(
    case: Case, rules: Sequence[Rule], answers: Sequence[RuleAnswer], ends: float
) -> list[RuleAnswer]:
    """Return the answers, with those of rules that could not look asked for again, one rule after another, as far as there is time."""
    again = list(answers)
    with suppress(TimeoutError):
        async with asyncio.timeout_at(ends):
            for place, (rule, answer) in enumerate(zip(rules, answers, strict=True)):
                if answer.unknown or any(finding.kind in _SILENT for finding in answer.found):
                    again[place] = await _answer(rule, case, rule.within(case))
    return again


async def _changes_again(case: Case, known: RecentChanges, ends: float) -> RecentChanges:
    if known.unknown:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(ends):
                return await changes_of(case)
    return known


def ranked(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return them in order: a cause before what it explains, what explains more of what people notice first, the surer before the less sure,
    the earlier before the later.

    What explains something that people notice is as good as certain. A change stands behind what has a known start, and before what has
    none. What is no trouble yet comes last.
    """
    depths = _depths(findings)

    def key(place: int) -> tuple[bool, int, int, bool, int, float, int]:
        finding = findings[place]
        began = finding.since.timestamp() if finding.since is not None else float("inf")
        change = finding.kind is Trouble.CHANGE
        explained = sum(
            other.kind in SYMPTOMS and depths[place] < depths[at] and explains(finding, other)
            for at, other in enumerate(findings)
        )
        sure = ORDER[Confidence.CERTAIN if explained else finding.confidence]
        late = change or finding.since is None
        return finding.ahead, depths[place], sure, late, -explained, 0 if change else began, place

    return tuple(findings[place] for place in sorted(range(len(findings)), key=key))


def _cause_of(findings: Sequence[Finding], place: int) -> int | None:
    return next((at for at in range(place) if explains(findings[at], findings[place])), None)


def _depths(findings: Sequence[Finding]) -> list[int]:
    """Return how many causes stand before each finding, one behind the other."""
    depths = [0] * len(findings)
    for _ in findings:  # a circle ends with the number of findings
        deeper = [
            max((depths[i] + 1 for i, cause in enumerate(findings) if explains(cause, each)), default=0)
            for each in findings
        ]
        if deeper == depths:
            break
        depths = deeper
    return depths


async def _answer(rule: Rule, case: Case, seconds: float) -> RuleAnswer:
    within = min(rule.within(case), seconds)
    try:
        async with asyncio.timeout(within):
            return await rule.look(case)
    except TimeoutError:
        return no_answer(within)
    except RunbookError as error:
        return could_not_look(error.message)
    except Exception as error:  # noqa: BLE001 - a mistake in one rule hides nothing that the others found
        _log.error("rule %s failed: %s", rule.name, told(error))
        return could_not_look("an error in the bot; its log has the details")


def _well(rule: Rule, answer: RuleAnswer) -> str:
    return f"{rule.name} ({answer.details})" if answer.details else rule.name


def _clean(finding: Finding) -> Finding:
    """Return the finding redacted once more, and no longer than people read: a rule may have forgotten it, and a cluster's own words have no end."""
    redact = default_redactor().text
    return finding.model_copy(
        update={
            "cause": shortened(redact(finding.cause), _LONGEST_CAUSE),
            "evidence": tuple(shortened(redact(line), _LONGEST_EVIDENCE) for line in finding.evidence),
            "to_do": tuple(each.model_copy(update={"text": redact(each.text)}) for each in finding.to_do),
        }
    )
