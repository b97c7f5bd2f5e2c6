"""The work queue that every controller stands on: an object's key is worked on once, however often it was named."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from sandbox.cluster.clock import Clock, Timer
from sandbox.cluster.errors import ApiError

Key = tuple[str, str]
_log = logging.getLogger(__name__)
_CONFLICT, _NOT_FOUND = 409, 404


class Queue:
    """Keys (namespace, name) whose object is to be looked at."""

    def __init__(self, clock: Clock, work: Callable[[str, str], None]) -> None:
        self._clock, self._work = clock, work
        self._waiting: dict[Key, None] = {}
        self._later: dict[Key, Timer] = {}
        self._armed = False

    def add(self, namespace: str, name: str) -> None:
        self._waiting[namespace, name] = None
        if not self._armed:
            self._armed = True
            self._clock.call_later(0, self._drain)

    def add_later(self, namespace: str, name: str, seconds: float) -> None:
        """Look again then; where an earlier look is due already, that one decides anew."""
        key = namespace, name
        due = self._later.get(key)
        if due and due.action and due.when <= self._clock.now() + timedelta(seconds=seconds):
            return
        if due:
            due.cancel()
        self._later[key] = self._clock.call_later(seconds, lambda: self._again(key))

    def _again(self, key: Key) -> None:
        self._later.pop(key, None)
        self.add(*key)

    def clear(self) -> None:
        self._waiting.clear()
        self._later.clear()
        self._armed = False

    def _drain(self) -> None:
        self._armed = False
        batch, self._waiting = self._waiting, {}
        for namespace, name in batch:
            try:
                self._work(namespace, name)
            except ApiError as error:
                if error.code not in (_CONFLICT, _NOT_FOUND):
                    _log.warning("%s/%s: %s", namespace, name, error.message)
            except Exception:  # noqa: BLE001 - one object that cannot be worked on must not stop the others
                _log.exception("%s/%s could not be worked on", namespace, name)
