"""The gates on images: the registry still has what the plan names."""

from dataclasses import dataclass

from runbooks.clients.image_registry.registry import RegistryClient
from runbooks.gates.gate import Gate, GateResult, GateSubject
from runbooks.kit.errors import PermanentError
from runbooks.kit.plan import ImageChange
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.waiting import side_by_side
from runbooks.wording import listed, short_digest


@dataclass(frozen=True, kw_only=True)
class ImagesExist(Gate):
    """The registry has every image, and the version's tag still stands for the plan's digest."""

    key: str = "images"
    name: str = "Images"

    async def look(self, subject: GateSubject) -> GateResult:
        registry = subject.use(RegistryClient)
        changed = [change for change in subject.images if change.after.tag is not None]
        wrong = list(filter(None, await side_by_side(*(_wrong(registry, change) for change in changed))))
        if wrong:
            return self.not_passed(
                "failed", "; ".join(wrong), "Find out who changed the tag, then deploy again.", reason="; ".join(wrong)
            )
        found = (f"{change.service} {short_digest(change.after.digest or '', 6)}" for change in changed)
        return self.passed(listed(found))


async def _wrong(registry: RegistryClient, change: ImageChange) -> str:
    tag = change.after.tag or ""
    if change.after.digest is None:  # set by hand
        return f"{change.service} runs {tag} without a digest, so which image that is can't be known"
    try:
        digest = await registry.resolve(change.after.repository, tag)
    except PermanentError as error:
        if error.code is not ReasonCode.NO_SUCH_VERSION:
            raise
        return f"the registry no longer has {change.service} {tag}"
    if digest == change.after.digest:
        return ""
    planned, now = (short_digest(each or "", 6) for each in (change.after.digest, digest))
    return f"{change.service} {tag} pointed to {planned} in the plan and points to {now} now"
