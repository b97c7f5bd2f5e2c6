"""One gate of a deploy that does not pass: the plan is refused, and says what to do."""

from sandbox.scenarios.scenario import Scenario
from sandbox.scenarios.world_acts import BreakGate, BreakSync, Freeze


def _gate(name: str, sentence: str, cause: str, act: BreakGate | BreakSync) -> Scenario:
    return Scenario(f"gate-{name}", sentence, "deploy v2.0.0", cause, (act,))


GATES: tuple[Scenario, ...] = (
    _gate("check", "Snyk has failed for v2.0.0.", "Gate Snyk (failed)", BreakGate("check")),
    _gate("coverage", "The tests of v2.0.0 cover 71 %.", "Gate Test coverage (failed)", BreakGate("coverage")),
    _gate("branch", "v2.0.0 was never merged to main.", "Gate Protected branch (failed)", BreakGate("branch")),
    _gate("alert", "Code scanning has a critical alert.", "Gate Code scanning (failed)", BreakGate("alert")),
    _gate("notes", "v2.0.0 has no release on GitHub.", "Gate Release notes (failed)", BreakGate("notes")),
    _gate("tag", "GitHub has no tag v2.0.0.", "has no tag v2.0.0", BreakGate("tag")),
    _gate(
        "revision",
        "The images of v2.0.0 were built from another commit.",
        "Gate Image commit (failed)",
        BreakGate("revision"),
    ),
    _gate("github", "GitHub does not answer.", "GitHub answers with status 503", BreakGate("github")),
    _gate("promotion", "v2.0.0 was never in staging.", "Gate Promotion (failed)", BreakGate("promotion")),
    _gate("signature", "Nobody has signed for v2.0.0.", "updated (waiting)", BreakGate("signature")),
    _gate("sync", "The sync queue is large and grows.", "Gate Clinical work in flight (failed)", BreakSync("stuck")),
)

FREEZE: tuple[Scenario, ...] = (
    Scenario(
        "freeze",
        "Production is in a freeze window now: nothing is deployed. The bot starts again to read that.",
        "deploy v2.0.0",
        "Gate Time (failed)",
        (Freeze(),),
    ),
)
