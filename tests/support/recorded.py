"""What a version of the bot left when it was killed, recorded with that version and put back for a later one: `python -m tests.support.recorded FOLDER`.

To be run at the last commit of a version, before its workflows change shape. It leaves a run in the middle of a deploy, a request that
waits for its approval, and a failure that nobody has answered; of the sandbox's cluster what they changed there.
"""

import asyncio
import gzip
import json
import re
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

from runbooks.clients.kubernetes.connection import FIELD_MANAGER
from sandbox.cluster.fields import Writer
from sandbox.cluster.resources import CONFIG_MAP, DEPLOYMENT, Json
from sandbox.people import STAGING as STAGING_CHANNEL
from tests.support.worlds import APPROVER, PRODUCTION, SERVICES, STAGING, Story, story

RECORDS = "omnicare-bot"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?=Z|\+00:00)")


class Left(NamedTuple):
    """The requests that were left, by their ids."""

    running: str
    waiting: str
    failed: str


async def record(into: Path, folder: Path) -> None:
    """Writes what the commit that is checked out leaves."""
    async with story(folder) as here:
        await here.start()
        failed = await here.ask("deploy v2.1.0-crash", where=STAGING_CHANNEL)
        await here.press(APPROVER, "approve", failed)
        await here.says(failed, "stopped", "result")
        waiting = await here.ask("restart frontend", where=STAGING_CHANNEL)
        await here.shown("approve", waiting)
        await here.kill()
        await here.start("backend-rollout-recorded")
        running = await here.ask("deploy v2.0.0")
        await here.press(APPROVER, "approve", running)
        await here.ended()
        for name, path in (("engine", here.engine), ("audit", here.audit_log)):
            with sqlite3.connect(path) as database:
                _write(into / f"{name}.sql.gz", "\n".join(database.iterdump()))
        _write(into / "world.json.gz", json.dumps(_world(here, Left(running, waiting, failed)), indent=1))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


def _read(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode()


def _world(here: Story, left: Left) -> dict[str, object]:
    config_maps = here.world.cluster.store.all(CONFIG_MAP, RECORDS)
    deployments = [here.deployment(service, namespace) for namespace in (PRODUCTION, STAGING) for service in SERVICES]
    return {
        "at": datetime.now(UTC).isoformat(),
        "left": left._asdict(),
        "records": {each["metadata"]["name"]: each.get("data") for each in config_maps},
        "deployments": [
            {
                "namespace": each["metadata"]["namespace"],
                "name": each["metadata"]["name"],
                "annotations": each["metadata"]["annotations"],
                "image": each["spec"]["template"]["spec"]["containers"][0]["image"],
            }
            for each in deployments
        ],
    }


def put_back(here: Story, recorded: Path) -> Left:
    """The world as it was left a moment ago, before a bot starts in it."""
    world = json.loads(_read(recorded / "world.json.gz"))
    since = datetime.now(UTC) - datetime.fromisoformat(world["at"])
    here.engine.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path, text in (
        (here.engine, _later(since)(_read(recorded / "engine.sql.gz"))),
        (here.audit_log, _read(recorded / "audit.sql.gz")),
    ):
        with sqlite3.connect(path) as database:
            database.executescript(text)
        path.chmod(0o600)
    for name, data in world["records"].items():
        if here.world.cluster.store.get(CONFIG_MAP, RECORDS, name) is None:
            metadata = {"name": name, "namespace": RECORDS}
            config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data or {}}
            here.world.cluster.create(config_map, FIELD_MANAGER)
    for each in world["deployments"]:
        here.world.cluster.api.modify(
            DEPLOYMENT, each["namespace"], each["name"], partial(_deployed, each), Writer(FIELD_MANAGER)
        )
    return Left(**world["left"])


def _deployed(recorded: Json, draft: Json) -> None:
    draft["metadata"]["annotations"] |= recorded["annotations"]
    draft["spec"]["template"]["spec"]["containers"][0]["image"] = recorded["image"]


def _later(by: timedelta) -> Callable[[str], str]:
    """Moves every time of a text."""

    def moved(found: re.Match[str]) -> str:
        return (datetime.fromisoformat(found[0]) + by).isoformat()

    return lambda text: _TIME.sub(moved, text)


if __name__ == "__main__":
    asyncio.run(record(Path(sys.argv[1]), Path(tempfile.mkdtemp()) / "world"))
