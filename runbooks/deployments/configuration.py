"""Which ConfigMaps a Deployment reads, and what somebody else than the bot wrote into them: keys by name, never a value."""

from collections.abc import Iterable

from runbooks.clients.kubernetes.connection import FIELD_MANAGER
from runbooks.clients.kubernetes.reading import hashed
from runbooks.clients.kubernetes.views import DeploymentView
from runbooks.clients.kubernetes.written import WrittenView
from runbooks.redaction.redactor import cut_redacted
from runbooks.wording import listed

QUIET = frozenset({"kube-controller-manager", "kube-apiserver", FIELD_MANAGER, ""})
"""Writers that tell nothing: what the bot wrote is in its runs."""
_REFERENCES = ("configMapRef.name", "configMapKeyRef.name", "configMap.name")
"""How a pod template names a ConfigMap: all of it or one key as environment variables, or as a volume."""
_LONGEST = 80
_KEYS = 3


def reads(deployment: DeploymentView, config_map: str) -> bool:
    """Return whether its pod template names the ConfigMap."""
    named = hashed(config_map)
    return any(value == named and path.endswith(_REFERENCES) for path, value in deployment.template.items())


def by_others(written: Iterable[WrittenView]) -> list[WrittenView]:
    """Return those that somebody else than the bot and the cluster itself wrote last."""
    return [each for each in written if each.by not in QUIET]


def change_of(kind: str, each: WrittenView) -> str:
    """Return `ConfigMap backend-config (FHIR) was changed by kubectl-edit`."""
    keys = f" ({cut_redacted(listed(each.keys, most=_KEYS), _LONGEST)})" if each.keys else ""
    return f"{kind} {each.name}{keys} was changed by {cut_redacted(each.by, _LONGEST)}"
