"""The sheet for a bad night: one page of plain text with what runs, what to go back to, and the exact lines, to be printed or kept.

It is made of what is known already, so that it needs nothing on the night when neither Slack nor the bot answer.
"""

from collections.abc import Sequence
from datetime import datetime

from runbooks.deployments.service_state import kubectl_lines
from runbooks.kit.plan import Image, ImageChange, versions
from runbooks.kit.targets import Environment, Frozen
from runbooks.redaction.shell import pasted
from runbooks.wording import shortened

WIDTH = 78
"""Characters: a printed page, and a phone held sideways."""
_LONGEST = 200


class RunningService(Frozen):
    """A service as it runs."""

    service: str
    image: Image | None
    """None where that could not be read."""
    pods: int | None = None


class Sheet(Frozen):
    """What the page is made of."""

    environment: Environment
    at: datetime
    running: tuple[RunningService, ...]
    back: tuple[ImageChange, ...] = ()
    """What a rollback would change."""
    back_lines: tuple[str, ...] = ()
    """The lines by which a person goes back; by default those that set the images."""
    why_not: str = ""
    """Why there is nothing to go back to, or why that is unknown."""
    contacts: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Return the page."""
        where, namespace = self.environment.name, self.environment.namespace
        deployments = [service.deployment for service in self.environment.services]
        return "\n".join(
            [
                f"OMNICARE {where.upper()} · sheet for a bad night",
                f"Made {self.at:%Y-%m-%d %H:%M %Z}. What runs may have changed since: look first.",
                *_part("1. Look", self._look(namespace, deployments)),
                *_part("2. What ran when this was made", [each for one in self.running for each in _lines_of(one)]),
                *_part("3. Go back", self._back()),
                *_part("4. If that does not help", self._else(namespace, deployments)),
                *_part("5. People", self.contacts or ("Nobody is configured (`contacts` in omnicare.toml).",)),
                "",
            ]
        )

    def _look(self, namespace: str, deployments: Sequence[str]) -> list[str]:
        return [
            f"omnicare status --env {self.environment.name}",
            *(
                line
                for kubectl in self._kubectls
                for line in (
                    f"{kubectl} get pods -n {namespace} -o wide",
                    *(
                        f"{kubectl} rollout status deployment/{name} -n {namespace} --timeout=10s"
                        for name in deployments
                    ),
                )
            ),
        ]

    def _back(self) -> list[str]:
        lines = [f"omnicare rollback --env {self.environment.name}        (one person confirms)"]
        if not self.back:
            return [*lines, "", self.why_not or "Everything runs the last known good release: nothing to go back to."]
        to = versions(change.after for change in self.back)
        found = [
            each for change in self.back for each in _lines_of(RunningService(service=change.named, image=change.after))
        ]
        by_hand = self.back_lines or tuple(kubectl_lines(self.back))
        return [*lines, "", f"To {to}:", *found, "", "Without the bot, line by line:", *pasted(by_hand)]

    def _else(self, namespace: str, deployments: Sequence[str]) -> list[str]:
        return [
            f"omnicare describe SERVICE --env {self.environment.name}",
            *(
                line
                for kubectl in self._kubectls
                for line in (
                    *(f"{kubectl} describe deployment/{name} -n {namespace}" for name in deployments),
                    f"{kubectl} get events -n {namespace} --sort-by=.lastTimestamp",
                    *(f"{kubectl} logs deployment/{name} -n {namespace} --tail=100" for name in deployments),
                )
            ),
        ]

    @property
    def _kubectls(self) -> tuple[str, ...]:
        """Return `kubectl` as it is typed for each region."""
        return tuple(each.kubectl for each in self.environment.regions) or ("kubectl",)


def _part(title: str, lines: Sequence[str]) -> list[str]:
    return ["", title, "-" * min(WIDTH, len(title)), *lines]


def _lines_of(running: RunningService) -> list[str]:
    """Return the lines, with the digest on one of its own, since it is compared letter by letter."""
    image = running.image
    if image is None:
        return [f"{running.service}: unknown"]
    pods = f", {running.pods} ready" if running.pods is not None else ""
    name = _in_line(f"{image.repository}:{image.tag or 'untagged'}")
    return [
        f"{running.service}: {name}{pods}",
        f"  {_in_line(image.digest or '') or 'no digest: the Deployment names only the tag'}",
    ]


def _in_line(text: str) -> str:
    """Return what a Deployment says, on one line: Kubernetes takes any text for an image, and the page has lines to be typed."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return shortened(" ".join(plain.split()), _LONGEST)
