"""Whether connections to the database run out: by the server, and by the application's own script about its pool."""

import asyncio
from collections.abc import Mapping

from pydantic import Field

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.exec import ExecLimits, Program
from runbooks.clients.postgres.connections import Connections
from runbooks.clients.postgres.usage import DatabaseUsage
from runbooks.deployments.pod_scripts import PodScripts, end_of
from runbooks.kit.answers import NotUnderstood, read_printed
from runbooks.kit.printed_fields import PrintedFields
from runbooks.kit.programs import ProgramWords
from runbooks.kit.targets import Environment, Frozen
from runbooks.wording import by_count, counted

HIGH, FULL = 0.8, 0.95
"""Shares of a limit, from which it is worth a look, and from which the next burst fails."""
_TEXT = 1500
_NAMES: Mapping[str, tuple[str, ...]] = {
    "most": ("max", "size", "maxconnections", "poolsize", "limit"),
    "total": ("total", "totalcount", "open"),
    "used": ("active", "used", "inuse", "busy", "borrowed"),
    "idle": ("idle", "idlecount", "available", "free"),
    "waiting": ("waiting", "waitingcount", "pending", "queued"),
}
"""What pools of several libraries call their counts, without case and underlines."""


class PoolScript(Frozen):
    """The application's own script about its connection pool."""

    service: str = "backend"
    """The service in whose pods the script runs."""
    status: ProgramWords = ("npm", "run", "--silent", "db:pool:status")
    """Prints the pool's state as one JSON object: `max`, `total`, `active`, `idle`, `waiting`. Plain words; typed text is never added."""
    seconds: float = Field(default=8.0, gt=0, le=60)
    """Time limit for the script."""


class PoolStatus(Frozen):
    """What the script says of the pool in one pod; None: it does not say."""

    pod: str
    most: int | None = None
    total: int | None = None
    used: int | None = None
    idle: int | None = None
    waiting: int | None = None
    not_understood: str = ""
    """Why nothing was read from what the script printed; empty where it was."""
    text: str = ""
    """The end of what it printed then, redacted."""

    @property
    def exhausted(self) -> bool:
        """Return whether requests wait for a connection, or none is left."""
        return bool(self.waiting) or (self.most is not None and self.used is not None and self.used >= self.most > 0)


class ApplicationPool:
    """The application's own view of its pool, in one environment."""

    def __init__(self, cluster: ClusterClient, environment: Environment, script: PoolScript) -> None:
        self._script = script
        self._scripts = PodScripts(cluster, environment, script.service, [Program(script.status)], table="pool")

    @property
    def service(self) -> str:
        """Return the service whose pool it is."""
        return self._script.service

    async def status(self) -> PoolStatus:
        """Return what the script says in one ready pod. Raises `RunbookError` where it did not do its work."""
        limits = ExecLimits(seconds=self._script.seconds, bytes=1 << 20)
        pod, out = await self._scripts.ran(self._script.status, limits=limits, says=True)
        return await asyncio.to_thread(read_status, pod, out)


def read_status(pod: str, out: bytes) -> PoolStatus:
    """Return what was printed, as counts; what is not one clear answer is told as that."""
    try:
        return _status(pod, read_printed(out))
    except NotUnderstood as error:
        return PoolStatus(pod=pod, not_understood=str(error), text=end_of(out, _TEXT))


def _status(pod: str, value: object) -> PoolStatus:
    """Return the counts; raises `NotUnderstood` where a pool could be called healthy by something that is no count."""
    if not isinstance(value, Mapping):
        raise NotUnderstood("the JSON is not an object")
    fields = PrintedFields(value)
    fields.check_whole()
    found = PoolStatus.model_validate({"pod": pod} | {field: fields.whole(*names) for field, names in _NAMES.items()})
    if found.waiting is None and (found.used is None or found.most is None):
        raise NotUnderstood("the JSON has no `waiting`, nor both `active` and `max`")
    if found.used is not None and found.most is not None and found.used > found.most:
        raise NotUnderstood("the JSON has more connections in use than there may be")
    return found


def tightest(found: Connections) -> DatabaseUsage:
    """Return the limit of which most is used; of the server's and another that is as full, the server's."""
    return max((found.server, *(each for each in found.limits if each.used)), key=lambda each: each.share)


def answer(found: Connections) -> str:
    """Return the answer in one sentence, without its full stop."""
    tight = tightest(found)
    of = f"{tight.used} of {counted(tight.most, 'connection')}"
    if tight.name and tight.share >= HIGH:
        left = "none is left" if not tight.left else f"{tight.left} left"
        return f"{tight.whose} uses {of} that it may have: {left}"
    server = found.server
    if server.share >= HIGH:
        left = "none is left" if not server.left else f"{server.left} left"
        return f"{server.used} of {counted(server.most, 'connection')} are in use: {left}"
    return f"{server.used} of {counted(server.most, 'connection')} {by_count(server.used, 'is', 'are')} in use"
