"""A deploy of v2.0.0 to production, as a gate is given it."""

from datetime import datetime

import pytest

from runbooks.gates.gate import GateSubject
from tests.support.gates import NOW, MakesSubject, changes, environment


@pytest.fixture
def subject() -> MakesSubject:
    """Makes a subject of these clients."""

    def make(*clients: object, version: str = "v2.0.0", at: datetime = NOW) -> GateSubject:
        by_class = {type(each): each for each in clients}
        return GateSubject(environment=environment(), version=version, images=changes(version), at=at, clients=by_class)

    return make
