"""`audit` as a person reads it: which command each event is of."""

from tests.support.worlds import AUDITOR, REQUESTER, Story


async def test_an_event_names_its_command(here: Story):
    await here.type(REQUESTER, "/omnicare whoami")
    await here.whispered(REQUESTER, "You are Maya")
    await here.type(AUDITOR, "/omnicare audit --person maya")
    told = await here.whispered(AUDITOR, "1 audit event, newest first")
    cells = [
        cell["text"]
        for row in next(b for b in told.blocks if b["type"] == "table")["rows"]
        for cell in row
        if "text" in cell
    ]
    assert cells[cells.index("command:answered") + 1] == "whoami"
