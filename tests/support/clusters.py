"""A Kubernetes cluster for a test, with the real kubectl and the real Python client beside it.

Two of them: the sandbox's, made for each test, and a real control plane, where REAL_CLUSTER_KUBECONFIG names its admin
kubeconfig. On both a test has a namespace of its own that is thrown away.
"""

import asyncio
import json
import os
import secrets
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from kubernetes.aio import client, config

from sandbox.cluster import Cluster, Settings

KUBECTL = str(Path(sys.executable).with_name("kubectl"))
REAL = "REAL_CLUSTER_KUBECONFIG"
QUICK = Settings(
    start_seconds=(0.3, 0.4),
    slow_seconds=1.5,
    pull_retry_seconds=0.4,
    crash_seconds=0.2,
    restart_seconds=0.3,
    stop_seconds=0.1,
    job_seconds=0.3,
)
LIMIT = 60.0
_ENVIRONMENT = {"PATH": os.environ.get("PATH", ""), "HOME": "/nonexistent"}


@dataclass(frozen=True)
class Output:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass(frozen=True)
class ClusterUnderTest:
    """One cluster and a namespace of one's own; `config_of` gives the kubeconfig of a user."""

    namespace: str
    config_of: Callable[[str], Path]
    api: client.ApiClient
    session: aiohttp.ClientSession

    def command(self, *words: str, user: str = "admin") -> list[str]:
        return [KUBECTL, f"--kubeconfig={self.config_of(user)}", f"--namespace={self.namespace}", *words]

    async def kubectl(self, *words: str, user: str = "admin", stdin: Any = None, code: int | None = 0) -> Output:
        """Run the real kubectl to its end; `code` is how it must end (None: as it likes)."""
        process = await asyncio.create_subprocess_exec(
            *self.command(*words, user=user),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=_ENVIRONMENT,
        )
        text = stdin if isinstance(stdin, str) or stdin is None else json.dumps(stdin)
        try:
            async with asyncio.timeout(LIMIT):
                out, err = await process.communicate(text.encode() if text else None)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        output = Output(process.returncode or 0, out.decode(), err.decode())
        assert code is None or output.code == code, output
        return output

    async def get(self, *words: str) -> Any:
        return json.loads((await self.kubectl("get", *words, "-o", "json")).out)

    @asynccontextmanager
    async def following(self, *words: str) -> AsyncIterator[asyncio.StreamReader]:
        """A kubectl that goes on (watch, logs -f); ended with the block."""
        process = await asyncio.create_subprocess_exec(
            *self.command(*words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=_ENVIRONMENT,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(LIMIT):
                yield process.stdout
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def until(self, holds: Callable[[Any], Any], *words: str, limit: float = LIMIT) -> Any:
        """What `kubectl get` gives, as soon as it holds: watched, not polled."""
        path, query = await self._path(*words)
        async with asyncio.timeout(limit):
            found = await self._request("GET", path, query)
            if holds(found):
                return found
            seen = {item["metadata"]["name"]: item for item in found.get("items", [])}
            version = found["metadata"]["resourceVersion"]
            async for event in self._watch(path, {**query, "watch": "1", "resourceVersion": version}):
                name = event["object"]["metadata"]["name"]
                seen[name] = event["object"]
                if event["type"] == "DELETED":
                    del seen[name]
                found = {**found, "items": list(seen.values())}
                if holds(found):
                    return found
        raise AssertionError(found)

    async def _path(self, kind: str, selector: str = "") -> tuple[str, dict[str, str]]:
        group = {"deployments": "/apis/apps/v1", "replicasets": "/apis/apps/v1", "jobs": "/apis/batch/v1"}
        path = f"{group.get(kind, '/api/v1')}/namespaces/{self.namespace}/{kind}"
        return path, {"labelSelector": selector} if selector else {}

    async def _request(self, method: str, path: str, query: dict[str, str]) -> Any:
        return json.loads(await self.raw(method, path, query))

    async def raw(self, method: str, path: str, query: dict[str, str]) -> str:
        response = await self._call(method, path, query)
        return (await response.read()).decode()

    async def _watch(self, path: str, query: dict[str, str]) -> AsyncIterator[Any]:
        response = await self._call("GET", path, query)
        try:
            while line := await response.content.readline():
                yield json.loads(line)
        finally:
            response.close()

    async def _call(self, method: str, path: str, query: dict[str, str]) -> Any:
        return await self.session.request(method, path, params=query)


@asynccontextmanager
async def sandbox_cluster(folder: Path, settings: Settings = QUICK) -> AsyncIterator[ClusterUnderTest]:
    cluster = Cluster(settings)
    async with cluster.serve(), AsyncExitStack() as stack:

        def config_of(user: str) -> Path:
            path = folder / f"{user}.kubeconfig"
            if not path.exists():
                path.write_text(cluster.kubeconfig(user, "default"))
            return path

        yield await _entered(stack, config_of)


@asynccontextmanager
async def real_cluster() -> AsyncIterator[ClusterUnderTest]:
    admin = Path(os.environ[REAL])
    async with AsyncExitStack() as stack:
        yield await _entered(stack, lambda user: admin.with_name(f"{user}.kubeconfig"))


async def _entered(stack: AsyncExitStack, config_of: Callable[[str], Path]) -> ClusterUnderTest:
    api = await stack.enter_async_context(await config.new_client_from_config(str(config_of("admin"))))
    user = yaml.safe_load(config_of("admin").read_text())["users"][0]["user"]
    session = await stack.enter_async_context(
        aiohttp.ClientSession(
            api.configuration.host,
            headers={"Authorization": f"Bearer {user['token']}", "Accept": "application/json"},
            connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=api.configuration.ssl_ca_cert)),
        )
    )
    under_test = ClusterUnderTest(f"test-{secrets.token_hex(4)}", config_of, api, session)
    await under_test.kubectl("create", "namespace", under_test.namespace)
    stack.push_async_callback(under_test.kubectl, "delete", "namespace", under_test.namespace, "--wait=false")
    await under_test.until(lambda found: found["items"], "serviceaccounts")
    return under_test


BOTH = (pytest.param("sandbox"), pytest.param("real", marks=pytest.mark.real_cluster))


@asynccontextmanager
async def opened(which: str, folder: Path) -> AsyncIterator[ClusterUnderTest]:
    if which == "real" and not os.environ.get(REAL):
        pytest.skip(f"{REAL} does not name the kubeconfig of a real control plane")
    async with sandbox_cluster(folder) if which == "sandbox" else real_cluster() as under_test:
        yield under_test
