"""Counts what work costs in lines of Python that ran: the same number on every machine, however busy it is."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Steps:
    """How many lines of Python this thread has run so far."""

    def __init__(self) -> None:
        self.count = 0

    def trace(self, _frame: FrameType, event: str, _argument: Any) -> "Callable[[FrameType, str, Any], Any]":
        if event == "line":
            self.count += 1
        return self.trace


@contextmanager
def counted() -> Iterator[Steps]:
    """Count the lines that this thread runs in functions called inside the block; work in C and in other threads is not counted."""
    steps, before = Steps(), sys.gettrace()
    sys.settrace(steps.trace)
    try:
        yield steps
    finally:
        sys.settrace(before)


def steps_of(work: Callable[[], object]) -> int:
    """Return how many lines of Python the call ran."""
    with counted() as steps:
        work()
    return steps.count
