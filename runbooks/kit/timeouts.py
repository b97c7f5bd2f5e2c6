"""How patient a rollout is; the bot makes it from its configuration."""

from runbooks.kit.targets import Frozen


class RolloutSettings(Frozen):
    """Durations in seconds."""

    deadline_seconds: float = 1800.0
    """Of our own, over the whole rollout; the Deployment's progress deadline ends it too, and usually first."""
    lag_seconds: float = 15.0
    """How late Kubernetes may be to say that the progress deadline is over, before the bot's own count of it ends the rollout."""
    settle_seconds: float = 30.0
    """How long `check` gives pods to be ready again."""
    region_seconds: float = 60.0
    """How long going back tries to reach a region that the others do without."""
    crash_restarts: int = 3
    """So many ends of a container that are alike are certain."""
    room_seconds: float = 3.0
    """How long it waits to know whether there is room for all new pods at once."""
    explain_seconds: float = 30.0
    """What takes longer is explained on the progress line."""
    tick_seconds: float = 10.0
    """So often the explanation tells its age anew."""
    log_lines: int = 10
