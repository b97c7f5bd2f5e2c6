"""What an operation would do, before it does it: the value that is shown, approved and checked again.

An approval is bound to `Plan.digest`: it covers what will be changed and nothing that moves by itself (replica counts,
ages), so an approver's yes stays valid while pods come and go, and is void when the change becomes another one.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Literal

from pydantic import JsonValue, model_validator

from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import Step, StepName, StoredStep
from runbooks.kit.targets import Frozen
from runbooks.kit.versions import TAG
from runbooks.wording import listed, short_digest, shortened


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
        """Takes `repository[:tag][@digest]` apart; a port in the registry's address is not a tag, nor is a text that no registry takes as one."""
        name, _, digest = reference.partition("@")
        slash, colon = name.rfind("/"), name.rfind(":")
        tagged = colon > slash and TAG.fullmatch(name, colon + 1) is not None
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


_REFERENCE = re.compile(r'(?<![\w.:/-])(?P<quote>"?)[\w.:-]+/[\w./-]+[:@][\w.:@…-]*[\w…](?P=quote)')


def with_names_once(text: str) -> str:
    """Return a runtime's message with short digests and each image's name once. It repeats the name up to four times before it says why."""
    named: set[str] = set()

    def once(found: re.Match[str]) -> str:
        name = found[0].strip('"')
        if name in named:
            return "…"
        named.add(name)
        return found[0]

    return _REFERENCE.sub(once, with_short_digests(text))


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
    region: str = ""
    """Where the environment has several."""
    kubectl: str = "kubectl"
    """As a person types it for that region; not part of the digest."""
    # what follows is shown, and not part of the digest: it moves by itself
    replicas: int = 0
    since: str | None = None
    """When the present image was deployed (ISO 8601, UTC), where that is known."""
    by: str | None = None
    """Who deployed it: a person's name by the release record, else a field manager."""
    run: str | None = None
    """The run that deployed it."""

    @property
    def named(self) -> str:
        """`backend`, or `backend in us` where there are regions."""
        return f"{self.service} in {self.region}" if self.region else self.service

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
            "target": f"{self.region}{'/' if self.region else ''}{self.namespace}/{self.deployment}/{self.container}",
            "before": self.before.reference,
            "after": self.after.reference,
        }


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


class Refusal(Frozen):
    """Why nobody can approve a plan as it is, and what to do about it."""

    what: str
    """A sentence: "The gate branch has not passed: …"."""
    advice: str = ""
    """What to do, as a sentence."""
    button: tuple[str, str] | None = None
    """A label, and the command that does it: `("Sign: API documentation updated", "sign v2.0.0 api-documentation --env production")`."""
    code: ReasonCode = ReasonCode.GATES_NOT_PASSED
    """Of the request's end."""


class Unusual(Frozen):
    """An option that makes a run riskier than usual: the cards name it, and one more person has to approve."""

    option: str
    """As it is typed: `--override time`."""
    what: str
    """What is different, as a sentence."""
    needs_reason: bool = True
    role: str | None = None
    """One of the approvers must have this role too."""
    gates: dict[str, str] = {}
    """The overridden gates by their keys, each with its state and evidence; the audit log has an event for them."""


_BEFORE = frozenset({"changes", "items", "together", "confirms", "unproven", "ends", "leaves", "waves"})
"""Fields of a plan that had no steps yet."""
ReadsBefore = Callable[[Mapping[str, Any]], "tuple[Step, ...]"]
_readers: list[ReadsBefore] = []


def reads_before(reader: ReadsBefore) -> ReadsBefore:
    """Registers what makes steps of a plan that was stored by the version before; it returns none where that is not its own."""
    _readers.append(reader)
    return reader


class Plan(Frozen):
    """What will be changed, in which order, and what people should know before they say yes."""

    title: str
    """As an order: "Deploy v2.0.0 to production"."""
    steps: tuple[StoredStep, ...] = ()
    """In order; one that is `beside` goes at the same time as the one before it."""
    unchanged: tuple[str, ...] = ()
    """Services that are already as asked."""
    warnings: tuple[str, ...] = ()
    """Read before approving: an older version than the one that runs, an image set by hand, an undecided environment."""
    notes: tuple[str, ...] = ()
    not_done: tuple[str, ...] = ()
    """What this run does not do, though somebody may expect it."""
    links: tuple[tuple[str, str], ...] = ()
    """(label, URL)."""
    refused_by: tuple[Refusal, ...] = ()
    """Why it can't be approved: it is shown, and nobody is asked."""
    needs_reason: bool = False
    """The requester has to give a reason (going to something older)."""
    unusual: tuple[Unusual, ...] = ()
    """The options that make it riskier than usual."""
    on_failure: Literal["ask", "rollback", "revert"] = "ask"
    """What follows a failure without asking, which is approved with it. rollback: to the last known good release; revert: the steps that
    can be undone are, the latest first."""
    covered_by: tuple[str, ...] = ()
    """Names of those whose approval of a failed run covers going back from it; nobody is asked again."""
    usual_seconds: float | None = None
    """How long it took before, where that is known."""
    usual: dict[str, float] = {}
    """How many seconds each step took before, by its key, where that is known."""
    substance_before: dict[str, JsonValue] | None = None
    """Of a plan that the version before stored: what its digest was made of."""

    @model_validator(mode="before")
    @classmethod
    def _of_the_version_before(cls, data: object) -> object:
        """A stored plan without steps, as one with steps."""
        if not isinstance(data, dict) or not _BEFORE & set(data):
            return data
        steps = tuple(step for reader in _readers for step in reader(data))
        images: list[JsonValue] = [{**ImageChange.model_validate(each).substance()} for each in data.get("changes", ())]
        substance: dict[str, JsonValue] = {"changes": images, "together": bool(data.get("together"))}
        if data.get("confirms"):
            substance["confirms"] = True
        if data.get("on_failure", "ask") != "ask":
            substance["on_failure"] = data["on_failure"]
        if items := data.get("items"):
            substance["items"] = [
                {
                    "kind": "items",
                    "act": each["act"],
                    "target": f"{each['namespace']}/{each['service']}",
                    "ids": each["ids"],
                }
                for each in items
            ]
        kept = {name: value for name, value in data.items() if name not in _BEFORE}
        return {**kept, "steps": steps, "substance_before": substance}

    @model_validator(mode="after")
    def _keys_are_distinct(self) -> "Plan":
        keys = [step.key for step in self.steps]
        if len(set(keys)) < len(keys):
            raise ValueError("two steps of a plan have the same key, by which results and approvals are known")
        return self

    @property
    def empty(self) -> bool:
        """Nothing to do."""
        return not self.changing

    @property
    def changing(self) -> tuple[Step, ...]:
        """The steps that change something."""
        return tuple(step for step in self.steps if step.changes())

    @property
    def groups(self) -> tuple[tuple[Step, ...], ...]:
        """The steps, those together that go at the same time."""
        groups: list[list[Step]] = []
        for step in self.steps:
            if step.beside and groups:
                groups[-1].append(step)
            else:
                groups.append([step])
        return tuple(tuple(group) for group in groups)

    @property
    def hold_points(self) -> tuple[StepName, ...]:
        """The steps before which people may hold the run: the first of each group that changes something, but for the first such."""
        shown = ([step for step in group if not step.hidden] for group in self.groups)
        changing = [group for group in shown if any(step.changes() for step in group)]
        return tuple(group[0].label for group in changing[1:])

    @property
    def decides(self) -> bool:
        """Whether the environment is undecided where it fails."""
        return any(step.decides for step in self.steps)

    @property
    def settles(self) -> bool:
        """Whether its success decides what was undecided before."""
        return any(step.decides and step.settles for step in self.steps)

    @property
    def in_short(self) -> str:
        """`backend and frontend v1.2.0 → v2.0.0`; subjects of which the same is said stand together."""
        alike: dict[tuple[str, str], dict[str, None]] = {}
        for brief in (brief for step in self.steps for brief in step.in_short()):
            alike.setdefault((brief.act, brief.change), {})[brief.subject] = None
        return ", ".join(
            " ".join(filter(None, (act, listed(subjects), change))) for (act, change), subjects in alike.items()
        )

    @property
    def order(self) -> str:
        """`backend, then frontend, then a check`."""
        groups = [" beside ".join(step.word for step in group if not step.hidden) for group in self.groups]
        shown = [group for group in groups if group]
        return ", then ".join(shown) if shown[1:] else f"{''.join(shown)} only"

    def without(self, done: Collection[str], before: "Plan | None" = None) -> "Plan":
        """Return the plan without the steps that a retry leaves out because they are done; `done`: keys, `before`: the plan of the run before."""
        out = {step.key for step in self.steps if step.remembered and step.key in done}
        known = {step.key: step for step in before.steps} if before is not None else {}
        left = (step for step in self.steps if step.key not in out)
        steps = tuple(step.resumed(known[step.key], out) if step.key in known else step for step in left)
        return self.model_copy(update={"steps": steps})

    def substances(self) -> list[dict[str, JsonValue]]:
        """What an approval is bound to, change by change; for the audit log."""
        return [{"key": step.key, **step.changes()} for step in self.changing]

    def completes(self, approved: "Plan") -> bool:
        """Whether this plan only does what is left of one that was approved.

        Each step that changes something was in that plan, and leads where it led there.
        """
        known = {step.key: step for step in approved.steps}
        left = all(step.carried and step.key in known and step.completes(known[step.key]) for step in self.changing)
        return not self.empty and left and self.on_failure == approved.on_failure and not self.needs_reason

    def ends_as(self, confirmed: "Plan") -> bool:
        """Whether this plan leads just where the confirmed one did, though it changes more on its way or is known more exactly."""
        keys = {step.key for step in self.changing}
        known = [step for step in confirmed.changing if step.key in keys or not step.may_do_nothing]
        alike = [(step.key, step.beside) for step in self.changing] == [(step.key, step.beside) for step in known]
        led = alike and all(step.ends_as(before) for step, before in zip(self.changing, known, strict=True))
        return not self.empty and led and self.on_failure == confirmed.on_failure

    def as_confirmed(self, confirmed: "Plan") -> "Plan":
        """Return this plan without the steps that are left out rather than asked for again, where the yes to the other does not cover them."""
        known = {step.key: step for step in confirmed.changing}
        out = [
            step
            for step in self.changing
            if step.left_out and not (step.key in known and step.ends_as(known[step.key]))
        ]
        if not out:
            return self
        keys = {step.key for step in out}
        titles, ways = listed(step.title for step in out), " ".join(dict.fromkeys(step.left_out for step in out))
        steps = tuple(step for step in self.steps if step.key not in keys)
        warnings = (f"Not confirmed, so left out: {titles}. {ways}", *self.warnings)
        return self.model_copy(update={"steps": steps, "warnings": warnings})

    def still_fits(self, confirmed: "Plan") -> bool:
        """Whether the confirmed plan may be carried out where this one would be made now. What is left out must be told in it."""
        told = {*self.as_confirmed(confirmed).warnings} - {*self.warnings}
        asked = {
            plan.model_copy(update={"steps": tuple(step for step in plan.steps if not step.left_out)}).digest({})
            for plan in (self, confirmed)
        }
        return len(asked) == 1 and told <= {*confirmed.warnings}

    def digest(self, request: dict[str, object]) -> str:
        """SHA-256 over the request and what will be changed, in order; hexadecimal."""
        substance: dict[str, object] = {"request": request}
        if self.substance_before is not None:
            substance |= self.substance_before
        else:
            substance["steps"] = [
                {"key": step.key, "beside": step.beside, "changes": step.changes()} for step in self.changing
            ]
            if self.on_failure != "ask":
                substance["on_failure"] = self.on_failure
        return hashlib.sha256(json.dumps(substance, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
