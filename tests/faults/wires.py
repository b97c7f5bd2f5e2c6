"""A world whose bot reaches cluster and Slack through proxies, and the faults that are planted there."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from sandbox.cluster.resources import DEPLOYMENT
from sandbox.cluster.store import Change
from tests.faults.steps import LATE, MARKS, READ, WATCH, Step
from tests.support.interference import Fault, How, Interference
from tests.support.worlds import PRODUCTION, REQUESTER, Story


@dataclass
class Wires:
    """A world whose bot reaches cluster and Slack through proxies."""

    here: Story
    cluster: Interference
    slack: Interference
    tell: Callable[[str, str, str], None]
    """Of a cell that was tried: the kind of run, the step, the fault."""
    planted: dict[str, tuple[How, Fault]] = field(default_factory=dict)
    _passed: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.cluster.watchers.append(self._note)

    def _note(self, request: web.Request) -> None:
        self._passed |= {name for name, matches in MARKS.items() if matches(request)}

    def plant(self, kind: str, steps: list[Step], how: How, *, times: int = 1) -> None:
        """The fault, once (or so often in a row), at each of these steps."""
        self.clear()
        for step in steps:
            proxy = self.slack if step.slack else self.cluster
            fault = proxy.fail(how, self.at(step), times=times * _asked_again(step, how))
            self.planted[f"{kind} / {step.name}"] = how, fault

    def at(self, step: Step) -> Callable[[web.Request], bool]:
        after = LATE.get(step.name)
        return lambda request: (after is None or after in self._passed) and step.matches(request)

    def clear(self) -> None:
        self.planted.clear()
        self._passed.clear()
        for proxy in (self.cluster, self.slack):
            proxy.rules.clear()

    def all_struck(self) -> None:
        """Every one was met: else the step is not what it is taken for."""
        missed = [name for name, (_, fault) in self.planted.items() if fault.struck < fault.times]
        assert not missed, missed
        for name, (how, _) in self.planted.items():
            kind, _, step = name.partition(" / ")
            self.tell(kind, step, str(how))


def _asked_again(step: Step, how: How) -> int:
    """aiohttp asks once more by itself where a connection was reset before it said anything, if asking changes nothing."""
    return 2 if how in (How.LOST, How.UNHEARD) and step.kind in (READ, WATCH) else 1


async def approvable(here: Story, text: str, who: str = REQUESTER) -> str:
    """Asks until the run waits for approval, as people do: the time limits are short, so a busy machine may not make the plan within them."""
    while True:
        run = await here.ask(text, who)
        await here.until(
            lambda run=run: here.button("approve", run) or here.text(run, "result"), f"`{text}` is planned"
        )
        if not (said := here.text(run, "result")):
            return run
        assert re.search("did not answer|no answer within", said), said


class Changes:
    """What really happens to the Deployments, as the cluster's store tells it."""

    def __init__(self, here: Story) -> None:
        self.images: Counter[tuple[str, str]] = Counter()
        self.raised: Counter[str] = Counter()
        self.lowered: Counter[str] = Counter()
        here.world.cluster.store.listen(self._see)

    def _see(self, change: Change) -> None:
        if change.kind != DEPLOYMENT or change.old is None or change.obj["metadata"]["namespace"] != PRODUCTION:
            return
        name, (old, new) = change.obj["metadata"]["name"], (change.old["spec"], change.obj["spec"])
        before, after = (spec["template"]["spec"]["containers"][0]["image"] for spec in (old, new))
        if before != after:
            self.images[name, after.partition("@")[0].rpartition(":")[2]] += 1
        surges = tuple(spec["strategy"]["rollingUpdate"]["maxSurge"] for spec in (old, new))
        if surges[0] != surges[1]:
            (self.raised if surges[1] == "100%" else self.lowered)[name] += 1
