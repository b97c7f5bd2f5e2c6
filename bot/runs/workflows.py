"""Every workflow that the engine runs, by name."""

from bot.runs.closing import Closings
from bot.runs.engine import Workflow
from bot.runs.house import House
from bot.runs.request import Requests
from bot.runs.run import Runs
from bot.runs.thread import Threads
from bot.runs.vigil import Vigils


def workflows(house: House) -> dict[str, Workflow]:
    """Built once, before the engine is launched."""
    return {
        "request": Requests(house).workflow,
        "run": Runs(house).workflow,
        "thread": Threads(house).workflow,
        "closing": Closings(house).workflow,
        "vigil": Vigils(house).workflow,
    }
