"""TLS as the bot insists on it: a server that it can't be sure of gets no password. Debian's PostgreSQL, since the wheel's has no TLS."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from runbooks.clients.postgres.access import DatabaseCredentials, DatabaseSettings
from runbooks.clients.postgres.database import DatabaseClient
from runbooks.database.databases import Database
from runbooks.kit.errors import RunbookError
from runbooks.kit.reasons import ReasonCode
from sandbox.cluster.certificates import self_signed
from sandbox.postgres import Binaries, Server
from sandbox.postgres.server import SUPERUSER, _give
from tests.support.databases import debian

pytestmark = pytest.mark.postgres15

HBA = "local all all scram-sha-256\nhostssl all all 127.0.0.1/32 {method}\n"


class Here:
    def __init__(self, server: Server, authority: Path) -> None:
        self.server = server
        self.authority = authority

    def database(self, **settings: Any) -> Database:
        async def credentials(*, fresh: bool = False) -> DatabaseCredentials:
            return DatabaseCredentials(SUPERUSER, self.server.password)

        plain = {"primary": f"127.0.0.1:{self.server.port}", "name": "postgres", **settings}
        return Database("production", DatabaseClient(DatabaseSettings.model_validate(plain), credentials))


@asynccontextmanager
async def serving(folder: Path, method: str) -> AsyncIterator[Here]:
    if not (debian() / "postgres").exists():
        pytest.skip("there is no PostgreSQL 15 on this machine (Debian: apt-get install postgresql-15)")
    server, made = Server(Binaries(debian())), self_signed("database")
    authority = folder / "authority.pem"
    authority.write_text(made.certificate)
    texts = {"server.pem": made.certificate, "server.key": made.key, "hba.conf": HBA.format(method=method)}
    for name, text in texts.items():
        path = server._home / name
        path.write_text(text)
        path.chmod(0o600)
        _give(path)
    files = {
        key: str(server._home / name)
        for key, name in (("ssl_cert_file", "server.pem"), ("ssl_key_file", "server.key"), ("hba_file", "hba.conf"))
    }
    try:
        await server.start(settings={"ssl": "on", **files})
        yield Here(server, authority)
    finally:
        await server.stop()


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Here]:
    async with serving(tmp_path, "scram-sha-256") as made:
        yield made


async def refused(database: Database) -> RunbookError:
    with pytest.raises(RunbookError) as caught:
        await database.known("primary")
    assert (caught.value.code, bool(caught.value.advice)) == (ReasonCode.DATABASE_TLS, True), caught.value.message
    return caught.value


async def test_a_server_that_proves_who_it_is(here: Here):
    for settings in (
        {"root_certificate": here.authority},
        {"root_certificate": here.authority, "tls": "verify-ca"},
        {"tls": "require"},
    ):
        assert (await here.database(**settings).known("primary")).identity.encrypted
    named = here.database(root_certificate=here.authority, primary=f"localhost:{here.server.port}")
    assert (await named.known("primary")).identity.encrypted


async def test_one_that_an_unknown_authority_vouches_for(here: Here, tmp_path: Path):
    other = tmp_path / "other.pem"
    other.write_text(self_signed("somebody else").certificate)
    for settings in ({"root_certificate": other}, {}):
        assert "a certificate that the bot does not trust" in (await refused(here.database(**settings))).message


async def test_an_authority_that_is_not_there(here: Here, tmp_path: Path):
    error = await refused(here.database(root_certificate=tmp_path / "none.pem"))
    assert "root_certificate" in error.advice[0]


async def test_a_server_that_wants_tls_and_does_not_get_it(here: Here):
    assert "accepts TLS connections only" in (await refused(here.database(tls="disable"))).message


async def test_the_password_itself_is_sent_only_to_who_proves_who_it_is(tmp_path: Path):
    async with serving(tmp_path, "password") as made:
        assert "asks for a cleartext password" in (await refused(made.database(tls="require"))).message
        assert (await made.database(root_certificate=made.authority).known("primary")).identity.encrypted
