"""A cluster of its own for trying things by hand: `python -m sandbox.cluster [PORT]`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path

from sandbox.cluster import Cluster, seed_omnicare


async def _main(port: int) -> None:
    cluster = Cluster()
    seed_omnicare(cluster)
    with tempfile.TemporaryDirectory() as folder:
        async with cluster.serve(port=port):
            for user in cluster.settings.users:
                path = Path(folder, f"{user.name}.kubeconfig")
                path.write_text(cluster.kubeconfig(user.name))  # noqa: ASYNC240 - before anything else runs
                sys.stdout.write(f"export KUBECONFIG={path}  # {user.name}\n")
            sys.stdout.flush()
            await asyncio.Event().wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
