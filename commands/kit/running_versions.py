"""Which version services run, in words."""

from collections.abc import Sequence

from runbooks.deployments.service_state import ServiceState
from runbooks.wording import listed


def versions_of(services: Sequence[ServiceState]) -> str:
    """Return the version; where the services run different ones, which runs what."""
    different = {_version(each) for each in services}
    if len(different) > 1:
        return f"different versions ({listed(f'{each.service} {_version(each)}' for each in services)})"
    return "".join(different)


def _version(service: ServiceState) -> str:
    """The tag alone says nothing of an image that is not of the configured repository."""
    return service.shown if service.foreign else (service.image.tag if service.image else None) or "untagged"
