"""Switches scenarios on and off: several may be on at once, and each takes back only what it changed itself."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.cluster.resources import CONFIG_MAP, DEPLOYMENT
from sandbox.scenarios.changes import Changes
from sandbox.scenarios.cluster_acts import GiveUp
from sandbox.scenarios.scenario import PRODUCTION, Scenario, Stage


class Playing:
    """The scenarios that are on."""

    def __init__(self, stage: Stage, mended: Callable[[], None] = lambda: None) -> None:
        """`mended` is called when a scenario has ended because somebody did what the bot advises."""
        self._stage = stage
        self._mended = mended
        self._old_pods: dict[str, frozenset[str]] = {}
        """By scenario, the pods that have to go before it is mended."""
        self._changes = Changes()
        self.on: list[Scenario] = []
        """In the order in which they were switched on."""

    def start(self, scenario: Scenario) -> None:
        """What the scenario breaks is broken when this returns (the database follows as soon as it is up); what runs goes on."""
        if any(scenario.name == each.name for each in self.on):
            return
        self.on.append(scenario)
        waits = () if scenario.deadline is None else (GiveUp(scenario.deadline),)
        for act in (*scenario.acts, *waits):
            for change in act.changes(self._stage):
                self._changes.put(scenario.name, change)
        if scenario.mended_by:
            self._old_pods[scenario.name] = frozenset(self._pods(scenario))

    def end(self, scenario: Scenario) -> None:
        """What it changed is as before, unless another scenario wants it otherwise or somebody has mended it."""
        self.on = [each for each in self.on if each.name != scenario.name]
        self._old_pods.pop(scenario.name, None)
        self._changes.take_back(scenario.name)

    def look(self) -> None:
        """End what somebody has mended: the service has new pods, and they have read no ConfigMap as the scenario wrote it."""
        for scenario in [each for each in self.on if each.name in self._old_pods]:
            pods = self._pods(scenario)
            new = pods and all(pods.values()) and self._old_pods[scenario.name].isdisjoint(pods)
            if new and not self._changes.stands(scenario.name, CONFIG_MAP.name):
                # what somebody rolled out since stays as it is
                self._changes.let_stand(scenario.name, DEPLOYMENT.name)
                self.end(scenario)
                self._mended()

    def _pods(self, scenario: Scenario) -> dict[str, bool]:
        """Return which pods of its service there are, and whether they are ready."""
        pods = self._stage.cluster.pods(PRODUCTION)
        return {each.name: each.ready for each in pods if each.deployment == scenario.mended_by and not each.leaving}

    def forget(self) -> None:
        """A reset has put everything back."""
        self.on.clear()
        self._old_pods.clear()
        self._changes.forget()
