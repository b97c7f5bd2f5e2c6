"""What an image does when it runs follows from its tag, so that a person or a test can choose a failure by name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from sandbox.outside.registry import REGISTRY, SERVICES, VERSIONS, digest_of


@dataclass(frozen=True)
class Behaviour:
    """How a container of an image lives."""

    unpulled: str = ""
    """Why it can't be pulled, in a container runtime's words; `{image}` stands for its name."""
    exit_code: int = 0
    exit_reason: str = ""
    slow: bool = False
    ready: Literal["yes", "never", "first"] = "yes"
    """`first`: only the first pod of its ReplicaSet gets ready."""
    killed_by: str = ""
    """The probe (liveness, startup) that ends it again and again."""
    probe: str = "HTTP probe failed with statuscode: 503"
    """How the probe fails that does."""

    @property
    def pulls(self) -> bool:
        return not self.unpulled

    @property
    def crashes(self) -> bool:
        return bool(self.exit_reason)


_RESOLVE = (
    'rpc error: code = {code} desc = failed to pull and unpack image "{image}": failed to resolve reference "{image}": '
)
_REFUSED = 'Get "http://10.0.0.7:3001/health": dial tcp 10.0.0.7:3001: connect: connection refused'

# The first part that is found in the tag decides.
_BEHAVIOURS: dict[str, Behaviour] = {
    "bad": Behaviour(unpulled=_RESOLVE.replace("{code}", "NotFound") + "{image}: not found (manifest unknown)"),
    "private": Behaviour(
        unpulled=_RESOLVE.replace("{code}", "Unknown")
        + "failed to authorize: failed to fetch oauth token: unexpected status: 401 Unauthorized"
    ),
    "limited": Behaviour(
        unpulled='rpc error: code = Unknown desc = failed to pull and unpack image "{image}": failed to copy: '
        "httpReadSeeker: failed open: unexpected status code: 429 Too Many Requests - toomanyrequests: rate limit exceeded"
    ),
    "arm": Behaviour(
        unpulled='rpc error: code = NotFound desc = failed to pull and unpack image "{image}": '
        "no match for platform in manifest: not found"
    ),
    "oom": Behaviour(exit_code=137, exit_reason="OOMKilled", ready="never"),
    "crash": Behaviour(exit_code=1, exit_reason="Error", ready="never"),
    "unlive": Behaviour(
        exit_code=137,
        exit_reason="Error",
        ready="never",
        killed_by="Liveness",
        probe="HTTP probe failed with statuscode: 500",
    ),
    "stalls": Behaviour(exit_code=137, exit_reason="Error", ready="never", killed_by="Startup", probe=_REFUSED),
    "unready": Behaviour(ready="never"),
    "hang": Behaviour(ready="first"),
    "slow": Behaviour(slow=True),
}


def tag_of(image: str) -> str:
    """The last part of the name with its tag, without a digest."""
    return image.partition("@")[0].rsplit("/", 1)[-1]


def behaviour(image: str) -> Behaviour:
    tag = tag_of(image).partition(":")[2]
    return next((found for part, found in _BEHAVIOURS.items() if part in tag), Behaviour())


def image_id(image: str) -> str:
    """What a runtime reports: the repository by digest. Of a tag alone the one that the registry has for it, else one made from its name."""
    name, _, digest = image.partition("@")
    last = name.rfind("/") + 1
    repository, _, tag = name.rpartition(":") if ":" in name[last:] else (name, "", "")
    if not digest or "moved" in name[last:]:
        digest = _registered(repository, tag) or "sha256:" + hashlib.sha256(name.encode()).hexdigest()
    # some runtimes report the image's configuration, without a repository
    return (
        "sha256:" + hashlib.sha256(digest.encode()).hexdigest() if "bare" in name[last:] else f"{repository}@{digest}"
    )


def _registered(repository: str, tag: str) -> str | None:
    """None too for what has moved on since the registry was asked."""
    service = repository.removeprefix(f"{REGISTRY}/omnicare/")
    known = service in SERVICES and tag in VERSIONS and "moved" not in tag
    return digest_of(service, tag) if known else None
