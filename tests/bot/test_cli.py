"""`omnicare` as a person or a script meets it: a process, its two streams, its exit status."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from bot.boundary.inbound import Answer, Exit
from bot.cli import GLOBAL_OPTIONS, Mistyped, take_options
from bot.surfaces.terminal.server import SocketServer
from commands.kit import registry
from commands.kit.card import Card, Paragraph, Preformatted, State, words
from commands.kit.spec import Kind
from tests.support.dispatchers import Dispatcher, Runs, card

RUN = "production.deploy.7kq2abcdefghj"


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


def environment(path: Path | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OMNICARE_")}
    return kept | {"PYTHONIOENCODING": "utf-8"} | ({"OMNICARE_SOCKET": str(path)} if path else {})


async def started(*words: str, socket: Path | None = None, cwd: Path | None = None) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", *words,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=environment(socket) | {"PYTHONPATH": str(Path(__file__).parents[2])}, cwd=cwd,
        # a suite in the background of a shell has Ctrl-C ignored, and its children would inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


async def omnicare(*words: str, socket: Path | None = None, cwd: Path | None = None) -> Ended:
    process = await started(*words, socket=socket, cwd=cwd)
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


@contextlib.asynccontextmanager
async def bot(
    path: Path, dispatcher: Dispatcher, runs: Runs | None = None, *, may_choose: bool = False
) -> AsyncIterator[None]:
    server = SocketServer(
        path, dispatcher, runs or Runs(), redact=lambda text: text, name=str.title,
        short=lambda run: run.split(".")[2][:4].upper(), may_choose=may_choose,
    )  # fmt: skip
    await server.start()
    try:
        yield
    finally:
        await server.stop(drain=1.0)


async def test_a_command_is_answered_and_its_exit_status_is_the_answers(tmp_path: Path) -> None:
    dispatcher = Dispatcher()
    for name, status in (("ok", Exit.OK), ("failed", Exit.FAILED), ("usage", Exit.USAGE), ("denied", Exit.DENIED)):
        dispatcher.answers[name] = Answer(card=card(f"It was {name}"), exit=status)
    async with bot(tmp_path / "s", dispatcher):
        found = {name: await omnicare(name, socket=tmp_path / "s") for name in dispatcher.answers}
    assert [ended.status for ended in found.values()] == [0, 1, 2, 3]
    assert found["ok"].out == "It was ok\n"
    assert found["failed"].out == "It was failed\n"
    # what is no answer to the question can't be taken for one in a pipe
    assert (found["usage"].out, found["usage"].err) == ("", "It was usage\n")
    assert (found["denied"].out, found["denied"].err) == ("", "It was denied\n")


async def test_words_reach_the_bot_as_the_shell_split_them(tmp_path: Path) -> None:
    dispatcher = Dispatcher()
    typed = ("logs", "backend", "--grep", "a  b|c", "--reason=it's — so", "--", "--json")
    async with bot(tmp_path / "s", dispatcher):
        await omnicare("--no-follow", *typed, socket=tmp_path / "s")
    assert dispatcher.taken[0].tokens == typed


async def test_a_run_is_followed_to_its_end_and_ends_the_command_with_its_outcome(tmp_path: Path) -> None:
    dispatcher = Dispatcher()
    dispatcher.kinds["deploy"] = Kind.OPERATION
    dispatcher.answers["deploy"] = Answer(card=card("Deploy v2.0.0 to production"), run=RUN)
    runs = Runs(
        ("head", card("Deploy · making the plan")),
        ("plan", Card(title=words("Plan"), summary="Plan", body=(Paragraph(text=words("backend v1.2.0 to v2.0.0")),))),
        ("result", card("Stopped at Backend rollout", state=State.FAILED, reason_code="image-pull")),
        ("head", card("Deploy · failed", state=State.FAILED)),
    )
    async with bot(tmp_path / "s", dispatcher, runs):
        ended = await omnicare("deploy", "v2.0.0", socket=tmp_path / "s")
    assert ended.status == 1
    assert ended.out.splitlines() == [
        "Deploy v2.0.0 to production",
        "Plan",
        "backend v1.2.0 to v2.0.0",
        "🔴 Stopped at Backend rollout",
    ]


async def test_not_following_says_how_to_look_at_the_run(tmp_path: Path) -> None:
    dispatcher = Dispatcher()
    dispatcher.kinds["deploy"] = Kind.OPERATION
    dispatcher.answers["deploy"] = Answer(card=None, run=RUN)
    async with bot(tmp_path / "s", dispatcher):
        ended = await omnicare("deploy", "v2.0.0", "--no-follow", socket=tmp_path / "s")
    assert ended.status == 0
    assert "omnicare runs 7KQ2" in ended.out


async def test_ctrl_c_leaves_the_run_going_and_says_how_to_look_at_it_again(tmp_path: Path) -> None:
    dispatcher = Dispatcher()
    dispatcher.kinds["deploy"] = Kind.OPERATION
    dispatcher.answers["deploy"] = Answer(card=card("Deploy"), run=RUN)
    runs = Runs(("progress", card("Rolling", state=State.RUNNING)))
    runs.end.clear()
    async with bot(tmp_path / "s", dispatcher, runs):
        process = await started("deploy", "v2.0.0", socket=tmp_path / "s")
        assert process.stdout is not None
        async with asyncio.timeout(60):
            while b"Rolling" not in await process.stdout.readline():
                pass
            process.send_signal(signal.SIGINT)
            _out, err = await process.communicate()
    assert process.returncode == 130
    assert "continues" in err.decode()
    assert "omnicare runs 7KQ2" in err.decode()
    assert "Traceback" not in err.decode()


async def test_json_is_one_document_and_a_line_each_while_a_run_is_followed(tmp_path: Path) -> None:
    dispatcher = Dispatcher()
    dispatcher.kinds["deploy"] = Kind.OPERATION
    dispatcher.answers["deploy"] = Answer(card=card("Deploy"), run=RUN)
    dispatcher.answers["status"] = Answer(card=card("Status", release="v1.2.0"))
    runs = Runs(("result", card("Done", state=State.DONE, reason_code="succeeded")))
    async with bot(tmp_path / "s", dispatcher, runs):
        one = await omnicare("status", "--json", socket=tmp_path / "s")
        many = await omnicare("--json", "deploy", "v2.0.0", socket=tmp_path / "s")
    assert json.loads(one.out)["data"] == {"release": "v1.2.0"}
    lines = [json.loads(line) for line in many.out.splitlines()]
    assert [line["kind"] for line in lines] == ["answer", "card", "end"]
    assert lines[0]["run"] == RUN
    assert lines[2] == {"kind": "end", "exit": 0, "run": "7KQ2"}


async def test_choosing_who_one_is_works_only_where_the_bot_allows_it(tmp_path: Path) -> None:
    dispatcher = Dispatcher()
    async with bot(tmp_path / "s", dispatcher):
        refused = await omnicare("status", "--as", "approver", socket=tmp_path / "s")
    async with bot(tmp_path / "s", dispatcher, may_choose=True):
        taken = await omnicare("status", "--as", "approver", socket=tmp_path / "s")
    assert refused.status == 3
    assert "sandbox" in refused.err
    assert taken.status == 0
    assert [inbound.named for inbound in dispatcher.taken] == ["approver"]


async def test_where_no_bot_runs_a_sentence_says_what_to_do(tmp_path: Path) -> None:
    ended = await omnicare("status", "--socket", str(tmp_path / "none"))
    assert ended.status == 1
    assert "No bot is running here" in ended.err
    assert "omnicare serve" in ended.err
    assert "Traceback" not in ended.err


async def test_a_reader_that_has_read_enough_is_no_failure(tmp_path: Path) -> None:
    dispatcher = Dispatcher()
    long = "\n".join(f"line {number}" for number in range(200_000))
    dispatcher.answers["logs"] = Answer(card=Card(title=words("Logs"), summary="logs", body=(Preformatted(text=long),)))
    async with bot(tmp_path / "s", dispatcher):
        process = await started("logs", "backend", socket=tmp_path / "s")
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.timeout(60):
            await process.stdout.readline()
            process.stdout._transport.close()  # type: ignore[attr-defined]
            err = await process.stderr.read()
            await process.wait()
    assert err == b""
    assert process.returncode == 0


async def test_help_needs_no_bot_and_no_configuration(tmp_path: Path) -> None:
    for words_ in ((), ("help",), ("--help",), ("-h",)):
        ended = await omnicare(*words_, cwd=tmp_path)
        assert ended.status == 0
        assert "deploy" in ended.out
        assert "doctor" in ended.out


@pytest.mark.parametrize("typed", [("help", "deploy"), ("deploy", "--help"), ("deploy", "v2.0.0", "-h")])
async def test_help_of_one_command(tmp_path: Path, typed: tuple[str, ...]) -> None:
    ended = await omnicare(*typed, cwd=tmp_path)
    assert ended.status == 0
    assert "deploy VERSION" in ended.out
    assert "--dry-run" in ended.out


async def test_help_of_what_is_not_there_says_what_was_meant(tmp_path: Path) -> None:
    ended = await omnicare("help", "deplyo", cwd=tmp_path)
    assert ended.status == 2
    assert "Did you mean `deploy`?" in ended.err


@pytest.mark.parametrize("typed", [("sync", "status", "--help"), ("help", "sync", "status")])
async def test_help_of_a_command_of_two_words(tmp_path: Path, typed: tuple[str, ...]) -> None:
    ended = await omnicare(*typed, cwd=tmp_path)
    assert ended.status == 0
    assert ended.out.startswith("sync status: ")


@pytest.mark.parametrize("typed", [("help", "db"), ("db", "-h")])
async def test_help_of_half_a_name_says_how_it_goes_on(tmp_path: Path, typed: tuple[str, ...]) -> None:
    ended = await omnicare(*typed, cwd=tmp_path)
    assert ended.status == 2
    assert "`db` needs another word: `db activity`, " in ended.err


async def test_help_of_a_group_has_its_commands_and_no_others(tmp_path: Path) -> None:
    ended = await omnicare("help", "database", cwd=tmp_path)
    assert ended.status == 0
    assert "db replication" in ended.out
    assert "deploy" not in ended.out


async def test_help_imports_nothing_heavy() -> None:
    heavy = (
        "kubernetes",
        "dbos",
        "slack_sdk",
        "slack_bolt",
        "aiohttp",
        "sqlalchemy",
        "sqlite_utils",
        "structlog",
        "re2",
    )
    program = (
        "import sys\n"
        "from bot.cli import main\n"
        "assert main(['help']) == 0\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment()
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    assert "deploy" in out.decode()
    assert err.decode().strip() == "[]"


@pytest.mark.parametrize("typed", [("serve", "--nope"), ("generate", "there"), ("completion", "tcsh"), ("--config",)])
async def test_what_concerns_this_machine_and_was_typed_wrong_is_a_sentence(
    tmp_path: Path, typed: tuple[str, ...]
) -> None:
    ended = await omnicare(*typed, cwd=tmp_path)
    assert ended.status == 2
    assert ended.err
    assert "Traceback" not in ended.err


async def test_serving_without_a_configuration_says_so(tmp_path: Path) -> None:
    ended = await omnicare("serve", "--config", str(tmp_path / "none.toml"))
    assert ended.status == 1
    assert "There is no configuration at" in ended.err
    assert "Traceback" not in ended.err


async def test_generating_elsewhere_than_in_a_clone_is_refused(tmp_path: Path) -> None:
    ended = await omnicare("generate", cwd=tmp_path)
    assert ended.status == 1
    assert "no clone" in ended.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_a_completion_script_knows_the_commands_and_their_options(tmp_path: Path, shell: str) -> None:
    ended = await omnicare("completion", shell, cwd=tmp_path)
    assert ended.status == 0
    for word in ("deploy", "rollback", "doctor", "dry-run", "grep"):
        assert word in ended.out


async def test_the_bash_script_completes(tmp_path: Path) -> None:
    script = await omnicare("completion", "bash", cwd=tmp_path)
    program = script.out + '\nCOMP_WORDS=(omnicare deploy --dr); COMP_CWORD=2; _omnicare; echo "${COMPREPLY[@]}"\n'
    program += 'COMP_WORDS=(omnicare roll); COMP_CWORD=1; _omnicare; echo "${COMPREPLY[@]}"\n'
    process = await asyncio.create_subprocess_exec("bash", "-c", program, stdout=asyncio.subprocess.PIPE)
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    assert out.decode().splitlines() == ["--dry-run", "rollback"]


def test_options_may_stand_before_or_after_the_command() -> None:
    before, words_before = take_options(["--json", "--as", "maya", "status", "--env", "staging"])
    after, words_after = take_options(["status", "--env", "staging", "--as=maya", "--json"])
    assert before == after
    assert words_before == words_after == ["status", "--env", "staging"]


def test_nothing_is_taken_behind_two_hyphens() -> None:
    options, words_ = take_options(["deny", "7KQ2", "--", "--json"])
    assert not options.json
    assert words_ == ["deny", "7KQ2", "--", "--json"]


@pytest.mark.parametrize("typed", [["--as"], ["--config", "--json"], ["status", "--socket"]])
def test_an_option_without_its_value_is_a_mistake(typed: list[str]) -> None:
    with pytest.raises(Mistyped, match="needs a value"):
        take_options(typed)


def test_no_command_has_an_option_that_the_terminal_takes_for_itself() -> None:
    flags = {parameter.flag for spec in registry.load() for parameter in spec.parameters if not parameter.positional}
    assert not flags & {*GLOBAL_OPTIONS, "--help"}


async def test_a_bot_that_can_not_start_says_why_in_a_sentence(tmp_path: Path) -> None:
    """Another process holds the audit log: the second bot ends, the first one's files are left alone."""
    from bot.audit import AuditLog
    from runbooks.redaction.redactor import default_redactor
    from sandbox import configuration

    kubeconfig = tmp_path / "kubeconfig"
    config = configuration.write(
        tmp_path,
        kubeconfig=kubeconfig,
        slack_api=None,
        registry="http://127.0.0.1:1",
        namespaces={"production": "prod"},
    )
    (tmp_path / "state").mkdir(mode=0o700)
    async with AuditLog.open(tmp_path / "state" / "audit.sqlite", name="omnicare-0", redactor=default_redactor()):
        ended = await omnicare("serve", "--config", str(config))
    assert ended.status == 1
    assert "doctor" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    "words", [("status", "\udcff"), ("deploy", "v" * 9000), ("status", *["x"] * 300), ("--as", "m" * 99, "status")]
)
async def test_what_can_not_be_sent_is_a_sentence_and_no_traceback(tmp_path: Path, words: tuple[str, ...]) -> None:
    dispatcher = Dispatcher()
    async with bot(tmp_path / "s", dispatcher, may_choose=True):
        ended = await omnicare(*words, socket=tmp_path / "s")
    assert ended.status == Exit.USAGE
    assert "Traceback" not in ended.err
    assert ended.err.count("\n") == 1
    assert not dispatcher.taken


async def test_the_terminals_own_zone_goes_with_what_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Zurich")
    dispatcher = Dispatcher()
    async with bot(tmp_path / "s", dispatcher):
        await omnicare("status", socket=tmp_path / "s")
        monkeypatch.setenv("TZ", "XYZ-3")  # a zone without a name has its offset
        await omnicare("status", socket=tmp_path / "s")
    first, second = (inbound.zone for inbound in dispatcher.taken)
    assert str(first) == "Europe/Zurich"
    assert second is not None
    assert second.utcoffset(None) == timedelta(hours=3)
