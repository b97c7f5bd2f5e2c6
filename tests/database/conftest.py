"""One server for each version and test session; a test that breaks something finds it mended at its end."""

from collections.abc import Iterator

import pytest

from tests.support.databases import Served, debian, served

VERSIONS = ["18", pytest.param("15", marks=pytest.mark.postgres15)]


@pytest.fixture(scope="session", params=VERSIONS)
def servers(request: pytest.FixtureRequest) -> Iterator[Served]:
    binaries = None
    if request.param == "15":
        binaries = debian()
        if not (binaries / "postgres").exists():
            pytest.skip("there is no PostgreSQL 15 on this machine (Debian: apt-get install postgresql-15)")
    with served(binaries) as made:
        yield made


@pytest.fixture
def here(servers: Served) -> Iterator[Served]:
    yield servers
    servers.mend()
