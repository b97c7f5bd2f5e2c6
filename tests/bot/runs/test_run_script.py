"""`run SCRIPT`: only what the configuration names; what changes something is approved and runs once, what only reads waits for nobody."""

from bot.audit import EventName
from tests.support.worlds import APPROVER, AUDITOR, ON_CALL, REQUESTER, Story


async def test_a_script_that_changes_something_is_approved_and_tells_its_output(here: Story):
    run = await here.ask("run cache-warm wards")
    plan = await here.says(run, "npm run --silent cache:warm -- wards", "plan")
    assert "It changes something" in plan
    await here.press(APPROVER, "approve", run)
    await here.ended_with(run, "cache-warm wards ran in production")
    assert "wards: the cache is warm" in await here.says(run, "End of its output", "result")
    assert here.environment().run is None
    assert here.environment().undecided is None
    here.nothing_was_said_twice(run)


async def test_one_that_only_reads_needs_no_approval_and_no_lock_stops_it(here: Story):
    await here.answer(ON_CALL, 'lock --reason "clinic go-live"', "locked")
    run = await here.ask("run sessions")
    await here.ended_with(run, "sessions ran in production")
    assert "ward-3: 14 signed in" in await here.says(run, "End of its output", "result")
    names = here.event_names(run)
    assert EventName.APPROVAL_GRANTED not in names
    assert EventName.STEP_FINISHED in names


async def test_nothing_else_can_be_run(here: Story):
    await here.type(REQUESTER, "/omnicare run cache-warn wards")
    await here.whispered(REQUESTER, "Did you mean `cache-warm`?")
    await here.type(AUDITOR, "/omnicare run sessions")
    await here.whispered(AUDITOR, "You may not run scripts in production")
    await here.type(REQUESTER, "/omnicare run cache-warm ward")
    await here.whispered(REQUESTER, "Script `cache-warm` has no argument `ward`. Did you mean `wards`?")
    await here.type(REQUESTER, "/omnicare help run")
    told = str((await here.whispered(REQUESTER, "run cache-warm wards|drugs|forms")).blocks)
    assert "Only reads" in told


async def test_a_script_that_was_not_named_is_chosen_from_those_of_the_environment(here: Story):
    await here.type(ON_CALL, "/omnicare run")
    question = await here.whispered(ON_CALL, "`run` needs the script")
    buttons = [each for block in question.blocks if block["type"] == "actions" for each in block["elements"]]
    names = [each["text"]["text"] for each in buttons if each["action_id"].startswith("type-run")]
    assert sorted(names) == ["cache-warm", "search-reindex", "sessions"]
