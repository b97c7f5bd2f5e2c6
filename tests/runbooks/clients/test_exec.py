"""Commands in a pod: a closed set, standard input, bounds in bytes and seconds, sockets that go silent."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.errors import Unprocessable
from runbooks.clients.kubernetes.exec import PROTOCOLS, Exec, ExecLimits, Output, Program, ProgramTimedOut, _how
from runbooks.kit.errors import PermanentError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.cluster.programs import Execution
from sandbox.cluster.settings import Rule, Settings, User
from tests.support.broken_wire import wired

ECHO = Program(("npm", "run", "--silent", "one-line"))
CAT = Program(("cat",))
FLOOD = Program(("npm", "run", "--silent", "flood"))
SLEEPS = Program(("npm", "run", "--silent", "sleeps"))
SPLIT = Program(("npm", "run", "--silent", "split"))
LIMITS = ExecLimits(seconds=60, bytes=1 << 18)
NAMESPACE = "omnicare-prod"


async def one_line(execution: Execution) -> int:
    line = await execution.stdin.readline()
    await execution.out(json.dumps({"seen": json.loads(line)}).encode())
    return 3


async def flood(execution: Execution) -> int:
    for _ in range(1000):
        await execution.out(b"x" * 4096)
    return 0


async def sleeps(_: Execution) -> int:
    await asyncio.sleep(3600)
    return 0


async def split(execution: Execution) -> int:
    for part in (b'{"a', b'": "\xc3', b'\xa9"}'):
        await execution.out(part)
    await execution.err(b"careful\n")
    return 0


class World:
    def __init__(self, cluster: Cluster, kubeconfig: str, client: ClusterClient) -> None:
        self.cluster, self.kubeconfig, self.client = cluster, kubeconfig, client
        self.pod = next(each.name for each in cluster.pods(NAMESPACE) if each.deployment == "backend")
        self.programs = client.programs([ECHO, CAT, FLOOD, SLEEPS, SPLIT])

    async def run(self, program: Program, stdin: bytes = b"", limits: ExecLimits = LIMITS) -> Output:
        return await self.programs.run(NAMESPACE, self.pod, "backend", program, stdin=stdin, limits=limits)

    def begins(self) -> asyncio.Event:
        """Set when the program that never ends has begun."""
        begun = asyncio.Event()

        async def begins(execution: Execution) -> int:
            begun.set()
            return await sleeps(execution)

        self.cluster.add_scripts({"sleeps": begins})
        return begun


@pytest.fixture
def protocols() -> tuple[str, ...]:
    return Settings().exec_protocols


@pytest.fixture
async def here(tmp_path: Path, protocols: tuple[str, ...]) -> AsyncIterator[World]:
    reader = User("reader", "reader-token", (Rule(("get", "list"), ("pods", "pods/exec")),))
    cluster = Cluster(Settings(users=(*Settings().users, reader), exec_protocols=protocols))
    seed_omnicare(cluster)
    cluster.add_scripts({"one-line": one_line, "flood": flood, "sleeps": sleeps, "split": split})
    async with cluster.serve():
        path = tmp_path / "kubeconfig"
        path.write_text(cluster.kubeconfig("omnicare-bot"))
        async with ClusterClient(kubeconfig=str(path)) as client:
            yield World(cluster, str(path), client)


@pytest.mark.parametrize("protocols", [PROTOCOLS, PROTOCOLS[1:]], ids=["v5", "v4"])
async def test_standard_input_arrives_and_the_exit_status_comes_back(here: World):
    ids = [f"n-{number}" for number in range(20_000)]
    answer = await here.run(ECHO, json.dumps(ids).encode() + b"\n")
    assert answer.code == 3
    assert json.loads(answer.out) == {"seen": ids}


async def test_the_end_of_the_input_is_told_where_the_server_can(here: World):
    assert (await here.run(CAT, b"all of it")).out == b"all of it"


async def test_bytes_are_joined_raw_whatever_the_frames_cut(here: World):
    answer = await here.run(SPLIT)
    assert (answer.code, answer.out, answer.err) == (0, '{"a": "é"}'.encode(), b"careful\n")


async def test_what_was_said_is_in_no_repr(here: World):
    assert "careful" not in repr(await here.run(SPLIT))


async def test_a_flood_is_not_heard_out(here: World):
    with pytest.raises(PermanentError) as caught:
        await here.run(FLOOD)
    assert caught.value.code is ReasonCode.OUTPUT_TOO_LARGE
    assert "xx" not in caught.value.message


async def test_a_program_that_never_ends_is_left_at_the_deadline(here: World):
    with pytest.raises(ProgramTimedOut) as caught:
        await here.run(SLEEPS, limits=ExecLimits(seconds=0.5))
    assert caught.value.code is ReasonCode.SCRIPT_UNANSWERED
    assert here.pod in caught.value.message


async def test_a_socket_that_goes_silent_ends_at_the_deadline(here: World, tmp_path: Path):
    begun = here.begins()
    async with wired(here.kubeconfig, tmp_path) as (wire, through), ClusterClient(kubeconfig=through) as client:
        asking = asyncio.create_task(
            client.programs([SLEEPS]).run(NAMESPACE, here.pod, "backend", SLEEPS, limits=ExecLimits(seconds=5))
        )
        await begun.wait()
        wire.fall_silent()
        with pytest.raises(ProgramTimedOut):
            await asking


async def test_a_connection_that_is_cut_is_temporary(here: World, tmp_path: Path):
    begun = here.begins()
    async with wired(here.kubeconfig, tmp_path) as (wire, through), ClusterClient(kubeconfig=through) as client:
        asking = asyncio.create_task(
            client.programs([SLEEPS]).run(NAMESPACE, here.pod, "backend", SLEEPS, limits=LIMITS)
        )
        await begun.wait()
        wire.cut()
        with pytest.raises(TemporaryError) as caught:
            await asking
    assert caught.value.code is ReasonCode.CLUSTER_UNREACHABLE


async def test_only_the_configured_set_can_be_run(here: World):
    with pytest.raises(ValueError, match="program is not configured"):
        await here.run(Program(("npm", "run", "other")))


@pytest.mark.parametrize(
    "words", [(), ("npm", "-c", "rm x; y"), ("a b",), ("$(x)",), ("",), ("a\nb",), ("'",), ("x" * 201,)]
)
def test_words_that_want_to_be_more_than_words_are_refused(words: tuple[str, ...]):
    with pytest.raises(ValueError, match="letters, digits"):
        Program(words)


async def test_a_pod_that_is_gone_is_a_sentence(here: World):
    here.pod = "backend-gone"
    with pytest.raises(PermanentError) as caught:
        await here.run(CAT)
    assert caught.value.code is ReasonCode.NOT_FOUND
    assert not isinstance(caught.value, Unprocessable)


async def test_an_account_without_create_may_not(here: World, tmp_path: Path):
    path = tmp_path / "reader.kubeconfig"
    path.write_text(here.cluster.kubeconfig("reader"))
    async with ClusterClient(kubeconfig=str(path)) as client:
        programs: Exec = client.programs([CAT])
        with pytest.raises(PermanentError) as caught:
            await programs.run(NAMESPACE, here.pod, "backend", CAT, limits=LIMITS)
    assert caught.value.code is ReasonCode.CLUSTER_REFUSED


@pytest.mark.parametrize("said", [b"", b"[]", b"null", b'{"details": 3}', b"[" * 100_000, b"\xff"])
def test_a_word_on_how_it_ended_that_is_none_is_never_a_success(said: bytes):
    code, why = _how(said)
    assert code is None
    assert "can't be read" in why
