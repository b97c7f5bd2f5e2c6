"""What a decision changes for everybody is said in the environment's channel, wherever it was typed."""

from tests.support.terminals import omnicare
from tests.support.worlds import ON_CALL, Story


def locks(here: Story) -> list[str]:
    return [message.text for message in here.messages() if "Ines locked production" in message.text]


async def test_a_lock_from_a_terminal_is_said_in_the_channel(here: Story):
    status, told = await omnicare(here.config, "--as", "ines", "lock", "--reason", "go-live")
    assert status == 0, told
    await here.until(lambda: locks(here), "it is said")
    status, told = await omnicare(here.config, "--as", "ines", "unlock")
    assert status == 0, told
    await here.answered("Ines unlocked production")
    assert len(locks(here)) == 1
    assert here.chain_holds()


async def test_a_lock_that_was_typed_there_is_said_once(here: Story):
    await here.type(ON_CALL, '/omnicare lock --reason "go-live"')
    await here.until(lambda: here.environment().freeze, "it is locked")
    await here.answer(ON_CALL, "unlock", "Ines unlocked production")
    assert len(locks(here)) == 1
