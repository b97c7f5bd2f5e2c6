"""Follow-ups in a thread, as people type them: mentions, since Slack has no slash commands there."""

from tests.support.shown import shown_text
from tests.support.worlds import AUDITOR, DEPLOYS, ON_CALL, REQUESTER, Story


async def mentioned(here: Story, who: str, text: str, thread: str) -> None:
    await here.type(who, f"<@{here.slack.app.user_id}> {text}", thread=thread)


def newest(here: Story, words: str) -> str:
    return next(each.ts for each in reversed(here.messages()) if words in shown_text(each))


async def test_a_follow_up_means_the_service_and_environment_of_its_thread(here: Story):
    await here.answer(ON_CALL, "pods backend --env staging", "ready in staging")
    thread = newest(here, "ready in staging")
    await mentioned(here, ON_CALL, "describe", thread)
    said = await here.answered("backend in staging runs")
    assert "backend in staging (this channel's default is production), from this thread" in said
    await mentioned(here, AUDITOR, "pods frontend", thread)  # anybody's, as far as they may look
    wanted: list[dict[str, str]] = [{"target": "backend", "env": "staging"}, {"service": "frontend", "env": "staging"}]

    def looked_at() -> bool:
        noted = [each.details["arguments"] for each in here.events() if each.name == "command:answered"]
        return all(each in noted for each in wanted)

    await here.until(looked_at, "the audit log names what was looked at")
    answers = "3 of 3 pods ready in staging"
    await here.until(lambda: sum(answers in shown_text(each) for each in here.messages()) > 1, "both are answered")

    await mentioned(here, ON_CALL, "lock --reason release", thread)
    await here.whispered(ON_CALL, "This thread is about staging")
    await mentioned(here, REQUESTER, "restart", thread)
    await here.whispered(REQUESTER, "The newest answer in this thread was to another person, about staging")
    await mentioned(here, REQUESTER, "pods frontend", thread)
    await here.until(lambda: sum(answers in shown_text(each) for each in here.messages()) > 2, "it is answered")
    before = set(here.runs())
    await mentioned(here, REQUESTER, "restart", thread)
    await here.until(lambda: set(here.runs()) - before, "the restart has a thread")
    (run,) = set(here.runs()) - before
    await here.says(run, "frontend", slot="plan")
    plan = shown_text(here.said(run)["plan"][-1])
    assert "From this thread: " in plan
    assert "frontend in staging (this channel's default is production)" in plan
    assert run.startswith("staging.restart.")


async def test_what_is_missing_is_chosen_by_the_person_who_asked(here: Story):
    await here.type(ON_CALL, "/omnicare describe")
    question = await here.whispered(ON_CALL, "needs the service or pod")
    (buttons,) = [
        [each for each in block["elements"] if each["action_id"].startswith("type-describe")]
        for block in question.blocks
        if block["type"] == "actions" and "type-describe" in block["elements"][0]["action_id"]
    ]
    assert [each["text"]["text"] for each in buttons] == ["backend", "frontend"]
    chosen = buttons[1]
    await here.slack.click(ON_CALL, question.ts, DEPLOYS, chosen["action_id"], value=chosen["value"])
    await here.answered("frontend in production runs")
    (noted,) = [each for each in here.events() if each.command == "describe"]
    assert (noted.actor, noted.details["arguments"]) == ("ines", {"target": "frontend", "env": "production"})


async def test_a_query_in_the_thread_of_a_diagnosis_means_the_service_that_it_found(here: Story):
    await here.world.switch("crash-loop", on=True)
    await here.answer(ON_CALL, "diagnose", "backend: the container keeps")
    thread = newest(here, "production: backend")
    await mentioned(here, ON_CALL, "describe", thread)
    assert "backend in production, from this thread" in await here.answered("from this thread")
