"""What the page's welcome says to try first; each ticks itself when it is done."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sandbox.scenarios.scenario import Scenario
from sandbox.slack.page.offers import Try

if TYPE_CHECKING:
    from sandbox.world import SandboxWorld


def tries(world: SandboxWorld) -> list[Try]:
    """Four things to try, in order, each ticking itself when done; where scenarios are on, just those."""

    def said(words: str) -> bool:
        return any(
            words in message.text
            for channel in world.workspace.channels
            for message in world.workspace.history(channel)
        )

    def runs(version: str) -> bool:
        pods = [pod for pod in world.pods() if pod.environment == "production"]
        return bool(pods) and all(pod.version == version and pod.ready for pod in pods)

    def ended(night: Scenario) -> bool:
        words = ("stopped at", "runs in production", "The database of", night.cause)
        return any(map(said, filter(None, words)))

    nights = [
        Try(night.sentence, f"/omnicare {night.command}", partial(ended, night), "maya") for night in world.played
    ]
    return nights or [
        Try(
            "Deploy v2.0.0 as Maya, then approve it as Tomas",
            "/omnicare deploy v2.0.0",
            lambda: runs("v2.0.0") or said("v2.0.0 runs"),
            "maya",
        ),
        Try("Go back as Ines: one person, one confirmation", "/omnicare rollback", lambda: said("Back on"), "ines"),
        Try("Unlock production, which the rollback has locked", "/omnicare unlock", lambda: said("unlocked"), "ines"),
        Try(
            "Deploy a version that crashes when it starts",
            "/omnicare deploy v2.1.0-crash",
            lambda: said("stopped at"),
            "maya",
        ),
    ]
