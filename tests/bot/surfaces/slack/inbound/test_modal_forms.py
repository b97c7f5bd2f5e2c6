"""Forms: opened filled, submitted through the dispatcher, mistakes shown under the input that they are about."""

import pytest

from bot.boundary.inbound import Answer, Exit, Form, FormField
from bot.surfaces.slack.origin import Origin
from bot.surfaces.slack.render.modals import form_view
from commands.kit.card import Button, OpenForm, RunAct
from tests.bot.surfaces.slack.conftest import Slack, card

RUN = "production.deploy.0123456789abc"


async def _opened(slack: Slack, does: OpenForm | RunAct, action: str) -> str:
    posted = await slack.surface.messenger.post(
        RUN,
        "card",
        card("x", buttons=(Button(label="Open…", does=does),)),
        channel="C1DEPLOYS",
        thread=None,
        search=False,
    )
    await slack.workspace.click("requester", posted.ts, "deploys", action)
    await slack.until(lambda: bool(slack.workspace.modals_of("requester")))
    return slack.workspace.modals_of("requester")[-1].id


def test_a_hint_is_whole_whatever_its_length_and_shows_no_backticks() -> None:
    long = (
        "go back though the older release can't run on the database's schema; needs a reason, as `help rollback` says"
    )
    fields = (
        FormField(name="anyway", label="Anyway", hint=long, required=False, flag=True),
        FormField(name="dry_run", label="Dry run", hint="only `plan`", required=False, flag=True),
        FormField(name="env", label="Environment", hint="Environment", required=True),
    )
    form = Form(command="rollback", title="Rollback", intro="Go back.", fields=fields, submit="Request")
    blocks = form_view(form, Origin(account="U1REQUESTER"))["blocks"]
    assert isinstance(blocks, list)
    _, anyway, dry_run, env = blocks
    assert anyway["hint"]["text"] == long.replace("`help rollback`", "“help rollback”")
    assert anyway["element"]["options"][0]["text"]["text"] == "Yes"
    assert dry_run["element"]["options"][0]["text"]["text"] == "only “plan”"
    assert "hint" not in dry_run
    assert "hint" not in env, "the label says it"


async def test_a_form_comes_back_as_a_filled_delivery(slack: Slack) -> None:
    slack.dispatcher.answers["deploy"] = Answer(card=None, run=RUN)
    view = await _opened(slack, OpenForm(command="deploy", filled={"version": "v2.0.0"}), "open-deploy")
    values = {"dry_run": {"value": ["yes"]}, "reason": {"value": " because "}}
    outcome = await slack.workspace.submit_view("requester", view, values)
    assert outcome.ok
    (inbound,) = slack.dispatcher.taken
    assert inbound.filled is not None
    assert inbound.filled.values == {"version": "v2.0.0", "env": "staging", "dry_run": "yes", "reason": "because"}
    assert inbound.place.channel == "C1DEPLOYS"
    assert slack.workspace.modals_of("requester") == []


async def test_a_mistake_is_shown_under_its_input(slack: Slack) -> None:
    mistake = "`v9x` is not a version. A version looks like `v2.0.0`."
    slack.dispatcher.answers["deploy"] = Answer(card=card(mistake), exit=Exit.USAGE)
    view = await _opened(slack, OpenForm(command="deploy"), "open-deploy")
    outcome = await slack.workspace.submit_view("requester", view, {"version": {"value": "v9x"}})
    assert dict(outcome.errors) == {"version": mistake}
    slack.dispatcher.answers["deploy"] = Answer(card=card("`--env`: There is no such environment"), exit=Exit.USAGE)
    outcome = await slack.workspace.submit_view("requester", view, {"version": {"value": "v9"}})
    assert list(outcome.errors) == ["env"]
    assert len({inbound.key for inbound in slack.dispatcher.taken}) == 2


async def test_a_select_offers_what_fits_and_what_was_typed(slack: Slack) -> None:
    view = await _opened(slack, OpenForm(command="deploy"), "open-deploy")
    offered = await slack.workspace.suggest("requester", "value", "version", "v2", view_id=view)
    assert [each["value"] for each in offered] == ["v2", "v2.0.0"]


async def test_a_denials_form_carries_run_and_word_unseen(slack: Slack) -> None:
    reason = FormField(name="reason", label="Reason", hint="why", required=True, long=True)
    run = FormField(name="run", label="Run", hint="which", required=True, filled=RUN)
    slack.dispatcher.form_answer = Form(command="deny", title="Deny", intro="", fields=(run, reason), submit="Deny")
    view = await _opened(slack, RunAct(command="deny", run=RUN, word="w1", form=True), "deny")
    shown = slack.workspace.modals_of("requester")[-1].view
    assert [block["block_id"] for block in shown["blocks"]] == ["reason"]
    await slack.workspace.submit_view("requester", view, {"reason": {"value": "not today"}})
    (inbound,) = slack.dispatcher.taken
    assert inbound.filled is not None
    assert inbound.filled.values == {"run": RUN, "reason": "not today"}
    assert (inbound.filled.word, inbound.key) == ("w1", f"{RUN}:deny:U1REQUESTER:w1")


async def test_who_may_not_is_told_instead_of_shown_a_form(slack: Slack) -> None:
    slack.dispatcher.form_answer = Answer(card=card("You may not deploy"), exit=Exit.DENIED)
    posted = await slack.surface.messenger.post(
        RUN,
        "card",
        card("x", buttons=(Button(label="Deploy…", does=OpenForm(command="deploy")),)),
        channel="C1DEPLOYS",
        thread=None,
        search=False,
    )
    await slack.workspace.click("outsider", posted.ts, "deploys", "open-deploy")
    await slack.until(lambda: slack.whispers("outsider") == ["You may not deploy"], person="outsider")


async def test_a_query_from_a_form_is_answered_in_the_channel_that_it_came_from(slack: Slack) -> None:
    field = FormField(name="service", label="Service", hint="which", required=True)
    slack.dispatcher.form_answer = Form(
        command="logs", title="Logs", intro="Log lines.", fields=(field,), submit="Show"
    )
    view = await _opened(slack, OpenForm(command="logs"), "open-logs")
    await slack.workspace.submit_view("requester", view, {"service": {"value": "backend"}})
    await slack.until(lambda: slack.whispers() == ["answer to logs"])


async def test_the_shortcut_asks_for_a_command_and_a_channel_and_then_for_its_form(slack: Slack) -> None:
    await slack.workspace.shortcut("requester", "omnicare_menu")
    await slack.until(lambda: bool(slack.workspace.modals_of("requester")))
    view = slack.workspace.modals_of("requester")[-1]
    assert [block["block_id"] for block in view.view["blocks"]] == ["command", "place"]
    where = {"command": {"value": "deploy"}, "place": {"value": "C1DEPLOYS"}}
    assert (await slack.workspace.submit_view("requester", view.id, where)).ok
    assert slack.dispatcher.forms[0][0].place.channel == "C1DEPLOYS"
    form = slack.workspace.modals_of("requester")[-1]
    assert next(block["block_id"] for block in form.view["blocks"] if block["type"] == "input") == "version"
    slack.dispatcher.answers["deploy"] = Answer(card=None, run=RUN)
    await slack.workspace.submit_view("requester", form.id, {"version": {"value": "v2.0.0"}})
    assert slack.dispatcher.taken[0].place.channel == "C1DEPLOYS"
    assert slack.workspace.modals_of("requester") == []


async def test_without_a_channel_the_answer_comes_as_a_direct_message(slack: Slack) -> None:
    await slack.workspace.shortcut("requester", "omnicare_menu")
    await slack.until(lambda: bool(slack.workspace.modals_of("requester")))
    view = slack.workspace.modals_of("requester")[-1]
    slack.dispatcher.form_answer = Form(command="status", title="Status", intro="x", fields=(), submit="Show")
    await slack.workspace.submit_view("requester", view.id, {"command": {"value": "status"}})
    await slack.workspace.submit_view("requester", slack.workspace.modals_of("requester")[-1].id)
    direct = slack.workspace.direct_channel("requester")
    await slack.until(lambda: [message.text for message in slack.workspace.history(direct)] == ["answer to status"])


@pytest.mark.parametrize("private", [True, False])
async def test_a_command_of_a_messages_shortcut_is_answered_in_that_messages_thread(
    slack: Slack, private: bool
) -> None:
    alert = slack.workspace.post("deploys", "approver", "backend is slow")
    await slack.workspace.message_shortcut("requester", "deploys", alert.ts, "omnicare_thread")
    await slack.until(lambda: bool(slack.workspace.modals_of("requester")))
    slack.dispatcher.form_answer = Form(command="status", title="Status", intro="x", fields=(), submit="Show")
    slack.dispatcher.answers["status"] = Answer(card=card("production is well"), private=private)
    view = slack.workspace.modals_of("requester")[-1]
    await slack.workspace.submit_view("requester", view.id, {"command": {"value": "status"}})
    await slack.workspace.submit_view("requester", slack.workspace.modals_of("requester")[-1].id)

    def answers() -> list[str]:
        found = slack.workspace.replies("deploys", alert.ts) + slack.workspace.ephemerals("requester")
        return [each.text for each in found if each.thread_ts == alert.ts and each.ts != alert.ts]

    await slack.until(lambda: answers() == ["production is well"])
    assert slack.dispatcher.taken[0].place.thread == alert.ts


async def test_diagnose_from_here_opens_its_form_for_the_messages_thread(slack: Slack) -> None:
    alert = slack.workspace.post("deploys", "approver", "backend is slow")
    await slack.workspace.message_shortcut("requester", "deploys", alert.ts, "omnicare_diagnose")
    await slack.until(lambda: bool(slack.dispatcher.forms))
    inbound, form = slack.dispatcher.forms[0]
    assert form == OpenForm(command="diagnose")
    assert (inbound.place.channel, inbound.place.thread) == ("C1DEPLOYS", alert.ts)


async def test_who_may_not_is_told_by_the_choice_of_a_command(slack: Slack) -> None:
    await slack.workspace.shortcut("outsider", "omnicare_menu")
    direct = slack.workspace.direct_channel("outsider")
    await slack.until(
        lambda: [each.text for each in slack.workspace.history(direct)] == ["Your account is not listed"],
        person="outsider",
    )
    await slack.workspace.shortcut("requester", "omnicare_menu")
    await slack.until(lambda: bool(slack.workspace.modals_of("requester")))
    view = slack.workspace.modals_of("requester")[-1]
    slack.dispatcher.form_answer = Answer(card=card("You may not deploy. Ask Approver."), exit=Exit.DENIED)
    refused = await slack.workspace.submit_view("requester", view.id, {"command": {"value": "deploy"}})
    assert dict(refused.errors) == {"command": "You may not deploy. Ask Approver."}


@pytest.mark.parametrize("raw", ["", "[]", "{", '{"c":1,"h":{}}', '{"c":"deploy","h":[]}', "9" * 5000])
async def test_a_view_whose_metadata_is_not_ours_does_nothing(slack: Slack, raw: str) -> None:
    view = {
        "type": "modal",
        "callback_id": "omnicare_form",
        "title": {"type": "plain_text", "text": "x"},
        "submit": {"type": "plain_text", "text": "x"},
        "private_metadata": raw[:3000],
        "blocks": [{"type": "divider"}],
    }
    opened = slack.workspace.open_view(slack.workspace.new_trigger("U1REQUESTER"), view)
    await slack.workspace.submit_view("requester", opened.id)
    assert slack.dispatcher.taken == []
