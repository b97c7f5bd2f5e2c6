"""The cluster client: what it hands out, how it says no, and watches that survive what connections do."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.clients.kubernetes.connection import Timing
from runbooks.clients.kubernetes.errors import AlreadyThere, Conflict, Unprocessable
from runbooks.clients.kubernetes.reading import selector_text
from runbooks.clients.kubernetes.views import ConfigMapView, Seen
from runbooks.kit.errors import PermanentError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from tests.support.broken_wire import wired
from tests.support.interference import How, cluster_through
from tests.support.real import QUICK, Place, first

SHORT = Timing(connect=2, call=3, watch=2, watch_grace=0.5, outage=20)


async def test_it_reads_a_deployment_with_its_pods_and_where_they_came_from(here: Place):
    await here.deploy("backend")
    deployment = await here.cluster.deployment(here.namespace, "backend")
    pods = await here.cluster.pods_of(deployment)
    sets = await here.cluster.replica_sets(here.namespace, deployment.selector)
    assert (deployment.desired, deployment.available, deployment.revision) == (2, 2, 1)
    assert {pod.owner for pod in pods} == {sets[0].uid}
    assert {pod.containers[0].digest for pod in pods} == {deployment.containers[0].image.partition("@")[2]}
    assert (await here.cluster.version()).startswith("v")


async def test_what_is_not_there_is_a_sentence_with_kubernetes_own_words(here: Place):
    with pytest.raises(PermanentError) as caught:
        await here.cluster.deployment(here.namespace, "backend")
    assert caught.value.code is ReasonCode.NOT_FOUND
    assert caught.value.evidence == ('deployments.apps "backend" not found',)


async def test_an_unreachable_cluster_is_temporary_and_names_its_address(kubeconfig: str, tmp_path: Path):
    async with wired(kubeconfig, tmp_path) as (wire, through):
        port = wire.port
    with pytest.raises(TemporaryError) as caught:
        async with ClusterClient(kubeconfig=through, timing=SHORT) as cluster:
            await cluster.version()
    assert caught.value.code is ReasonCode.CLUSTER_UNREACHABLE
    assert str(port) in caught.value.message


async def test_a_missing_kubeconfig_is_a_sentence():
    with pytest.raises(PermanentError) as caught:
        async with ClusterClient(kubeconfig="/nowhere/kubeconfig"):
            pass
    assert "/nowhere/kubeconfig" in caught.value.message


async def test_it_knows_what_its_account_may_do(here: Place):
    assert (await here.cluster.may("patch", "apps", "deployments", here.namespace)).allowed


async def test_a_config_map_is_replaced_only_as_it_was_read(here: Place):
    space = here.environment.record_namespace
    made = await here.cluster.create_config_map(space, "record", {"a": "1"}, {"omnicare.dev/record": "test"})
    with pytest.raises(AlreadyThere):
        await here.cluster.create_config_map(space, "record", {}, {})
    newer = await here.cluster.replace_config_map(made, {"a": "2"})
    with pytest.raises(Conflict):
        await here.cluster.replace_config_map(made, {"a": "3"})
    assert newer.data == {"a": "2"}
    assert [m.name for m in await here.cluster.config_maps(space, "omnicare.dev/record=test")] == ["record"]
    await here.cluster.delete_config_map(space, "record")
    assert await here.cluster.config_maps(space, "omnicare.dev/record=test") == []


async def test_a_patch_whose_test_fails_changes_nothing(here: Place):
    await here.deploy("backend", replicas=1)
    with pytest.raises(Unprocessable):
        await here.patch(
            "backend",
            {"op": "test", "path": "/spec/template/spec/containers/0/image", "value": "another"},
            {"op": "replace", "path": "/spec/replicas", "value": 3},
        )
    assert (await here.cluster.deployment(here.namespace, "backend")).desired == 1


async def test_logs_come_as_bytes_of_the_asked_length(here: Place):
    await here.deploy("backend", replicas=1)
    pod = (await here.cluster.pods(here.namespace))[0]
    found = b"".join([chunk async for chunk in here.cluster.logs(here.namespace, pod.name, "backend", tail=2)])
    assert found.count(b"\n") == 2


@pytest.mark.parametrize("how", ["cut", "fall_silent"])
async def test_a_watch_goes_on_when_its_connection_is_lost(here: Place, tmp_path: Path, how: str):
    space = here.environment.record_namespace
    async with (
        wired(here.kubeconfig, tmp_path) as (wire, through),
        ClusterClient(kubeconfig=through, timing=SHORT) as cluster,
        aclosing(cluster.watch_config_maps(space)) as watch,
    ):
        while (await anext(watch)).kind != "synced":
            pass
        await here.cluster.create_config_map(space, "before", {}, {})
        seen = await first_named(watch, "before")
        assert seen.kind == "changed"
        before = wire.connections
        getattr(wire, how)()
        await here.cluster.create_config_map(space, "while-lost", {}, {})
        assert (await first_named(watch, "while-lost")).kind == "changed"
        assert wire.connections > before


async def first_named(watch: AsyncIterator[Seen[ConfigMapView]], name: str) -> Seen[ConfigMapView]:
    async with asyncio.timeout(60):
        async for seen in watch:
            if seen.view is not None and seen.view.name == name:
                return seen
    raise AssertionError("the watch ended")


async def test_a_watch_that_can_not_be_taken_up_again_gives_up(kubeconfig: str, tmp_path: Path):
    async with wired(kubeconfig, tmp_path) as (_, through):
        pass
    timing = SHORT.__class__(connect=1, call=1, watch=1, watch_grace=0.5, outage=0.5)
    async with ClusterClient(kubeconfig=through, timing=timing) as cluster:
        with pytest.raises(TemporaryError):
            await first(cluster.watch_pods("anywhere"), lambda _: False)


class Forgetful:
    """An API server that forgets a watch's place in history (410 Gone) while an object goes and another comes."""

    def __init__(self) -> None:
        self.lists = 0
        self.watches: list[str] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("watch") != "true":
            self.lists += 1
            names = ["stays", "goes"] if self.lists == 1 else ["stays", "comes"]
            return web.json_response(
                {
                    "kind": "ConfigMapList",
                    "metadata": {"resourceVersion": str(self.lists * 100)},
                    "items": [item(n) for n in names],
                }
            )
        self.watches.append(request.query["resourceVersion"])
        answer = web.StreamResponse()
        await answer.prepare(request)
        if len(self.watches) == 1:
            gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
            await answer.write(json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
        else:
            await answer.write(json.dumps({"type": "ADDED", "object": item("later")}).encode() + b"\n")
            await asyncio.Event().wait()
        return answer


class Strange:
    """What stands before the API server answers 200 with its own."""

    def __init__(self, body: str, content_type: str = "application/json") -> None:
        self._body, self._type = body, content_type

    async def handle(self, _: web.Request) -> web.Response:
        return web.Response(text=self._body, content_type=self._type)


def item(name: str) -> dict[str, object]:
    return {"metadata": {"name": name, "namespace": "here", "uid": name, "resourceVersion": "7"}, "data": {}}


@asynccontextmanager
async def serving(server: Forgetful | Strange, folder: Path) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    written = folder / "kubeconfig"
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    written.write_text(
        json.dumps(
            {
                "current-context": "it",
                "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
                "clusters": [{"name": "it", "cluster": {"server": address}}],
                "users": [{"name": "it", "user": {"token": "it"}}],
            }
        )
    )
    try:
        yield str(written)
    finally:
        await runner.cleanup()


async def test_a_watch_whose_place_is_forgotten_lists_again_and_tells_what_changed(tmp_path: Path):
    forgetful = Forgetful()
    told: list[tuple[str, str | None]] = []
    async with (
        serving(forgetful, tmp_path) as written,
        ClusterClient(kubeconfig=written, timing=QUICK) as cluster,
        aclosing(cluster.watch_config_maps("here")) as watch,
    ):
        async with asyncio.timeout(60):
            async for seen in watch:
                told.append((seen.kind, seen.view.name if seen.view else None))
                if told[-1] == ("changed", "later"):
                    break
    assert told == [
        ("changed", "stays"),
        ("changed", "goes"),
        ("synced", None),
        ("deleted", "goes"),
        ("changed", "comes"),
        ("changed", "later"),
    ]
    assert forgetful.watches == ["100", "200"]


@pytest.mark.parametrize("body", ["", "{}", "[]", '{"kind": "Status"}', '{"kind": "ConfigMap", "da', "<html>"])
async def test_an_answer_that_is_no_object_of_the_cluster_is_not_read_as_an_empty_one(body: str, tmp_path: Path):
    """A fleet record without content would say that nobody holds the environment, and no lock stands."""
    async with serving(Strange(body), tmp_path) as written, ClusterClient(kubeconfig=written, timing=QUICK) as cluster:
        with pytest.raises(TemporaryError, match="can't be read"):
            await cluster.config_map("omnicare-bot", "environment-production")


async def test_a_web_page_is_not_the_log_of_a_pod(tmp_path: Path):
    page = Strange("<html>Sign in</html>", "text/html")
    async with serving(page, tmp_path) as written, ClusterClient(kubeconfig=written, timing=QUICK) as cluster:
        with pytest.raises(TemporaryError, match="can't be read"):
            await first(cluster.logs("here", "pod", "main"), lambda _: True)


def test_a_selector_with_expressions_becomes_a_query():
    selector = {
        "matchLabels": {"app": "backend"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["a", "b"]},
            {"key": "old", "operator": "DoesNotExist"},
            {"key": "zone", "operator": "Exists"},
            {"key": "tier", "operator": "NotIn", "values": ["c"]},
        ],
    }
    assert selector_text(selector) == "app=backend,tier in (a,b),!old,zone,tier notin (c)"


def watching(request: web.Request) -> bool:
    return request.query.get("watch") == "true"


def reading(request: web.Request) -> bool:
    return request.method == "GET" and not watching(request)


BROKEN_STREAMS = [How.LOST, How.UNHEARD, How.SILENT, How.BUSY, How.BROKEN, How.BROKEN_AFTER, How.CUT, How.NONSENSE, How.GONE,
                  How.GONE_LATER]  # fmt: skip


@pytest.mark.parametrize("how", BROKEN_STREAMS)
async def test_a_watch_tells_everything_once_whatever_becomes_of_its_connection(here: Place, tmp_path: Path, how: How):
    space = here.environment.record_namespace
    async with (
        cluster_through(Path(here.kubeconfig), tmp_path) as (proxy, through),
        ClusterClient(kubeconfig=str(through), timing=SHORT) as cluster,
        aclosing(cluster.watch_config_maps(space)) as watch,
    ):
        fault = proxy.fail(how, watching, times=3)
        told: list[str] = []
        while (await anext(watch)).kind != "synced":
            pass
        asking = asyncio.ensure_future(first_named(watch, "last"))
        for name in ("one", "two", "last"):
            await here.cluster.create_config_map(space, name, {}, {})
        assert (await asking).kind == "changed"
        assert fault.struck
        told = [view.name for view in await cluster.config_maps(space)]
        assert {"one", "two", "last"} <= set(told)


@pytest.mark.parametrize("how", [How.LOST, How.UNHEARD, How.SILENT, How.BUSY, How.BROKEN, How.CUT, How.NONSENSE])
async def test_an_answer_that_failed_is_temporary_and_never_taken_for_an_answer(here: Place, tmp_path: Path, how: How):
    await here.deploy("backend", replicas=1)
    # short only where the end of a call is waited for: the others are answered late by a busy machine
    call = 3 if how is How.SILENT else 20
    timing = SHORT.__class__(connect=call, call=call, watch=2, watch_grace=0.5, outage=20)
    async with (
        cluster_through(Path(here.kubeconfig), tmp_path) as (proxy, through),
        ClusterClient(kubeconfig=str(through), timing=timing) as cluster,
    ):
        assert cluster.unanswered().seconds == 0
        # aiohttp asks once more by itself where a connection was reset before it said anything
        proxy.fail(how, reading, times=2 if how in (How.LOST, How.UNHEARD) else 1)
        with pytest.raises(TemporaryError) as caught:
            await cluster.deployment(here.namespace, "backend")
        assert caught.value.code is ReasonCode.CLUSTER_UNREACHABLE
        assert cluster.unanswered().seconds > 0
        if how is How.BUSY:
            assert caught.value.retry_after == 1.0
        assert (await cluster.deployment(here.namespace, "backend")).name == "backend"
        assert cluster.unanswered().seconds == 0


async def test_a_refusal_that_may_pass_is_not_taken_for_silence(here: Place, tmp_path: Path):
    await here.deploy("backend", replicas=1)
    async with (
        cluster_through(Path(here.kubeconfig), tmp_path) as (proxy, through),
        ClusterClient(kubeconfig=str(through), timing=QUICK) as cluster,
    ):
        await cluster.deployment(here.namespace, "backend")
        for how, what in (
            (How.UNKNOWN, "has rejected the bot's credentials"),
            (How.FORBIDDEN, "has refused something the bot was allowed to do before"),
            (How.BROKEN, "has not answered"),
        ):
            proxy.fail(how, reading, times=2 if how is How.UNKNOWN else 1)
            with pytest.raises(TemporaryError):
                await cluster.deployment(here.namespace, "backend")
            seen = cluster.unanswered()
            assert seen.what == what
            assert seen.seconds >= seen.lately > 0
            proxy.rules.clear()
        await cluster.deployment(here.namespace, "backend")
        assert cluster.unanswered().seconds == 0


async def test_a_server_that_says_when_to_come_again_is_not_asked_before(here: Place, tmp_path: Path):
    async with (
        cluster_through(Path(here.kubeconfig), tmp_path) as (proxy, through),
        ClusterClient(kubeconfig=str(through), timing=SHORT) as cluster,
        aclosing(cluster.watch_config_maps(here.environment.record_namespace)) as watch,
    ):
        proxy.fail(How.BUSY, reading, times=2)
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.timeout(60):
            while (await anext(watch)).kind != "synced":
                pass
        # the only clock in the suite that is compared: a busy machine only adds to it
        assert loop.time() - began >= 2.0, "Retry-After is one second, twice"


async def test_a_clear_no_is_an_answer(here: Place, tmp_path: Path):
    async with wired(here.kubeconfig, tmp_path) as (_, through), ClusterClient(kubeconfig=through) as cluster:
        with pytest.raises(PermanentError):
            await cluster.deployment(here.namespace, "nothing")
        assert cluster.unanswered().seconds == 0


async def test_an_object_longer_than_a_reader_s_line_is_watched_like_any_other(here: Place):
    space = here.environment.record_namespace
    async with aclosing(here.cluster.watch_config_maps(space)) as watch:
        while (await anext(watch)).kind != "synced":
            pass
        await here.cluster.create_config_map(space, "long", {"text": "x" * 700_000}, {})
        seen = await first_named(watch, "long")
        assert seen.view is not None
        assert len(seen.view.data["text"]) == 700_000
