"""Credentials that end while they are used, and refusals that pass: the client goes on, and says so where it can't."""

import asyncio
import base64
import os
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.connection import Timing
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from sandbox.cluster import Cluster
from sandbox.cluster.certificates import self_signed
from sandbox.cluster.settings import VIEWER, Settings
from tests.support.identities import Issuer, issuing
from tests.support.interference import Fault, How, Interference, cluster_through

SHORT = Timing(connect=2, call=5, watch=1, watch_grace=0.5, retry=0.05, refusals=60)
HURRIED = Timing(connect=2, call=5, watch=1, watch_grace=0.5, retry=0.05, refusals=0.3)
LIVES = 2.0
"""Seconds; `tests/faults` has one of four seconds through a rollout of thirty."""
FOREVER = 10**6
SPACE = "default"


class Here(NamedTuple):
    cluster: Cluster
    admin: Path
    folder: Path


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Here]:
    cluster = Cluster(Settings())
    async with cluster.serve():
        admin = tmp_path / "admin.kubeconfig"
        admin.write_text(cluster.kubeconfig())
        yield Here(cluster, admin, tmp_path)


def issuer_of(here: Here, *, lives: float = LIVES, says_when: bool = True) -> Issuer:
    return Issuer(here.cluster, here.folder / "identity", "admin", lives, says_when)


async def refused_at_last(cluster: ClusterClient) -> PermanentError:
    """Asked again while that may help."""
    while True:
        try:
            await cluster.config_maps(SPACE)
        except TemporaryError as error:
            await asyncio.sleep(error.retry_after)
        except PermanentError as error:
            return error


@pytest.mark.parametrize("how", ["exec", "exec that does not say when", "file"])
async def test_a_token_that_ends_is_replaced_under_calls_and_a_watch(here: Here, how: str):
    mine = issuer_of(here, says_when=how == "exec")
    async with issuing(mine):
        kubeconfig = mine.kubeconfig(here.admin, how.partition(" ")[0])
        async with (
            ClusterClient(kubeconfig=str(kubeconfig), timing=SHORT) as cluster,
            aclosing(cluster.watch_config_maps(SPACE)) as watch,
        ):
            seen = asyncio.ensure_future(anext(watch))
            until = mine.issued + 8  # four lives of a token
            number = 0
            while mine.issued < until:
                await cluster.create_config_map(SPACE, f"number-{number}", {}, {})
                while not (await seen).view or seen.result().view.name != f"number-{number}":  # type: ignore[union-attr]
                    seen = asyncio.ensure_future(anext(watch))
                number += 1
    assert number > 8
    if how != "file":
        assert mine.asked <= mine.issued + 1, "a plug-in is asked when its token is used up, not for each request"


async def test_many_requests_at_once_run_a_plugin_once(here: Here):
    mine = issuer_of(here, lives=3600)
    mine.folder.mkdir()
    mine.renew()
    async with ClusterClient(kubeconfig=str(mine.kubeconfig(here.admin, "exec")), timing=SHORT) as cluster:
        await asyncio.gather(*(cluster.config_maps(SPACE) for _ in range(20)))
    assert mine.asked == 1


async def test_a_plugin_that_fails_is_named_without_its_words_and_asked_again(here: Here):
    mine = issuer_of(here, lives=3600)
    mine.folder.mkdir()
    mine.renew()
    mine.break_down()
    async with ClusterClient(kubeconfig=str(mine.kubeconfig(here.admin, "exec")), timing=SHORT) as cluster:
        with pytest.raises(TemporaryError) as caught:
            await cluster.config_maps(SPACE)
        assert f"the exec plug-in `{mine.plugin}`" in caught.value.message
        assert "Unable to locate" not in " ".join((caught.value.message, *caught.value.evidence))
        mine.mend()
        assert await cluster.config_maps(SPACE)


POD = """
import asyncio, sys
from kubernetes.aio.config import incluster_config
incluster_config.SERVICE_TOKEN_FILENAME, incluster_config.SERVICE_CERT_FILENAME = sys.argv[1:3]
from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.kit.errors import TemporaryError
async def main():
    async with ClusterClient() as cluster:
        while sys.stdin.readline():
            while True:
                try:
                    print(len(await cluster.config_maps("default")), flush=True)
                    break
                except TemporaryError as error:
                    await asyncio.sleep(error.retry_after)
asyncio.run(main())
"""


async def test_the_pods_own_token_is_read_again_when_it_is_refused(here: Here):
    """In a process of its own: what stands in a pod's files and environment does not stand in a test's."""
    host, port = here.cluster.url.removeprefix("https://").split(":")
    token, authority = here.folder / "token", here.folder / "ca.crt"
    document = yaml.safe_load(here.admin.read_text())
    authority.write_bytes(base64.b64decode(document["clusters"][0]["cluster"]["certificate-authority-data"]))
    token.write_text(here.cluster.issue_token("admin", timedelta(hours=1)))
    pod = await asyncio.create_subprocess_exec(
        sys.executable, "-c", POD, str(token), str(authority),
        env={**os.environ, "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert pod.stdin is not None
    assert pod.stdout is not None
    async with asyncio.timeout(60):
        for _ in range(3):
            pod.stdin.write(b"\n")
            assert await pod.stdout.readline() == b"1\n"
            here.cluster.revoke_tokens()
            token.write_text(here.cluster.issue_token("admin", timedelta(hours=1)))
        pod.stdin.close()
        assert await pod.wait() == 0


async def test_a_kubeconfig_whose_token_was_replaced_is_read_again(here: Here):
    document = yaml.safe_load(here.admin.read_text())

    def write(token: str) -> None:
        document["users"][0]["user"] = {"token": token}
        here.admin.write_text(yaml.safe_dump(document))

    write(here.cluster.issue_token("admin", timedelta(hours=1)))
    async with ClusterClient(kubeconfig=str(here.admin), timing=SHORT) as cluster:
        await cluster.config_maps(SPACE)
        here.cluster.revoke_tokens()
        with pytest.raises(TemporaryError):
            await cluster.config_maps(SPACE)
        here.admin.write_text("users: [{name: admin, user: {token: half-writ")
        with pytest.raises(TemporaryError):
            await cluster.config_maps(SPACE)
        write(here.cluster.issue_token("admin", timedelta(hours=1)))
        async with asyncio.timeout(60):
            while True:
                try:
                    await cluster.config_maps(SPACE)
                    break
                except TemporaryError as error:
                    await asyncio.sleep(error.retry_after)


async def test_a_cluster_that_shows_another_certificate_is_trusted_once_the_authority_is_the_new_one(here: Here):
    document = yaml.safe_load(here.admin.read_text())
    entry = document["clusters"][0]["cluster"]
    right = base64.b64decode(entry.pop("certificate-authority-data"))
    authority = here.folder / "ca.crt"
    authority.write_text(self_signed("another").certificate)
    entry["certificate-authority"] = str(authority)
    here.admin.write_text(yaml.safe_dump(document))
    async with ClusterClient(kubeconfig=str(here.admin), timing=SHORT) as cluster:
        with pytest.raises(TemporaryError) as caught:
            await cluster.config_maps(SPACE)
        assert "has a certificate that the kubeconfig does not trust" in caught.value.message
        authority.write_bytes(right)
        async with asyncio.timeout(60):
            while True:
                try:
                    assert await cluster.config_maps(SPACE)
                    break
                except TemporaryError as error:
                    await asyncio.sleep(error.retry_after)
    async with ClusterClient(kubeconfig=str(here.admin), timing=HURRIED) as cluster:
        assert await cluster.config_maps(SPACE)


async def test_a_certificate_that_nobody_trusts_for_long_is_told_as_that(here: Here):
    document = yaml.safe_load(here.admin.read_text())
    wrong = base64.b64encode(self_signed("another").certificate.encode()).decode()
    document["clusters"][0]["cluster"]["certificate-authority-data"] = wrong
    here.admin.write_text(yaml.safe_dump(document))
    async with ClusterClient(kubeconfig=str(here.admin), timing=HURRIED) as cluster:
        assert "certificate" in (await refused_at_last(cluster)).message


@pytest.fixture
async def through(here: Here) -> AsyncIterator[tuple[Interference, Path]]:
    async with cluster_through(here.admin, here.folder) as made:
        yield made


def failing(proxy: Interference, how: How) -> Fault:
    return proxy.fail(how, lambda _: True, times=FOREVER)


async def test_refused_credentials_are_temporary_for_a_while_and_then_named(through: tuple[Interference, Path]):
    proxy, kubeconfig = through
    async with ClusterClient(kubeconfig=str(kubeconfig), timing=HURRIED) as cluster:
        failing(proxy, How.UNKNOWN)
        with pytest.raises(TemporaryError) as passing:
            await cluster.config_maps(SPACE)
        assert passing.value.code is ReasonCode.CLUSTER_UNREACHABLE
        error = await refused_at_last(cluster)
        assert error.code is ReasonCode.CLUSTER_REFUSED
        assert "The cluster rejected the bot's credentials (trying to list ConfigMaps in default)." in error.message
        assert f"They come from {kubeconfig}." in error.message
        assert error.advice == (f"Put a valid token into {kubeconfig}. The bot rereads it automatically.",)
        assert "admin-token" not in " ".join((error.message, *error.evidence, *error.advice))
        proxy.rules.clear()
        assert await cluster.config_maps(SPACE)
        failing(proxy, How.UNKNOWN)
        with pytest.raises(TemporaryError):  # it begins to count anew
            await cluster.config_maps(SPACE)


async def test_a_watch_outlasts_a_server_that_knows_nobody_for_a_while(through: tuple[Interference, Path]):
    proxy, kubeconfig = through
    async with (
        ClusterClient(kubeconfig=str(kubeconfig), timing=SHORT) as cluster,
        aclosing(cluster.watch_config_maps(SPACE)) as watch,
    ):
        while (await anext(watch)).kind != "synced":
            pass
        fault = failing(proxy, How.UNKNOWN)
        proxy.drop()
        seen = asyncio.ensure_future(anext(watch))
        async with asyncio.timeout(60):
            while fault.struck < 5:  # noqa: ASYNC110 - a counter of the proxy's
                await asyncio.sleep(0.02)
        proxy.rules.clear()
        await cluster.create_config_map(SPACE, "after", {}, {})
        async with asyncio.timeout(60):
            assert (await seen).view.name == "after"  # type: ignore[union-attr]


async def test_what_was_allowed_before_is_refused_only_after_a_while(through: tuple[Interference, Path]):
    """The roles are read anew after a restart of the API server; until then nobody may do anything."""
    proxy, kubeconfig = through
    async with ClusterClient(kubeconfig=str(kubeconfig), timing=HURRIED) as cluster:
        await cluster.config_maps(SPACE)
        failing(proxy, How.FORBIDDEN)
        with pytest.raises(TemporaryError):
            await cluster.config_maps(SPACE)
        assert (await refused_at_last(cluster)).message == (
            "The cluster denied the bot permission to list ConfigMaps in default."
        )
        proxy.rules.clear()
        assert await cluster.config_maps(SPACE)


async def test_what_was_never_allowed_is_refused_at_once(here: Here):
    here.admin.write_text(here.cluster.kubeconfig(VIEWER.name))
    async with ClusterClient(kubeconfig=str(here.admin), timing=SHORT) as cluster:
        await cluster.config_maps(SPACE)
        with pytest.raises(PermanentError) as caught:
            await cluster.create_config_map(SPACE, "mine", {}, {})
        assert caught.value.code is ReasonCode.CLUSTER_REFUSED


async def test_a_load_balancers_404_is_never_taken_for_an_object_that_is_not_there(through: tuple[Interference, Path]):
    proxy, kubeconfig = through
    async with ClusterClient(kubeconfig=str(kubeconfig), timing=SHORT) as cluster:
        failing(proxy, How.LOST_WAY)
        with pytest.raises(RunbookError) as caught:
            await cluster.config_map(SPACE, "record")
        assert isinstance(caught.value, TemporaryError)


async def test_a_kubeconfig_that_can_not_be_read_is_told_without_anything_of_it(here: Here):
    here.admin.write_text("users: [{name: admin, user: {token: a-secret-token}}]\ncurrent-context: none\n")
    with pytest.raises(PermanentError) as caught:
        async with ClusterClient(kubeconfig=str(here.admin), timing=SHORT):
            pass
    assert "a-secret-token" not in " ".join((caught.value.message, *caught.value.evidence))
