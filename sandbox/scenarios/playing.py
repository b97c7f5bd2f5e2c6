"""Switches scenarios on and off: several may be on at once, and each takes back only what it changed itself."""

from __future__ import annotations

from sandbox.scenarios.changes import Changes
from sandbox.scenarios.cluster_acts import GiveUp
from sandbox.scenarios.scenario import Scenario, Stage


class Playing:
    """The scenarios that are on."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
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

    def end(self, scenario: Scenario) -> None:
        """What it changed is as before, unless another scenario wants it otherwise or somebody has mended it."""
        self.on = [each for each in self.on if each.name != scenario.name]
        self._changes.take_back(scenario.name)

    def forget(self) -> None:
        """A reset has put everything back."""
        self.on.clear()
        self._changes.forget()
