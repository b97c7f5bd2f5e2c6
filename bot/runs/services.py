"""What the runs are given by the composition root and do not build themselves."""

from typing import Protocol

from commands.kit.context import Actor, Context


class MakesContext(Protocol):
    """Builds what a command is given (`bot.app`)."""

    def __call__(
        self,
        actor: Actor,
        environment: str | None,
        *,
        run_id: str | None = None,
        approved_by: tuple[str, ...] = (),
        reason: str | None = None,
    ) -> Context: ...
