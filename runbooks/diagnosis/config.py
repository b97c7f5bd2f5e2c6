"""A ConfigMap or Secret that a pod names and that is not there, or a key in it: which one, which key.

Named by the container's environment it shows in the container's status, mounted as a volume only in an event.
"""

import re

from runbooks.clients.kubernetes.views import ContainerView, PodView
from runbooks.diagnosis.snapshot import Cause, PodsSnapshot, usual
from runbooks.kit.reasons import ReasonCode

_ABSENT = re.compile(r'\b(configmap|secret)s? "(?:[^"/]*/)?([^"]+)" not found', re.IGNORECASE)
_KEY = re.compile(r"couldn't find key (\S+) in (ConfigMap|Secret) (?:[^/\s]+/)?(\S+)", re.IGNORECASE)
_MOUNTED_KEY = re.compile(r"references non-existent (?:(config|secret) )?key:? (\S+)", re.IGNORECASE)
_VOLUME = re.compile(r'for volume "([^"]+)"')
_KINDS = {"configmap": "ConfigMap", "config": "ConfigMap", "secret": "Secret"}

_USUAL = usual(
    ("this version needs configuration that was not rolled out with it", "apply its configuration first, then retry"),
    ("the object was renamed or deleted", "restore it: running pods only read it at startup"),
    ("the object is in another namespace", "create it in the Deployment's namespace"),
)


def environment(pod: PodView, container: ContainerView) -> Cause | None:
    """Return the ConfigMap, Secret or key that the container's environment names and that does not exist."""
    if container.phase != "waiting" or container.reason != "CreateContainerConfigError":
        return None
    missing = _missing(container.message)
    if missing is None:
        return Cause(
            code=ReasonCode.CONTAINER_CONFIG,
            what="the container can't be created as configured",
            brief="the container's configuration is invalid",
            said=(container.message or container.reason,),
            pod=pod,
            container=container.name,
            silent=True,
            usual=_USUAL,
        )
    return _cause(pod, container.name, missing, container.message)


def mounted(snapshot: PodsSnapshot, pod: PodView) -> Cause | None:
    """Return the ConfigMap or Secret that a volume needs and that does not exist; the pod waits in ContainerCreating."""
    if any(container.phase in ("running", "terminated") for container in pod.containers):
        return None
    for event in reversed(snapshot.told(pod, "FailedMount")):
        missing = _missing(event.message)
        if missing is not None:
            return _cause(pod, None, missing, event.message)
    return None


def _missing(message: str) -> str | None:
    """Return such as `the Secret omnicare-database has no key DATABASE_URL`."""
    if found := _KEY.search(message):
        return f"{_KINDS[found[2].lower()]} {found[3]} has no key {found[1].strip(chr(34))}"
    if found := _ABSENT.search(message):
        return f"{_KINDS[found[1].lower()]} {found[2]} does not exist"
    if found := _MOUNTED_KEY.search(message):
        volume = _VOLUME.search(message)
        where = f" of volume {volume[1]}" if volume else ""
        kind = f"{_KINDS[found[1].lower()]}" if found[1] else "the source"
        return f"{kind}{where} has no key {found[2]}"
    return None


def _cause(pod: PodView, container: str | None, missing: str, said: str) -> Cause:
    return Cause(
        code=ReasonCode.CONFIG_MISSING,
        what=missing,
        brief=missing,
        said=(said,),
        pod=pod,
        container=container,
        certain=True,
        silent=True,
        usual=_USUAL,
    )
