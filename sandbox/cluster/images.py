"""What an image does when it runs follows from its tag, so that a person or a test can choose a failure by name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Behaviour:
    """How a container of an image lives."""

    pulls: bool = True
    exit_code: int = 0
    exit_reason: str = ""
    slow: bool = False
    ready: bool = True

    @property
    def crashes(self) -> bool:
        return bool(self.exit_reason)


def tag_of(image: str) -> str:
    """The last part of the name with its tag, without a digest."""
    return image.partition("@")[0].rsplit("/", 1)[-1]


def behaviour(image: str) -> Behaviour:
    tag = tag_of(image)
    if "bad" in tag:
        return Behaviour(pulls=False)
    if "oom" in tag:
        return Behaviour(exit_code=137, exit_reason="OOMKilled", ready=False)
    if "crash" in tag:
        return Behaviour(exit_code=1, exit_reason="Error", ready=False)
    return Behaviour(slow="slow" in tag, ready="unready" not in tag)


def image_id(image: str) -> str:
    """What a runtime reports: the repository by digest; of a tag alone, a digest made from its name."""
    name, _, digest = image.partition("@")
    last = name.rfind("/") + 1
    repository = name[: name.rfind(":")] if ":" in name[last:] else name
    if not digest or "moved" in name[last:]:
        digest = "sha256:" + hashlib.sha256(name.encode()).hexdigest()
    return f"{repository}@{digest}"
