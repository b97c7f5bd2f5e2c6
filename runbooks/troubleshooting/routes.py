"""The way of a request to the pods and from them: Services and their endpoints, Ingresses, NetworkPolicies, DNS."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from runbooks.certificates.settings import CertificateSettings
from runbooks.clients.kubernetes.routing import (
    INGRESSES,
    NETWORK_POLICIES,
    IngressBackend,
    IngressView,
    NetworkPolicyView,
)
from runbooks.clients.kubernetes.services import EndpointsView, ServiceView
from runbooks.clients.kubernetes.views import PodView
from runbooks.diagnosis import clean
from runbooks.kit.errors import PermanentError, RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Service
from runbooks.observe import by_hand
from runbooks.troubleshooting.case import Case, PlaceFacts
from runbooks.troubleshooting.findings import Confidence, Finding, RuleAnswer, ToDo, Trouble, found, not_configured
from runbooks.troubleshooting.lately import pods_of
from runbooks.troubleshooting.rule import RegionRule
from runbooks.wording import by_count, counted, listed

_SERVED = (Trouble.TARGETS, Trouble.ERRORS, Trouble.ALERT, Trouble.METRIC, Trouble.WEBSOCKET_DROPS)
_BY_NAME = (Trouble.DATABASE_UNREACHABLE, Trouble.POOL_EXHAUSTED, Trouble.CACHE, Trouble.IMAGE, Trouble.CRASHES, Trouble.PROBE, Trouble.NOT_READY, Trouble.SYNC_STUCK, Trouble.SLOW, *_SERVED)  # fmt: skip
"""What fails where host names can't be resolved."""
_SEE = ToDo(text="See what is there", command="resources", label="Resources")
_NAMED = 3
_DNS_NAMESPACE, _DNS = "kube-system", "kube-dns"


class Serving(RegionRule):
    """Looks at whether each Kubernetes Service leads to ready pods."""

    name = "services' endpoints"
    permission = "fleet:read"

    async def look_at(self, case: Case, place: PlaceFacts) -> RuleAnswer:
        """Return the services that no request reaches although their pods are ready, and other Services without a pod."""
        listed, endpoints = await place.listed(), {each.name: each for each in await place.endpoints()}
        services = {each.name: each for each in await place.services()}
        findings: list[Finding] = []
        for service in case.services:
            ready = [pod for pod in pods_of(listed, service) if pod.ready]
            through, behind = services.get(service.through), endpoints.get(service.through)
            if ready and behind is not None and not behind.ready:
                findings.append(_unserved(service, through, ready))
            elif ready and through is not None and (wrong := _wrong_port(through, ready)):
                findings.append(_to_another_port(service, through, wrong))
        if case.service is None:
            known = {each.through for each in place.environment.services}
            others = [each for name, each in services.items() if name not in known]
            findings += [each for other in others for each in _of_others(other, endpoints.get(other.name), listed.pods)]
        return found(*findings)


def _labels(selector: Mapping[str, str]) -> str:
    return clean(", ".join(f"{key}={value}" for key, value in selector.items()))


def _selects(service: ServiceView, pod: PodView) -> bool:
    return all(pod.labels.get(key) == value for key, value in service.selector.items())


def _unserved(service: Service, through: ServiceView | None, ready: Sequence[PodView]) -> Finding:
    evidence = (
        "A Service selects pods by label: its selector does not match their labels, or its port does not match theirs."
    )
    order = f"Compare the selector of Service {service.through} with the labels of the pods"
    if through is not None and through.selector:
        names = {name for pod in ready for each in (*pod.asked, *pod.init) for name, _ in each.ports if name}
        missing = [each.target for each in through.ports if not each.target.isdigit() and each.target not in names]
        if not any(_selects(through, pod) for pod in ready):
            evidence = f"Its selector ({_labels(through.selector)}) does not match the labels of these pods."
        elif missing:
            evidence = f"Its target port is {listed(missing, most=_NAMED)}, but no container of these pods has a port of that name."
            order = f"Compare the ports of Service {service.through} with those of the containers"
    return Finding(
        kind=Trouble.NOT_SERVED,
        cause=f"{service.name}: its Service {service.through} has no ready endpoint, though {counted(len(ready), 'pod')} {'is' if len(ready) == 1 else 'are'} ready",
        evidence=(evidence,),
        confidence=Confidence.CERTAIN,
        service=service.name,
        to_do=(ToDo(text=order), _SEE),
        explains=_SERVED,
    )


def _wrong_port(through: ServiceView, ready: Iterable[PodView]) -> str:
    """Return the ports to which it leads where the pods say of none of them that they listen there; else, and where they say nothing, empty."""
    specs = [each for pod in ready for each in (*pod.asked, *pod.init)]
    declared = {str(number) for each in specs for _, number in each.ports}
    probed = [said for each in specs for said in each.probes.values() if " port " in said]
    targets = [each.target for each in through.ports if each.protocol == "TCP"]
    if not targets or not (declared or probed) or not all(each.isdigit() for each in targets):
        return ""
    if any(each in declared or any(said.endswith(f" port {each}") for said in probed) for each in targets):
        return ""
    return listed(targets, most=_NAMED)


def _to_another_port(service: Service, through: ServiceView, port: str) -> Finding:
    return Finding(
        kind=Trouble.NOT_SERVED,
        cause=f"{service.name}: its Service {through.name} leads to port {port}, which no container or probe of its pods names",
        confidence=Confidence.LIKELY,
        service=service.name,
        to_do=(ToDo(text=f"Compare `targetPort` of Service {through.name} with the ports of the containers"), _SEE),
        explains=_SERVED,
    )


def _of_others(service: ServiceView, behind: EndpointsView | None, pods: Sequence[PodView]) -> Iterator[Finding]:
    """Yield that nothing is behind a Service of something else in the namespace, such as a cache."""
    if not service.selector or service.type == "ExternalName" or (behind is not None and behind.ready):
        return
    live = [pod for pod in pods if _selects(service, pod) and not pod.over]
    none = (
        "the one pod that it selects is not" if len(live) == 1 else f"none of the {len(live)} pods that it selects is"
    )
    why = f"{none} ready" if live else "it selects no pod"
    yield Finding(
        kind=Trouble.NOT_SERVED,
        cause=f"Service {service.name} leads nowhere: {why}",
        evidence=(f"Its selector: {_labels(service.selector)}.",),
        confidence=Confidence.POSSIBLE,
        to_do=(ToDo(text="If something uses it, start its pods; otherwise delete the Service"), _SEE),
    )


class Ingresses(RegionRule):
    """Looks at what the Ingresses of the namespace name: Services, their ports, and TLS Secrets."""

    name = "Ingresses"
    permission = "fleet:read"

    async def look_at(self, case: Case, place: PlaceFacts) -> RuleAnswer:
        """Return those that name a Service, a port or a Secret that does not exist. Of Secrets it looks at those that `certs` may read."""
        ingresses = await place.place.cluster.every(INGRESSES, place.environment.namespace)
        if not ingresses:
            return not_configured()
        services = {each.name: each for each in await place.services()}
        findings, unknown = [], []
        readable = case.find(CertificateSettings)
        for ingress in ingresses:
            findings += [each for one in ingress.backends if (each := _astray(place, ingress, one, services))]
            for name in ingress.secrets:
                if readable is not None and name in readable.secrets:
                    try:
                        if await _is_missing(place, name):
                            findings.append(_without_secret(ingress, name))
                    except RunbookError as error:
                        unknown.append(f"Secret {name}: {error.message.rstrip('.')}")
        wanted = case.service.name if case.service is not None else ""
        return RuleAnswer(
            found=tuple(each for each in findings if not wanted or each.service in ("", wanted)),
            unknown=tuple(unknown),
            details=counted(len(ingresses), "Ingress", "Ingresses"),
        )


def _astray(
    place: PlaceFacts, ingress: IngressView, backend: IngressBackend, services: Mapping[str, ServiceView]
) -> Finding | None:
    there = services.get(backend.service)
    if there is None:
        wrong = f"Service {backend.service}, which does not exist"
    elif backend.port and not any(backend.port in (str(each.port), each.name) for each in there.ports):
        wrong = f"port {backend.port} of Service {backend.service}, which has no such port"
    else:
        return None
    service = next((each.name for each in place.environment.services if each.through == backend.service), "")
    host = f" for {backend.host}" if backend.host else ""
    return Finding(
        kind=Trouble.INGRESS,
        cause=clean(f"Ingress {ingress.name} sends requests{host} to {wrong}"),
        confidence=Confidence.CERTAIN,
        service=service,
        explains=_SERVED,
        to_do=(
            ToDo(
                text=f"Correct the Ingress or the Service. See the Ingress: `{by_hand.kubectl(place.environment, 'describe', 'ingress', ingress.name)}`"
            ),
            _SEE,
        ),
    )


async def _is_missing(place: PlaceFacts, name: str) -> bool:
    try:
        await place.place.cluster.secret_written(place.environment.namespace, name)
    except PermanentError as error:
        if error.code is not ReasonCode.NOT_FOUND:
            raise
        return True
    return False


def _without_secret(ingress: IngressView, name: str) -> Finding:
    return Finding(
        kind=Trouble.INGRESS,
        cause=f"Ingress {ingress.name} has no certificate: its TLS Secret {name} does not exist",
        evidence=("Clients get the ingress controller's own certificate, which they refuse.",),
        confidence=Confidence.CERTAIN,
        explains=(Trouble.CERTIFICATE, *_SERVED),
        to_do=(
            ToDo(text="Create the Secret again, or have cert-manager issue it"),
            ToDo(text="See all certificates", command="certs", label="Certificates"),
        ),
    )


class ClusterDns(RegionRule):
    """Looks at whether the cluster's DNS answers: CoreDNS, which in EKS and elsewhere is behind the Service `kube-dns`."""

    name = "cluster DNS"
    permission = "fleet:read"

    async def look_at(self, case: Case, place: PlaceFacts) -> RuleAnswer:  # noqa: ARG002 - it is the cluster's
        """Return that it has no ready pod. Without the right to read another namespace's endpoints, it could not look."""
        try:
            behind = await place.place.cluster.endpoints(_DNS_NAMESPACE, _DNS)
        except PermanentError as error:
            if error.code is not ReasonCode.NOT_FOUND:
                raise
            return not_configured()
        if behind.ready:
            return RuleAnswer(details=counted(len(behind.ready), "server"))
        there = place.environment.model_copy(update={"namespace": _DNS_NAMESPACE})
        return found(
            Finding(
                kind=Trouble.DNS,
                cause="The cluster's DNS does not answer: Service kube-dns has no ready pod, so no pod can resolve a host name",
                evidence=tuple([f"Not ready: {listed(behind.not_ready, most=_NAMED)}."] if behind.not_ready else []),
                confidence=Confidence.CERTAIN,
                explains=_BY_NAME,
                to_do=(
                    ToDo(
                        text=f"Bring CoreDNS back. See its pods: `{by_hand.kubectl(there, 'get', 'pods', '-l', 'k8s-app=kube-dns', '-o', 'wide')}`"
                    ),
                    ToDo(text="See whether the nodes are ready", command="nodes", label="Nodes"),
                ),
            )
        )


class NetworkPolicies(RegionRule):
    """Looks at the NetworkPolicies that are about each service's pods."""

    name = "network policies"
    permission = "fleet:read"

    async def look_at(self, case: Case, place: PlaceFacts) -> RuleAnswer:
        """Return the services whose pods no traffic may reach, or leave. Rules that allow some are not weighed against what a service needs."""
        policies = await place.place.cluster.every(NETWORK_POLICIES, place.environment.namespace)
        if not policies:
            return not_configured()
        here, endpoints = await place.listed(), {each.name for each in await place.endpoints()}
        return RuleAnswer(
            found=tuple(
                each
                for service in case.services
                for each in _closed(service, list(pods_of(here, service)), policies, asked=service.through in endpoints)
            ),
            details=counted(len(policies), "policy", "policies"),
        )


def _closed(
    service: Service, pods: Sequence[PodView], policies: Sequence[NetworkPolicyView], *, asked: bool
) -> Iterator[Finding]:
    """Yield what is closed; what is let in matters only where a Service leads to the pods (`asked`)."""
    about = [each for each in policies if any(each.selector.selects(pod.labels) for pod in pods)]
    into, out = [each for each in about if each.limits_in], [each for each in about if each.limits_out]
    if asked and into and not any(each.lets_in for each in into):
        yield _shut(service, into, "nothing may connect to its pods")
    if out and not any(each.lets_out for each in out):
        yield _shut(service, out, "its pods may connect to nothing, DNS and database included")
    elif out and not any(each.lets_dns for each in out):
        yield _shut(service, out, "its pods may not reach DNS (port 53), so they can't resolve host names")


def _shut(service: Service, policies: Sequence[NetworkPolicyView], what: str) -> Finding:
    names = listed((each.name for each in policies), most=_NAMED)
    by = by_count(len(policies), "NetworkPolicy", "NetworkPolicies")
    return Finding(
        kind=Trouble.NETWORK_POLICY,
        cause=f"{service.name}: {what}, by {by} {names}",
        evidence=(
            "No policy that is about these pods allows it. Policies of other kinds (Cilium, Calico) are not checked.",
        ),
        confidence=Confidence.LIKELY,
        service=service.name,
        explains=(
            Trouble.DATABASE_UNREACHABLE,
            Trouble.CACHE,
            Trouble.CRASHES,
            Trouble.PROBE,
            Trouble.NOT_READY,
            *_SERVED,
        ),
        to_do=(
            ToDo(text="Add a policy that allows what the service needs: its callers, DNS (port 53), database, cache"),
            ToDo(text="See its pods and warnings", command=f"describe {service.name}", label="Describe"),
        ),
    )
