import asyncio

from sandbox.slack.workspace import SLACKBOT
from tests.sandbox.slack.conftest import SHORT


async def test_an_acknowledged_command_reaches_the_app_with_everything_that_slack_tells(slack):
    heard = []

    @slack.app.command("/omnicare")
    async def listener(ack, command):
        await ack()
        heard.append(command)

    await slack.connect()
    outcome = await slack.workspace.type("requester", "#deploys", "/omnicare deploy v2 --reason a<b")

    assert outcome.ok
    (command,) = heard
    assert command["text"] == "deploy v2 --reason a&lt;b"
    assert (command["user_id"], command["channel_id"], command["channel_name"]) == ("U1", "C1", "deploys")
    assert command["response_url"].startswith(slack.server.url)
    assert slack.workspace.history("C1") == []


async def test_an_acknowledgement_with_text_is_seen_by_the_one_who_typed(slack):
    @slack.app.command("/omnicare")
    async def listener(ack):
        await ack("There is no such command.")

    await slack.connect()
    outcome = await slack.workspace.type("requester", "#deploys", "/omnicare deplyo")

    assert outcome.message.ephemeral_to == "U1"
    assert slack.last_seen_by("requester") == "There is no such command."
    assert slack.workspace.ephemerals("approver") == []


async def test_an_acknowledgement_that_comes_late_reads_as_operation_timeout(start):
    slack = await start(SHORT)
    finished = asyncio.Event()

    @slack.app.command("/omnicare")
    async def listener(ack):
        await asyncio.sleep(slack.workspace.settings.acknowledge_within + 0.1)
        await ack()
        finished.set()

    await slack.connect()
    outcome = await slack.workspace.type("requester", "#deploys", "/omnicare status")

    assert not outcome.ok
    assert outcome.message.user == SLACKBOT
    assert slack.last_seen_by("requester") == '/omnicare failed with the error "operation_timeout"'
    await finished.wait()


async def test_without_a_connected_app_a_command_fails_to_be_dispatched(slack):
    await slack.workspace.type("requester", "#deploys", "/omnicare status")
    assert slack.last_seen_by("requester") == '/omnicare failed with the error "dispatch_failed"'


async def test_commands_are_refused_in_threads_in_slacks_words(slack):
    head = (await slack.workspace.type("requester", "#deploys", "hello")).message
    await slack.workspace.type("requester", "#deploys", "/omnicare status", head.ts)
    assert slack.last_seen_by("requester") == "/omnicare is not supported in threads. Sorry!"


async def test_an_unknown_command_is_slackbots_to_answer(slack):
    outcome = await slack.workspace.type("requester", "#deploys", "/unknown")
    assert not outcome.ok
    assert "`/unknown` is not a valid command" in slack.last_seen_by("requester")


async def test_a_command_from_a_channel_without_the_app_is_answered_by_its_response_url(slack, until):
    @slack.app.command("/omnicare")
    async def listener(ack, respond):
        await ack()
        await respond("Seen by you only")

    await slack.connect()
    async with slack.workspace.subscribe("requester") as seen:
        await slack.workspace.type("requester", "#elsewhere", "/omnicare whoami")
        await until(seen, "ephemeral_posted")
    assert slack.last_seen_by("requester") == "Seen by you only"


async def test_two_hundred_people_at_once_are_all_acknowledged(start):
    from sandbox.slack.workspace import Channel, Person, SlackSettings

    slack = await start(SlackSettings(acknowledge_within=60))  # how fast is a benchmark's business
    for number in range(200):
        person = slack.workspace.add_person(Person(f"UP{number}", f"person{number}", "Person"))
        slack.workspace.add_channel(Channel(f"CP{number}", f"place{number}", members={person.id}))

    @slack.app.command("/omnicare")
    async def listener(ack):
        await ack()

    await slack.connect(2)
    outcomes = await asyncio.gather(
        *(slack.workspace.type(f"UP{number}", f"CP{number}", "/omnicare status") for number in range(200))
    )
    assert all(outcome.ok for outcome in outcomes)
