"""Places where the tests kill the bot, to see that nothing is lost there. In a sandbox only; elsewhere `reached` does nothing.

`OMNICARE_CRASH_POINT=name[:n]` ends the process with SIGKILL when `name` is reached for the n-th time (the first, where nothing is
said); `OMNICARE_CRASH_SIGNAL=TERM` asks it to stop instead, as a cluster does. The dispatcher, the runs and the threads say where they are.
"""

import os
import signal

CRASH_POINT = "OMNICARE_CRASH_POINT"
CRASH_SIGNAL = "OMNICARE_CRASH_SIGNAL"


class _Trap:
    """The one place of this process that is waited for; none until it is armed."""

    name = ""
    left = 0
    signal = signal.SIGKILL


def arm(*, sandbox: bool) -> None:
    """Reads what the environment says, once, when the bot starts. Nothing is ever armed outside a sandbox."""
    name, _, number = os.environ.get(CRASH_POINT, "").partition(":")
    if not sandbox or not name:
        return
    _Trap.name, _Trap.left = name, int(number or 1)
    _Trap.signal = signal.SIGTERM if os.environ.get(CRASH_SIGNAL) == "TERM" else signal.SIGKILL


def reached(name: str) -> None:
    """The bot is at this place; if it is the one that was asked for, that was its last act."""
    if name != _Trap.name:
        return
    _Trap.left -= 1
    if _Trap.left == 0:
        os.kill(os.getpid(), _Trap.signal)
