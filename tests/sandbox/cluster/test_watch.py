"""A watch tells everything before it says how far it has told."""

import asyncio
import time

from sandbox.cluster.resources import NAMESPACE
from sandbox.cluster.store import Store
from sandbox.cluster.watch import Watch


async def test_what_happens_just_as_the_time_is_up_is_told_before_the_bookmark():
    store, loop = Store(100), asyncio.get_running_loop()
    watch = Watch(store, NAMESPACE, "", [])
    watch.start("", initial=False)
    # The loop is busy until both are due: the end of the watch at 0.05 s, and the change right after it.
    loop.call_later(0.02, time.sleep, 0.1)
    loop.call_later(0.06, store.put, NAMESPACE, {"metadata": {"name": "late"}})
    told = [(kind, obj["metadata"].get("name")) async for kind, obj in watch.events(0.05, bookmarks=True)]
    assert told == [("ADDED", "late"), ("BOOKMARK", None)]
