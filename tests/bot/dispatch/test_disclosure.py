"""`logs --raw` at the dispatcher: who, where, with which reason; the audit event before the first line; nobody else, nowhere else."""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from bot.audit import EventName, search_audit_logs
from bot.boundary.inbound import Answer, Exit, Filled, Form, Location, Surface
from bot.doctor.here import policies
from bot.runs.model import Request
from commands.kit import registry
from commands.kit.card import OpenForm
from commands.observe.logs import Logs
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.kit.errors import PermanentError
from runbooks.kit.reasons import ReasonCode
from sandbox.cluster import Cluster
from sandbox.cluster.settings import Settings
from tests.support.real import Place as Somewhere
from tests.support.real import place
from tests.support.thresholds import APPROVER, REQUESTER, Threshold, code, said, threshold

RAW = ("logs", "backend", "--raw", "--reason", "which patient it fails for, OPS-7")


class Watched:
    """The cluster's client; it notes what the audit log had whenever a log was opened."""

    def __init__(self, client: ClusterClient) -> None:
        self._client = client
        self.audit_log = Path()
        self.opened: list[list[str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def logs(self, *where: Any, **how: Any) -> AsyncGenerator[bytes]:
        self.opened.append([str(event.name) for event in search_audit_logs([self.audit_log])])
        return self._client.logs(*where, **how)


@pytest.fixture
async def somewhere(tmp_path: Path) -> AsyncIterator[Somewhere]:
    cluster = Cluster(Settings(start_seconds=(0.05, 0.1), stop_seconds=0.1))
    async with cluster.serve():
        written = tmp_path / "admin.kubeconfig"
        written.write_text(cluster.kubeconfig())
        async with place(str(written)) as made:
            await made.deploy("backend", replicas=2)
            yield made


@asynccontextmanager
async def opened(
    folder: Path, somewhere: Somewhere, *roles: str, extra: dict[str, Any] | None = None
) -> AsyncIterator[tuple[Threshold, Watched]]:
    """A dispatcher before that cluster; `roles` have the permission."""

    def change(raw: dict[str, Any]) -> None:
        production = raw["environments"]["production"]
        production["namespace"] = somewhere.namespace
        production["permissions"] |= {"logs:raw": [*roles]} if roles else {}
        raw["people"]["kiosk"] |= extra or {}

    client = Watched(somewhere.cluster)
    clients = dict.fromkeys(("production", "staging"), cast("ClusterClient", client))
    async with threshold(folder, change, clients) as here:
        client.audit_log = here.audit_log.path
        yield here, client


def _written(folder: Path) -> str:
    return "".join(path.read_bytes().decode(errors="replace") for path in folder.glob("audit.sqlite*"))


def lines_of(answer: Answer) -> list[str]:
    assert answer.terminal_only is not None, answer
    return [line.text for line in answer.terminal_only.lines.lines]


async def test_who_may_reads_the_lines_and_the_audit_log_has_it_before_the_first_of_them(
    tmp_path: Path, somewhere: Somewhere
) -> None:
    async with opened(tmp_path, somewhere, "asks") as (here, client):
        answer = await here.terminal("uid:1", *RAW, "--tail", "3")  # a pod that has just begun has not said more
        assert (answer.exit, len(lines_of(answer))) == (Exit.OK, 3)
        assert client.opened == [["disclosure:allowed"]] * 2
        assert await here.names() == ["disclosure:allowed", "command:answered"]
        event, answered = await here.events()
        assert answer.terminal_only is not None
        assert (answer.terminal_only.account, answer.terminal_only.event) == ("uid:1", event.seq)
        assert (event.actor, event.surface, event.environment) == ("requester", "terminal", "production")
        assert (event.command, event.reason) == ("logs", "which patient it fails for, OPS-7")
        pods = sorted(pod.name for pod in await somewhere.cluster.pods(somewhere.namespace))
        assert event.details["streams"] == [f"{pod}/backend" for pod in pods]
        assert event.details["account"] == "uid:1"
        assert event.details["arguments"]["tail"] == 3
        assert event.details["arguments"]["raw"] is True
        assert answered.details["arguments"]["raw"] is True


async def test_neither_the_card_nor_the_audit_log_has_a_line(tmp_path: Path, somewhere: Somewhere) -> None:
    async with opened(tmp_path, somewhere, "asks") as (here, _):
        answer = await here.terminal("uid:1", *RAW, "--tail", "5000", "--since", "1h")
        assert answer.card is not None
        kept = answer.card.model_dump_json() + repr(answer) + _written(tmp_path)
        texts = [re.sub(r"^\S+ \S+ ", "", text) for text in lines_of(answer)]
        assert len(texts) > 5
        assert not [text for text in texts if text in kept]
        assert answer.card.buttons == ()
        assert "Unredacted, except values of Secrets" in kept


async def test_the_same_act_sent_again_is_another_reading_and_another_event(
    tmp_path: Path, somewhere: Somewhere
) -> None:
    async with opened(tmp_path, somewhere, "asks") as (here, _):
        first = await here.terminal("uid:1", *RAW, key="same")
        second = await here.terminal("uid:1", *RAW, key="same")
        assert len(await here.events(EventName.DISCLOSURE_ALLOWED)) == 2
        assert first.terminal_only is not None
        assert second.terminal_only is not None
        assert first.terminal_only.event != second.terminal_only.event


async def test_without_it_nothing_is_different(tmp_path: Path, somewhere: Somewhere) -> None:
    async with opened(tmp_path, somewhere, "asks") as (here, client):
        usual = await here.terminal("uid:1", "logs", "backend", "--tail", "5000", "--since", "1h")
        assert usual.terminal_only is None
        assert client.opened == [[], []]
        assert await here.names() == ["command:answered"]
        (event,) = await here.events()
        assert event.details["arguments"] == {
            "target": "backend", "since": 3600, "tail": 5000, "env": "production",
        }  # fmt: skip
        assert usual.card is not None
        assert usual.card.records
        assert {button.label for button in usual.card.buttons} == {
            "Again",
            "Follow for 2 min",
            "Describe",
            "Diagnose",
            "kubectl",
        }
        assert "hunter2" not in usual.card.model_dump_json()
        assert "raw" not in usual.card.data


# who may not


async def refused(here: Threshold, client: Watched, answer: Answer, why: ReasonCode) -> str:
    assert (answer.exit, code(answer)) == (Exit.DENIED, why)
    assert answer.terminal_only is None
    assert client.opened == []
    assert (await here.names())[-1:] == ["permission:denied"]
    assert await here.events(EventName.DISCLOSURE_ALLOWED) == []
    return said(answer)


async def test_nobody_has_the_permission_by_default(tmp_path: Path, somewhere: Somewhere) -> None:
    async with opened(tmp_path, somewhere) as (here, client):
        told = await refused(here, client, await here.terminal("uid:1", *RAW), ReasonCode.NOT_PERMITTED)
        assert told == (
            "You may not read the unredacted logs of production (permission logs:raw). "
            "Nobody can: no role there has it."
        )


async def test_reading_redacted_lines_gives_no_right_to_the_others(tmp_path: Path, somewhere: Somewhere) -> None:
    async with opened(tmp_path, somewhere, "approves") as (here, client):
        told = await refused(here, client, await here.terminal("uid:1", *RAW), ReasonCode.NOT_PERMITTED)
        assert "Approver, Second and Guest can." in told


async def test_the_permission_of_one_environment_is_none_in_another(tmp_path: Path, somewhere: Somewhere) -> None:
    async with opened(tmp_path, somewhere, "asks") as (here, client):
        answer = await here.terminal("uid:1", *RAW, "--env", "staging")
        await refused(here, client, answer, ReasonCode.NOT_PERMITTED)


async def test_who_may_not_read_logs_at_all_is_not_helped_by_it(tmp_path: Path, somewhere: Somewhere) -> None:
    async with opened(tmp_path, somewhere, "audits", extra={"shared": False, "roles": ["audits"]}) as (here, client):
        answer = await here.terminal("uid:1", *RAW, named="auditor")
        assert "permission logs:read" in await refused(here, client, answer, ReasonCode.NOT_PERMITTED)


@pytest.mark.parametrize(("account", "named"), [("uid:0", None), ("uid:1", "kiosk")])
async def test_root_and_shared_accounts_may_not(
    tmp_path: Path, somewhere: Somewhere, account: str, named: str | None
) -> None:
    async with opened(tmp_path, somewhere, "asks", "audits") as (here, client):
        answer = await here.terminal(account, *RAW, named=named)
        told = await refused(here, client, answer, ReasonCode.SHARED_ACCOUNT)
        assert "Use your own account" in told


async def test_who_is_not_listed_is_told_nothing_of_it(tmp_path: Path, somewhere: Somewhere) -> None:
    async with opened(tmp_path, somewhere, "asks") as (here, client):
        answer = await here.terminal("uid:4711", *RAW)
        assert "raw" not in await refused(here, client, answer, ReasonCode.UNKNOWN_PERSON)


@pytest.mark.parametrize(
    "how",
    [
        {"text": 'logs backend --raw --reason "x"'},
        {"text": "logs backend —raw"},
        {"text": "logs backend --raw --follow 1m"},
        {"text": "logs backend --raw --reason x", "place": Location(direct=True)},
        {"filled": Filled(command="logs", values={"target": "backend", "raw": "yes", "reason": "x"})},
    ],
)
async def test_in_slack_it_is_refused_with_where_it_works(
    tmp_path: Path, somewhere: Somewhere, how: dict[str, Any]
) -> None:
    async with opened(tmp_path, somewhere, "asks", "approves") as (here, client):
        for who in (REQUESTER, APPROVER):
            answer = await here.dispatcher.take(here.inbound(who, **how))
            told = await refused(here, client, answer, ReasonCode.PLACE_REFUSED)
            assert "works in a terminal only" in told
            assert "is redacted" in told


async def test_no_form_of_slacks_has_it(tmp_path: Path, somewhere: Somewhere) -> None:
    async with opened(tmp_path, somewhere, "asks") as (here, _):
        form = await here.dispatcher.form(here.inbound(REQUESTER, "logs"), OpenForm(command="logs"))
        assert isinstance(form, Form)
        names = {field.name for field in form.fields}
        assert "grep" in names
        assert not {"raw", "reason"} & names


# fails closed


async def test_where_the_audit_log_can_not_be_written_nothing_is_read(tmp_path: Path, somewhere: Somewhere) -> None:
    async with opened(tmp_path, somewhere, "asks") as (here, client):
        await here.audit_log.close()
        answer = await here.terminal("uid:1", *RAW)
        assert (answer.exit, code(answer)) == (Exit.FAILED, ReasonCode.BOOK_UNAVAILABLE)
        assert (
            said(answer)
            == "The audit log can't be written, so nothing is shown unredacted. Run `doctor` to find out why."
        )
        assert answer.terminal_only is None
        assert client.opened == []
        usual = await here.terminal("uid:1", "logs", "backend")
        assert usual.exit is Exit.OK


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--raw",), "`--raw` needs a reason"),
        (("--raw", "--reason", "x", "--follow", "1m"), "Omit `--follow`"),
    ],
)
async def test_what_is_typed_wrong_reads_nothing_and_says_what_to_type(
    tmp_path: Path, somewhere: Somewhere, words: tuple[str, ...], why: str
) -> None:
    async with opened(tmp_path, somewhere, "asks") as (here, client):
        answer = await here.terminal("uid:1", "logs", "backend", *words)
        assert (answer.exit, code(answer)) == (Exit.USAGE, ReasonCode.USAGE)
        assert why in said(answer)
        assert (client.opened, await here.events(EventName.DISCLOSURE_ALLOWED)) == ([], [])


async def test_the_command_itself_gives_it_to_nobody(tmp_path: Path, somewhere: Somewhere) -> None:
    async with opened(tmp_path, somewhere, "asks") as (here, client):
        actor = here.people.actor(Surface.TERMINAL, "uid:1")
        request = Logs.make({"target": "backend", "raw": True, "reason": "x", "env": "production"})
        with pytest.raises(PermanentError):
            await request.answer(here.durable.context(actor, "production"))
        assert client.opened == []


async def test_that_nobody_has_it_is_no_finding_of_doctors(tmp_path: Path, somewhere: Somewhere) -> None:
    async with opened(tmp_path, somewhere) as (here, _):
        found = [finding async for finding in policies(here.settings, registry.load())]
        assert not [finding for finding in found if "logs:raw" in str(finding)]


def test_no_request_that_is_kept_can_carry_it() -> None:
    fields = {name for name, field in Request.model_fields.items() if "Unredacted" in str(field.annotation)}
    assert fields == set()
