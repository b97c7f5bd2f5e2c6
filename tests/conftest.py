"""What every test session does: it keeps the garbage collector away from what was collected, and hypothesis from the clock."""

import gc
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

# how long an example takes, or its making, says nothing on a busy machine
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """The modules and thousands of tests stay to the end; looking through them again and again took a tenth of a story's time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()
