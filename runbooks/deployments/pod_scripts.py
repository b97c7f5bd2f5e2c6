"""A service's own npm scripts, run in one of its ready pods: which pod, and which of the ways in which a script does not do its work.

Which scripts there are, the configuration says once: a closed set of argument lists. A pod that has no such script, a script that fails,
one that never answers: each is told as what it is.
"""

import shlex
from collections.abc import Awaitable, Callable, Iterable, Sequence

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.exec import ExecLimits, Heard, Output, Program
from runbooks.clients.kubernetes.views import PodView
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.targets import Environment
from runbooks.redaction.redactor import default_redactor
from runbooks.wording import counted

_TAIL_LINES, _TAIL_CHARACTERS = 8, 1200
_BEYOND = 2000
"""So many bytes more than are shown are redacted: what a cut halves is not known again."""


class PodScripts:
    """The scripts of one service."""

    def __init__(
        self, cluster: ClusterClient, environment: Environment, service: str, programs: Iterable[Program], *, table: str
    ) -> None:
        """`table`: where the configuration names them, for messages: `sync`."""
        self._cluster = cluster
        self._environment = environment
        self._service = service
        self._table = table
        self._exec = cluster.programs(programs)

    def by_hand(self, words: Sequence[str], *, stdin: bool = False) -> str:
        """Return the line by which a person runs a script; `stdin`: which reads its input there."""
        service = self._environment.service(self._service)
        assert service is not None, "the configuration was checked"
        where = f"-n {self._environment.namespace} deployment/{service.deployment} -c {service.container}"
        return f"{self._environment.kubectl} exec {'-i ' if stdin else ''}{where} -- {shlex.join(words)}"

    async def ran(
        self,
        words: tuple[str, ...],
        *,
        limits: ExecLimits,
        stdin: bytes = b"",
        says: bool = False,
        heard: Heard | None = None,
        begins: Callable[[str], Awaitable[None]] | None = None,
    ) -> tuple[str, bytes]:
        """The pod and what the script printed there; raises where it did not do its work.

        `says`: its output may be shown where it fails; otherwise it may hold what was written about patients. `heard`: told its output as it
        comes. `begins`: told the pod before anything is run there; where it raises, nothing is.
        """
        program = Program(words)
        pod, container = await self._pod()
        if begins is not None:
            await begins(pod.name)
        output = await self._exec.run(
            self._environment.namespace, pod.name, container, program, stdin=stdin, limits=limits, heard=heard
        )
        if output.code != 0:
            raise self._failure(program, pod.name, output, says=says)
        return pod.name, output.out

    async def _pod(self) -> tuple[PodView, str]:
        """A ready pod of the service, and its container."""
        service = self._environment.service(self._service)
        assert service is not None, "the configuration was checked"
        deployment = await self._cluster.deployment(self._environment.namespace, service.deployment)
        pods = [pod for pod in await self._cluster.pods_of(deployment) if pod.ready and not pod.deleting]
        if not pods:
            raise PermanentError(
                f"The {self._table} scripts need a ready pod of {service.name}, and {self._environment.name} has none.",
                code=ReasonCode.NOT_FOUND,
                advice=(f"`pods {service.name}` shows why.",),
            )
        return min(pods, key=lambda pod: pod.name), service.container

    def _failure(self, program: Program, pod: str, output: Output, *, says: bool) -> PermanentError:
        """Which of the ways in which a script does not do its work."""
        heard = output.err + (output.out if says or output.out.lstrip()[:1] not in (b"{", b"[") else b"")
        words = f"{output.message}\n{heard.decode(errors='replace')}".lower()
        silent = not output.out.strip() and not output.err.strip() and "--silent" in program.arguments
        absent = "missing script" in words or "executable file not found" in words or output.code == 127  # noqa: PLR2004
        if absent or (silent and output.code == 1):
            how = "exits with 1 and prints nothing, as npm does for a missing script" if silent and not absent else ""
            return PermanentError(
                f"Pod {pod} has no script for this: `{program}` {how or 'does not exist'}.",
                code=ReasonCode.SCRIPT_MISSING,
                evidence=_tail(output, says=says),
                advice=(
                    f"Check the scripts in that release's `package.json` and `[environments.….{self._table}]` in `omnicare.toml`.",
                ),
            )
        ended = (
            f"exited with {output.code}" if output.code is not None else f"could not be run ({output.message[:200]})"
        )
        return PermanentError(
            f"`{program}` {ended} in pod {pod}.",
            code=ReasonCode.SCRIPT_FAILED,
            evidence=_tail(output, says=says),
            advice=(f"`logs {pod}` may show more.",),
        )


def _tail(output: Output, *, says: bool) -> tuple[str, ...]:
    """Return the end of what it said, redacted; of what may hold patients' data only how much there was."""
    text = end_of(output.err.strip() or (output.out.strip() if says else b""), _TAIL_CHARACTERS)
    lines = tuple(line for line in text.splitlines() if line.strip())[-_TAIL_LINES:]
    if not says and output.out.strip():
        return (
            *lines,
            f"({counted(len(output.out), 'byte')} of output hidden, because it may be about patients.)",
        )
    return lines


def end_of(said: bytes, characters: int) -> str:
    """Return the last characters of an output, redacted."""
    read = said[-characters * 4 - _BEYOND :]
    if len(read) < len(said):
        read = read[read.find(b"\n") + 1 :]  # what the first cut halves, or parts from its cue, goes
    return default_redactor().text(read.decode(errors="replace")).strip()[-characters:]
