"""The `kubectl port-forward` line for a service, made from the ports that its Kubernetes Service has."""

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.services import ServicePort
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment, Frozen, Service
from runbooks.wording import listed

_PRIVILEGED = 1024
"""A person's machine lets only root listen on ports below this one."""


class PortForward(Frozen):
    """How a person reaches one port of a service from their own machine."""

    line: str
    """To paste into a terminal."""
    local: int
    """The port on the person's machine."""
    port: int
    """The Service's port."""
    others: tuple[int, ...] = ()
    """The Service's other ports that can be forwarded."""


async def forward(cluster: ClusterClient, environment: Environment, service: Service, port: int | None) -> PortForward:
    """Return the line for that port, or for the Service's first one. Raises PermanentError if there is no such port."""
    through = service.through
    found = await cluster.service(environment.namespace, through)
    ports = {each.port: each for each in found.ports if each.protocol == "TCP" and each.port}
    if not ports:
        raise PermanentError(
            f"The Kubernetes Service `{through}` has no TCP port; kubectl forwards no other.", code=ReasonCode.NOT_FOUND
        )
    if port is not None and port not in ports:
        has = listed([str(each) for each in ports])
        raise PermanentError(
            f"The Kubernetes Service `{through}` has no TCP port {port}. It has: {has}.", code=ReasonCode.USAGE
        )
    chosen = ports[port] if port is not None else next(iter(ports.values()))
    local = _local(chosen)
    return PortForward(
        line=f"{environment.kubectl} port-forward svc/{through} {local}:{chosen.port} -n {environment.namespace}",
        local=local,
        port=chosen.port,
        others=tuple(each for each in ports if each != chosen.port),
    )


def _local(port: ServicePort) -> int:
    """Return the same port where anybody may listen on it, else the pods' own, else one that is easy to see as its twin."""
    if port.port >= _PRIVILEGED:
        return port.port
    pods = int(port.target) if port.target.isdecimal() else 0
    return pods if pods >= _PRIVILEGED else 8000 + port.port
