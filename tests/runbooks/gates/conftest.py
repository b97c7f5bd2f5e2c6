"""A deploy of v2.0.0 to production, as a gate is given it."""

from datetime import datetime

import pytest

from runbooks.gates.gate import Subject
from tests.support.gates import NOW, MakesSubject, changes, environment


@pytest.fixture
def subject() -> MakesSubject:
    """Makes a subject of these clients."""

    def make(*clients: object, version: str = "v2.0.0", at: datetime = NOW) -> Subject:
        by_class = {type(each): each for each in clients}
        return Subject(environment=environment(), version=version, images=changes(version), at=at, clients=by_class)

    return make
