"""Whether an image is one of a service's own: by the configured repository, never by what an object says of itself.

Anybody who may edit a Deployment, a ReplicaSet or a ConfigMap can write any image there. What is not of the configured repository is
called foreign: it is named with host and repository wherever it is shown, and never rolled out.
"""

import re
from collections.abc import Sequence

from runbooks.fleet.records import KnownReleases, Release
from runbooks.kit.plan import Image
from runbooks.kit.targets import Service

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def foreign(service: Service, image: Image) -> bool:
    """Whether it is of another repository than the configured one."""
    return not image.is_of(service.repository)


def named(service: str, image: Image, repository: str) -> str:
    """Return a sentence that names a foreign image, without its point."""
    return f"{service}: {image.named} is not from the configured repository {repository}"


def wellformed(image: Image) -> bool:
    """Whether tag and digest can be an image's: they go into lines that people type."""
    tag = image.tag is None or _TAG.fullmatch(image.tag) is not None
    return tag and (image.digest is None or _DIGEST.fullmatch(image.digest) is not None)


def trouble(service: Service, image: Image) -> str:
    """Return why it can't be rolled out for the service, as a sentence without its point; empty where it can."""
    if foreign(service, image):
        return named(service.name, image, service.repository)
    return "" if wellformed(image) else f"{service.name}: {image.named} has no valid tag or digest"


def release_trouble(release: Release, services: Sequence[Service]) -> str:
    """Return why a recorded release can't be gone back to; empty where it can."""
    for service in services:
        image = release.image(service.name)
        if image is not None and (found := trouble(service, image)):
            return found
        if image is not None and image.digest is None:
            return f"{service.name}: {image.named} is recorded without a digest"
    return ""


def usable(known: KnownReleases, services: Sequence[Service]) -> tuple[tuple[Release, ...], tuple[str, ...]]:
    """Return the recorded releases that the configuration agrees with, and what was left out, in sentences."""
    kept, left_out = [], []
    for release in known.releases:
        if found := release_trouble(release, services):
            left_out.append(f"The record of {release.version or 'no version'} does not count as a release: {found}.")
        else:
            kept.append(release)
    return tuple(kept), tuple(dict.fromkeys(left_out))


def recorded(releases: Sequence[Release], service: str, image: Image | None) -> Release | None:
    """Return the newest release that a run of the bot rolled out and that has just this image of the service."""
    if image is None or image.digest is None:
        return None
    for release in releases:
        known = release.image(service)
        if release.run and known is not None and known.digest == image.digest and known.is_of(image.repository):
            return release
    return None
