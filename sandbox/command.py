"""What `omnicare sandbox` does: `run` is all that production's side knows of this package."""

import argparse
import asyncio
import contextlib
import shutil
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from sandbox import train
from sandbox.bot_process import BotDied
from sandbox.postgres import Database
from sandbox.scenarios import BY_NAME, REGIONS
from sandbox.scenarios.around import TWO_REGIONS
from sandbox.slack.page.world import Breakage
from sandbox.welcome import welcome
from sandbox.world import FOLDER, NAMESPACES, SandboxError, _page, opened


def forget(folder: Path) -> None:
    """The engine's state belongs to a workspace and a cluster that ended with the last sandbox; the audit log may stay."""
    for name in ("engine.sqlite", "engine.sqlite-wal", "engine.sqlite-shm"):
        (folder / "state" / name).unlink(missing_ok=True)


def run(options: argparse.Namespace) -> int:
    """`omnicare sandbox`; the exit status."""
    folder = FOLDER.resolve()
    if options.reset and folder.exists():
        shutil.rmtree(folder)
    forget(folder)
    try:
        if options.demo:
            from sandbox.demo import play

            return asyncio.run(play(folder))
        return asyncio.run(_live(folder, options))
    except (SandboxError, BotDied) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        return 0


async def _live(folder: Path, options: argparse.Namespace) -> int:
    if options.kubeconfig is not None:
        await _check_throw_away(options.kubeconfig)
    scenarios = [BY_NAME[name] for name in options.scenario]
    if scenarios and options.kubeconfig is not None:
        raise SandboxError("A scenario breaks the sandbox's own cluster; it can't be played on another one.")
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database().serve())  # comes up while everything else does
        world = await stack.enter_async_context(
            opened(
                folder,
                kubeconfig=options.kubeconfig,
                database=database,
                parts=() if options.kubeconfig else train.PARTS,
                regions=TWO_REGIONS if any(each in REGIONS for each in scenarios) else (),
            )
        )
        world.breakages = (
            *world.breakages,
            *(
                Breakage(name, f"Region {name} away for 60 s")
                for name in ((world.home.name, *world.regions) if world.home is not None and world.regions else ())
            ),
        )
        for scenario in scenarios:
            await world.play(scenario)
        await world.start_bot()
        address = await _page(world, stack, options.port or 0) if options.page else None
        sys.stdout.write(welcome(world, address))
        sys.stdout.flush()
        stopping = asyncio.Event()
        for each in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(each, stopping.set)
        keeper = asyncio.create_task(world.keep_bot())
        await stopping.wait()
        world.closing = True
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper
    return 0


async def _check_throw_away(kubeconfig: Path) -> None:
    """Another cluster only where its namespaces are marked: here anybody can become anybody and approve for themselves."""
    from runbooks.clients.kubernetes.cluster import ClusterClient

    async with ClusterClient(kubeconfig=str(kubeconfig)) as client:
        for namespace in (*NAMESPACES.values(), "omnicare-bot"):
            labels = await client.namespace_labels(namespace)
            if labels.get("omnicare.dev/throw-away") != "true":
                raise SandboxError(
                    f"The namespace {namespace} of that cluster is not marked as throw-away, and in a sandbox anybody can approve. "
                    f"If it is: kubectl label namespace {namespace} omnicare.dev/throw-away=true"
                )
