"""Every workflow that the engine runs, by name."""

from bot.runs.engine import Workflow
from bot.runs.escalation import Vigils
from bot.runs.execution.closing import Closings
from bot.runs.execution.workflow import Runs
from bot.runs.house import House
from bot.runs.request.workflow import Requests
from bot.runs.thread.workflow import Threads


def workflows(house: House) -> dict[str, Workflow]:
    """Built once, before the engine is launched."""
    return {
        "request": Requests(house).workflow,
        "run": Runs(house).workflow,
        "thread": Threads(house).workflow,
        "closing": Closings(house).workflow,
        "vigil": Vigils(house).workflow,
    }
