"""What an operation would do, before it does it: the value that is shown, approved and checked again.

An approval is bound to `Plan.digest`: it covers what will be changed and nothing that moves by itself (replica counts,
ages), so an approver's yes stays valid while pods come and go, and is void when the change becomes another one.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Literal

from pydantic import field_validator

from runbooks.kit.targets import Frozen
from runbooks.wording import counted, short_digest, shortened

GROUPS = 25
"""Of items in a plan, for the eye."""


class Image(Frozen):
    """An image as it is deployed: readable and pinned, `repository:tag@sha256:…`."""

    repository: str
    tag: str | None
    digest: str | None
    """`sha256:` and 64 hexadecimal digits; None where a Deployment runs an image by tag alone."""

    @property
    def reference(self) -> str:
        """As it stands in a container's `image`."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")

    @property
    def short(self) -> str:
        """For the eye: the version and the first six digits of the digest."""
        digits = short_digest(self.digest or "", 6)
        return " ".join(word for word in (self.tag or "untagged", digits) if word)

    @property
    def named(self) -> str:
        """For the eye, with host and repository: `ghcr.io/omnicare/backend:v1.1.0@sha256:abc123abc123…`."""
        said = with_short_digests(self.reference)
        return shortened(said, _LONGEST_NAME)

    def is_of(self, repository: str) -> bool:
        """Whether it is of that repository, by whichever of its names."""
        return _full(self.repository) == _full(repository)

    def shown(self, repository: str) -> str:
        """For the eye: its version where it is of that repository, else with its host and repository."""
        return self.short if not repository or self.is_of(repository) else self.named

    @classmethod
    def parse(cls, reference: str) -> "Image":
        """Takes `repository[:tag][@digest]` apart; a port in the registry's address is not a tag."""
        name, _, digest = reference.partition("@")
        slash, colon = name.rfind("/"), name.rfind(":")
        tagged = colon > slash
        return cls(
            repository=name[:colon] if tagged else name,
            tag=name[colon + 1 :] if tagged else None,
            digest=digest or None,
        )


_LONGEST_NAME = 200


def _full(repository: str) -> str:
    """With its host: `omnicare/backend` is Docker Hub's."""
    host, slash, rest = repository.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        return f"{host.lower()}/{rest}"
    return f"docker.io/{repository}" if slash else f"docker.io/library/{repository}"


_DIGEST = re.compile(r"(@sha256:[0-9a-f]{12})[0-9a-f]{52}")


def with_short_digests(text: str) -> str:
    """A runtime names an image with its digest, several times in one sentence: twelve digits are enough."""
    return _DIGEST.sub(r"\1…", text)


def versions(images: Iterable[Image]) -> str:
    """The version of all of them, as people say it; several where they differ."""
    return ", ".join(dict.fromkeys(image.tag or image.short for image in images))


class Beside(Frozen):
    """Another container of a service's pods whose image has the same repository: it goes where the service goes."""

    container: str
    init: bool = False
    image: Image
    """As it is before."""

    @property
    def named(self) -> str:
        """`worker`, `migrate (init)`."""
        return f"{self.container} (init)" if self.init else self.container


class ImageChange(Frozen):
    """One Deployment's container gets another image."""

    kind: Literal["image"] = "image"
    service: str
    namespace: str
    deployment: str
    container: str
    before: Image
    after: Image
    beside: tuple[Beside, ...] = ()
    """Set to `after` with the same change."""
    repository: str = ""
    """The configured one: an image of another is shown with its host and repository."""
    # what follows is shown, and not part of the digest: it moves by itself
    replicas: int = 0
    since: str | None = None
    """When the present image was deployed (ISO 8601, UTC), where that is known."""
    by: str | None = None
    """Who deployed it: a person's name by the release record, else a field manager."""
    run: str | None = None
    """The run that deployed it."""

    @property
    def restarts(self) -> bool:
        """The image stays: new pods of the same."""
        return set(self.references_before.values()) == {self.after.reference}

    @property
    def references_before(self) -> dict[str, str]:
        """Each container that is changed, and the image that it is changed from."""
        return {self.container: self.before.reference} | {each.container: each.image.reference for each in self.beside}

    def substance(self) -> dict[str, str]:
        """What the approval is bound to."""
        beside = {f"beside/{each.container}": each.image.reference for each in self.beside}
        return beside | {
            "kind": self.kind,
            "target": f"{self.namespace}/{self.deployment}/{self.container}",
            "before": self.before.reference,
            "after": self.after.reference,
        }


class ItemsGroup(Frozen):
    """Items of one kind, for the eye."""

    reason: str
    items: int
    devices: int = 0
    oldest_seconds: float | None = None


class ItemsChange(Frozen):
    """Items of a queue are tried again, or thrown away."""

    kind: Literal["items"] = "items"
    act: Literal["retry", "clear"]
    service: str
    namespace: str
    ids: str = ""
    """The digest of the ids of exactly these items; empty where the act is about whatever is there."""
    # what follows is shown, and not part of the digest
    count: int | None = None
    devices: int = 0
    oldest_seconds: float | None = None
    groups: tuple[ItemsGroup, ...] = ()

    @field_validator("groups")
    @classmethod
    def _bounded(cls, groups: tuple[ItemsGroup, ...]) -> tuple[ItemsGroup, ...]:
        """The most frequent: a plan is kept again and again, and a script may give each item a reason of its own."""
        if len(groups) <= GROUPS:
            return groups
        rest = groups[GROUPS - 1 :]
        ages = [each.oldest_seconds for each in rest if each.oldest_seconds is not None]
        other = ItemsGroup(
            reason=f"{len(rest)} other reasons",
            items=sum(each.items for each in rest),
            devices=max(each.devices for each in rest),
            oldest_seconds=max(ages, default=None),
        )
        return (*groups[: GROUPS - 1], other)

    @property
    def said(self) -> str:
        """`7 failed items from 5 devices`."""
        items = "all failed items" if self.count is None else counted(self.count, "failed item")
        devices = f" from {counted(self.devices, 'device')}" if self.devices else ""
        return f"{items}{devices}"

    def substance(self) -> dict[str, str]:
        """What the approval is bound to."""
        return {"kind": self.kind, "act": self.act, "target": f"{self.namespace}/{self.service}", "ids": self.ids}


class Wave(Frozen):
    """How one service's pods are replaced by new ones, and why not all at once where they are not."""

    service: str
    how: Literal["raised", "own", "enough", "recreated"]
    """raised: all new pods at once, `maxSurge` is raised to 100 % meanwhile; own: as the Deployment's own strategy has it;
    enough: so many new pods are needed at once as its own strategy allows; recreated: the old ones end first."""
    extra: int = 0
    """So many new pods it takes."""
    own: str = ""
    """The Deployment's own `maxSurge`."""
    why: str = ""
    """Why `maxSurge` is not raised, or on whose word it is."""


class Plan(Frozen):
    """What will be changed, in which order, and what people should know before they say yes."""

    title: str
    """As an order: "Deploy v2.0.0 to production"."""
    changes: tuple[ImageChange, ...] = ()
    items: tuple[ItemsChange, ...] = ()
    """Of a queue, where the plan is about one; then there are no `changes`."""
    together: bool = False
    """All changes at the same time (a rollback), instead of one after the other."""
    confirms: bool = False
    """Nothing is rolled out: the images of `changes` are there already, and are checked and recorded as a release."""
    unchanged: tuple[str, ...] = ()
    """Services that are already as asked."""
    warnings: tuple[str, ...] = ()
    """Read before approving: an older version than the one that runs, an image set by hand, an undecided environment."""
    notes: tuple[str, ...] = ()
    not_done: tuple[str, ...] = ()
    """What this run does not do, though somebody may expect it."""
    links: tuple[tuple[str, str], ...] = ()
    """(label, URL)."""
    unproven: bool = False
    """It goes back to an image that no record knows as good: what runs then is not recorded as good either."""
    needs_reason: bool = False
    """The requester has to give a reason (going to something older)."""
    on_failure: Literal["ask", "rollback"] = "ask"
    """rollback: where it fails it goes back by itself, which is approved with it."""
    ends: tuple[tuple[str, str], ...] = ()
    """Where a rollback leads: each service that it is about, and the image that it has afterwards, whether or not that is a change."""
    leaves: str | None = None
    """The release that this plan leaves as bad (a rollback)."""
    covered_by: tuple[str, ...] = ()
    """Names of those whose approval of a failed run covers going back from it; nobody is asked again."""
    waves: tuple[Wave, ...] = ()
    """How pods are replaced, as there is room now; looked at again when it is done."""
    usual_seconds: float | None = None
    """How long it took before, where that is known."""

    @property
    def empty(self) -> bool:
        """Nothing to do."""
        return not self.changes and not self.items

    def substances(self) -> list[dict[str, str]]:
        """What an approval is bound to, change by change; for the audit trail."""
        return [*(change.substance() for change in self.changes), *(change.substance() for change in self.items)]

    def completes(self, approved: "Plan") -> bool:
        """Whether this plan only does what is left of one that was approved.

        Each change leads where that plan led, from where it began or from where it already was; nothing else is changed.
        """
        if self.items or approved.items or not self.changes:
            return False
        known = {change.substance()["target"]: change for change in approved.changes}
        for change in self.changes:
            before = known.get(change.substance()["target"])
            if before is None or change.after != before.after or change.before not in (before.before, before.after):
                return False
            if not set(change.references_before) <= set(before.references_before):
                return False
        alike = (self.together, self.on_failure) == (approved.together, approved.on_failure)
        return alike and not self.needs_reason

    def ends_as(self, confirmed: "Plan") -> bool:
        """Whether this rollback leads just where the confirmed one did, from nothing but versions that it was to leave.

        A deploy that is overtaken may reach one more service between the plan and the yes: going back from that is what was confirmed.
        """
        left = {change.before.tag for change in confirmed.changes}
        from_there = all(change.before.tag in left for change in self.changes)
        alike = (self.ends, self.leaves, self.unproven) == (confirmed.ends, confirmed.leaves, confirmed.unproven)
        return bool(self.ends) and self.together and confirmed.together and from_there and alike

    def digest(self, request: dict[str, object]) -> str:
        """SHA-256 over the request and what will be changed, in order; hexadecimal."""
        substance: dict[str, object] = {
            "request": request,
            "changes": [change.substance() for change in self.changes],
            "together": self.together,
        }
        if self.confirms:
            substance["confirms"] = True
        if self.on_failure != "ask":
            substance["on_failure"] = self.on_failure
        if self.items:
            substance["items"] = [change.substance() for change in self.items]
        return hashlib.sha256(json.dumps(substance, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
