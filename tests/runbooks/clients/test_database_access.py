"""Where the database's credentials come from: a Secret's keys, or a file; what is missing is named, and no value is ever shown."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.postgres.access import DatabaseSettings, from_file
from runbooks.clients.postgres.credentials import CredentialsSource
from runbooks.kit.addresses import split_address
from runbooks.kit.errors import RunbookError
from runbooks.kit.reasons import ReasonCode
from runbooks.redaction.redactor import Redactor
from sandbox.cluster import Cluster, seed_omnicare
from sandbox.cluster.resources import SECRET

NAMESPACE, NAME = "omnicare-prod", "omnicare-bot-database"
PASSWORD = "p@ss/word:of#the reader"
URL = (
    "postgresql://omnicare_reader:p%40ss%2Fword%3Aof%23the%20reader@db.internal:6432/omnicare_emr_prod?sslmode=disable"
)


def settings(**values: Any) -> DatabaseSettings:
    return DatabaseSettings.model_validate({"primary": "db.internal", "name": "omnicare_emr_prod", **values})


class Here:
    def __init__(self, cluster: Cluster, client: ClusterClient) -> None:
        self.cluster = cluster
        self.client = client
        self.redactor = Redactor()
        self.now = 0.0

    def source(self, **values: Any) -> CredentialsSource:
        return CredentialsSource(settings(**values), self.client, NAMESPACE, self.redactor, clock=lambda: self.now)

    def make(self, name: str = NAME, **data: str) -> None:
        found = self.cluster.store.get(SECRET, NAMESPACE, name)
        if found is not None:
            self.cluster.store.remove(SECRET, found)
        metadata = {"name": name, "namespace": NAMESPACE}
        self.cluster.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Here]:
    cluster = Cluster()
    seed_omnicare(cluster)
    async with cluster.serve():
        path = tmp_path / "kubeconfig"
        path.write_text(cluster.kubeconfig("omnicare-bot"))
        async with ClusterClient(kubeconfig=str(path)) as client:
            yield Here(cluster, client)


async def refused(act: Any) -> RunbookError:
    with pytest.raises(RunbookError) as caught:
        await act
    error = caught.value
    assert error.advice
    assert (
        PASSWORD
        not in f"{error!r} {error.message} {error.advice} {error.evidence} {error.__cause__!r} {error.__context__}"
    )
    return error


async def test_a_secrets_keys_are_read_and_the_password_is_hidden_from_then_on(here: Here):
    here.make(username="omnicare_reader", password=PASSWORD)
    found = await here.source()()
    target = found.target(settings(), "primary")
    assert (target.user, target.password, target.address) == ("omnicare_reader", PASSWORD, "db.internal:5432")
    assert PASSWORD not in repr(found) + repr(target)
    assert PASSWORD not in here.redactor.text(f"could not log in with {PASSWORD}, sorry")
    assert "p%40ss" not in here.redactor.text("postgres at p%40ss%2Fword%3Aof%23the%20reader here")


async def test_a_secret_may_hold_a_url_and_the_configuration_goes_over_it(here: Here):
    here.make(DATABASE_URL=URL)
    found = await here.source(primary=None, name=None, url_key="DATABASE_URL")()
    plain = DatabaseSettings.model_validate({"url_key": "DATABASE_URL", "replica": "replica.internal:7000"})
    assert found.target(plain, "primary").address == "db.internal:6432"
    assert found.target(plain, "replica").address == "replica.internal:7000"
    assert found.target(plain, "primary").password == PASSWORD
    assert found.target(settings(primary="10.1.2.3", name="other"), "primary").name == "other"


async def test_a_file_holds_a_url(here: Here, tmp_path: Path):
    path = tmp_path / "url"
    path.write_text(URL + "\n")
    found = await here.source(file=path)()
    assert (found.user, found.password, found.name) == ("omnicare_reader", PASSWORD, "omnicare_emr_prod")
    assert "p%40ss" not in here.redactor.text(f"connecting to {URL}")
    assert PASSWORD not in here.redactor.text(f"with {PASSWORD}")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"username": "omnicare_reader"}, "has no key `password`; it has username"),
        ({"password": PASSWORD, "user": "x"}, "has no key `username`; it has password, user"),
        ({"username": "omnicare_reader", "password": ""}, "`password` is empty"),
    ],
)
async def test_what_a_secret_lacks_is_named(here: Here, data: dict[str, str], said: str):
    here.make(**data)
    error = await refused(here.source()())
    assert (error.code, said in error.message) == (ReasonCode.CREDENTIALS_UNUSABLE, True), error.message


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"mysql://a:{PASSWORD}@h/n", "no `postgresql://…` URL"),
        ("postgresql://reader@h/n", "no role or no password"),
        ("postgresql://a:x@h:70x/n", "no readable URL"),
        (f"user=omnicare_reader password={PASSWORD}", "no `postgresql://…` URL"),
    ],
)
async def test_a_url_that_is_none_is_told_without_showing_it(here: Here, url: str, said: str):
    here.make(DATABASE_URL=url)
    error = await refused(here.source(url_key="DATABASE_URL")())
    assert said in error.message


async def test_no_such_secret_and_one_that_the_role_does_not_name(here: Here):
    error = await refused(here.source()())
    assert "Secret omnicare-bot-database does not exist in omnicare-prod" in error.message
    assert "--from-env-file" in error.advice[0], "no password on a command line"
    here.make("another", username="x", password=PASSWORD)
    error = await refused(here.source(secret="another")())
    assert "denies the bot access to Secret another" in error.message
    assert error.code is ReasonCode.CREDENTIALS_UNUSABLE


def test_a_file_that_is_not_there_or_is_no_text(tmp_path: Path):
    (tmp_path / "odd").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty").write_bytes(b"")
    for name in ("none", "odd", "empty"):
        with pytest.raises(RunbookError) as caught:
            from_file(tmp_path / name, Redactor())
        assert caught.value.code is ReasonCode.CREDENTIALS_UNUSABLE


async def test_what_was_read_serves_for_half_a_minute_and_while_the_cluster_is_away(here: Here):
    here.make(username="omnicare_reader", password="the-first-password")
    source = here.source()
    assert (await source()).password == "the-first-password"
    here.make(username="omnicare_reader", password="the-second-password")
    assert (await source()).password == "the-first-password"
    assert (await source(fresh=True)).password == "the-second-password"
    here.make(username="omnicare_reader", password="the-third-password")
    here.now = 31.0
    assert (await source()).password == "the-third-password"
    here.now = 62.0
    here.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}})
    await here.client.__aexit__(None, None, None)
    with pytest.raises(Exception):  # noqa: B017 - closed: whatever that raises, it is no credentials
        await here.source()()


@pytest.mark.parametrize(
    "values",
    [
        {"reader": "replica"},
        {"primary": "host name"},
        {"primary": "host:70x"},
        {"primary": "h\nost"},
        {"secret": "../other"},
        {"tls": "prefer"},
        {"statement_timeout": 0},
        {"primary": None},
        {"password": "in the file"},
    ],
)
def test_settings_that_can_not_be_meant_are_refused(values: dict[str, Any]):
    with pytest.raises(ValidationError):
        settings(**values)


@pytest.mark.parametrize(
    ("address", "parts"),
    [("db", ("db", None)), ("db:6432", ("db", 6432)), ("[::1]:5432", ("::1", 5432)), ("[::1]", ("::1", None))],
)
def test_addresses(address: str, parts: tuple[str, int | None]):
    assert split_address(address) == parts
    assert settings(primary=address).primary == address
