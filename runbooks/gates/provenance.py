"""The gate on provenance: where each image was built, and from which commit.

Either a named check of CI has verified it, cryptographically or not: that is CI's affair. Or GitHub's attestations of each image's digest state it. Then the
bot compares digest, repository, workflow and commit with what it knows from registry and tag; it verifies no signature and no certificate, so what is
stated is as good as GitHub's own rule that only the repository's workflows and writers may store an attestation there.
"""

from dataclasses import dataclass

from runbooks.clients.github.attestations import PROVENANCE, Attestation
from runbooks.gates.code import CodeGate, called, judged
from runbooks.gates.gate import GateResult, GateSubject
from runbooks.gates.settings import ProvenanceSettings
from runbooks.kit.plan import ImageChange
from runbooks.kit.waiting import side_by_side
from runbooks.wording import by_count, counted, listed

_DIGITS = 7
_UNSIGNED = "signatures not verified here"


@dataclass(frozen=True, kw_only=True)
class Provenance(CodeGate):
    """Every image was built by the repository's workflow from the release's commit."""

    key: str = "provenance"
    name: str = "Provenance"
    settings: ProvenanceSettings

    async def look(self, subject: GateSubject) -> GateResult:
        if self.settings.check is not None:
            return await self._by_check(self.settings.check)
        commit = await self.code.commit()
        found = await side_by_side(*(self._of(each, commit) for each in subject.images))
        wrong = [why for state, why in found if state == "failed"]
        unknown = [why for state, why in found if state == "unknown"]
        if wrong or unknown:
            advice = "Have the workflow that builds the images attest them (`actions/attest-build-provenance`), and push a new version."
            return self.not_passed(
                "failed" if wrong else "unknown",
                "; ".join(wrong or unknown),
                advice,
                reason="; ".join(wrong or unknown),
            )
        attested = by_count(len(found), "is attested as", "are attested as")
        return self.passed(
            f"{counted(len(found), 'image')} {attested} built by {self.code.github.settings.repository} from {commit[:_DIGITS]}; {_UNSIGNED}"
        )

    async def _by_check(self, name: str) -> GateResult:
        checks = called(name, await self.code.checks())
        if not checks:
            return self.not_passed(
                "unknown", f"the commit has no check {name}", "Run the check for the release's commit."
            )
        result = judged(self, checks)
        if result.state != "passed":
            return result
        return result.model_copy(update={"evidence": f"verified by the check {checks[0].name}"})

    async def _of(self, change: ImageChange, commit: str) -> tuple[str, str]:
        """Return `passed`, `failed` or `unknown`, and why."""
        digest = change.after.digest
        if digest is None:
            return "failed", f"{change.service} has no digest"
        found = await self.code.github.attestations(digest)
        unread = sum(not each.predicate for each in found)
        statements = [each for each in found if each.predicate.startswith(PROVENANCE) and digest in each.subjects]
        whys = [self._why_not(each, commit) for each in statements]
        if "" in whys:
            return "passed", ""
        if whys:
            return "failed", f"{change.service} was built {listed(sorted(set(whys)), 'or')}"
        if unread:
            return "unknown", f"{change.service} has {counted(unread, 'attestation')} that can't be read"
        return "failed", f"GitHub has no provenance of {change.service}"

    def _why_not(self, found: Attestation, commit: str) -> str:
        """Return what differs; empty where nothing does."""
        repository = self.code.github.settings.repository
        if found.repository.casefold() != repository.casefold():
            return f"by {found.repository or 'an unknown repository'}, not by {repository}"
        if self.settings.workflow is not None and found.workflow != self.settings.workflow:
            return f"by {found.workflow or 'an unknown workflow'}, not by {self.settings.workflow}"
        if found.commit != commit:
            return f"from {found.commit[:_DIGITS] or 'an unknown commit'}, but the tag points to {commit[:_DIGITS]}"
        return ""
