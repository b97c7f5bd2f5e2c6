"""What a sandbox prints as it opens: where it is, and what to type."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandbox.world import SandboxWorld


def welcome(world: SandboxWorld, address: str | None) -> str:
    page = f"\n  {address}\n" if address else ""
    if world.played:
        todo = "".join(
            f"Scenario {each.name}: {each.sentence}\n  As Maya:  /omnicare {each.command}\n" for each in world.played
        )
    else:
        todo = (
            f"Four things to try{' in #deploys there' if address else ''}:\n"
            "  1. As Maya:  /omnicare deploy v2.0.0      then become Tomas (bottom left) and approve it in the thread\n"
            "  2. As Ines:  /omnicare rollback           one person, one confirmation\n"
            "  3. As Ines:  /omnicare unlock             the rollback has locked production\n"
            "  4. As Maya:  /omnicare deploy v2.1.0-crash  and see what a failure looks like\n"
        )
    return (
        "\nOmniCare sandbox: nothing here is real."
        f"\n{page}\n{todo}"
        "\nThe same in another terminal (--as says who you are, in a sandbox only):\n"
        f"  {_program()} --config {world.folder / 'omnicare.toml'} --as maya status\n"
        "\nThe cluster, for your own kubectl:\n"
        f"  export KUBECONFIG={world.kubeconfig_path}\n"
        "\nCtrl-C ends it.\n"
    )


def _program() -> str:
    """As it is typed in another terminal: `make` has the environment in its path, people's shells have not."""
    beside = Path(sys.executable).with_name("omnicare")
    if not beside.exists():
        return "omnicare"
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)
