"""The CDN's invalidation: waited for, paid for once, and told where it fails, without ending a deploy or a rollback."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import pytest

from runbooks.cdn.invalidating import InvalidateCdn, Invalidated, plan_invalidate, plan_part
from runbooks.clients.aws.cloudfront import Cdn, CdnSettings, checked_path
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.kit.steps import PlainPulse, StepContext, Stop, Stopped
from runbooks.kit.targets import Environment, Service
from runbooks.kit.train import Train
from sandbox.aws import Aws
from sandbox.aws_services import DISTRIBUTIONS, CloudFront
from tests.support.refusing_aws import SECRET, refusing

DISTRIBUTION = DISTRIBUTIONS["production"]
WHERE = Environment(
    name="production",
    namespace="omnicare-prod",
    record_namespace="omnicare-bot",
    services=(
        Service(name="backend", deployment="backend", container="backend", repository="ghcr.io/omnicare/backend"),
    ),
)


def cdn_at(url: str, *, read_seconds: float = 20.0) -> Cdn:
    settings = CdnSettings(distribution=DISTRIBUTION, endpoint=url, look_seconds=0.05)
    return Cdn(settings, throw_away=True, read_seconds=read_seconds)


def step(*paths: str, patience: float = 20.0, required: bool = False) -> InvalidateCdn:
    return InvalidateCdn(
        distribution=DISTRIBUTION, paths=paths or ("/*",), patience_seconds=patience, required=required
    )


def context(cdn: Cdn, run: str = "production.deploy.abc", pulse: PlainPulse | None = None) -> StepContext:
    return StepContext(pulse=pulse or PlainPulse(run), environment=WHERE, services={Cdn: cdn})


@asynccontextmanager
async def cloudfront(seconds: float = 0.0) -> AsyncIterator[tuple[CloudFront, Cdn]]:
    async with AsyncExitStack() as stack:
        aws, service = Aws(), CloudFront(seconds)
        aws.services.append(service)
        yield service, cdn_at(await stack.enter_async_context(aws.serve()))


class CompletedOnceAwaited(PlainPulse):
    """Its invalidation completes once the run says that it is in progress."""

    def __init__(self, run: str, service: CloudFront) -> None:
        super().__init__(run)
        self._service = service

    def say(self, words: str) -> None:
        super().say(words)
        if "in progress" in words:
            self._service.seconds = 0.0


async def test_an_invalidation_is_waited_for_and_the_same_run_pays_for_it_once():
    async with cloudfront(seconds=600) as (service, cdn):
        pulse = CompletedOnceAwaited("production.deploy.abc", service)
        first = await step(patience=500).apply(context(cdn, pulse=pulse))
        again = await step().apply(context(cdn))
        other = await step().apply(context(cdn, run="production.deploy.def"))
    assert first.id
    assert not first.problem
    assert any("in progress" in said for said in pulse.said)
    assert again.id == first.id != other.id
    assert service.created == [(DISTRIBUTION, ("/*",))] * 2


async def test_one_run_does_not_invalidate_other_paths_under_its_reference():
    async with cloudfront() as (_, cdn):
        await step("/a").apply(context(cdn))
        with pytest.raises(PermanentError, match="the same run invalidated other paths before"):
            await step("/b", required=True).apply(context(cdn))


async def test_a_stop_ends_the_waiting_at_once():
    async with cloudfront(seconds=600) as (service, cdn):
        pulse = PlainPulse("production.deploy.abc")
        pulse.ask_to_stop(Stop(kind="cancelled", by="Maya"))
        with pytest.raises(Stopped):
            await step(patience=500).apply(context(cdn, pulse=pulse))
    assert len(service.created) == 1


async def test_patience_ends_a_run_of_its_own_and_is_only_told_at_the_end_of_a_deploy():
    async with cloudfront(seconds=600) as (_, cdn):
        await cdn.invalidate(DISTRIBUTION, ("/first",), "the server lives")
        for patience in (1.0, 10.0, 60.0):  # a busy machine may need more for the first call alone
            told = await step(patience=patience).apply(context(cdn))
            if told.id:
                break
        with pytest.raises(PermanentError, match="is still in progress after") as caught:
            await step(patience=0.1, required=True).apply(context(cdn))
    assert told.id
    assert "is still in progress after" in told.problem
    assert f"--id {told.id}" in told.to_do[0]
    assert caught.value.code is ReasonCode.TIMED_OUT


async def test_patience_is_for_all_calls_together_also_of_a_silent_cloudfront():
    async with refusing(200, silent=True) as url:
        told = await step(patience=0.3).apply(context(cdn_at(url, read_seconds=1.0)))
    assert told.problem.startswith("The CDN was not invalidated: CloudFront did not answer within")
    assert "`aws cloudfront create-invalidation" in told.to_do[0]


REFUSALS = [
    (403, "AccessDenied", "lacks the permission", "cloudfront:CreateInvalidation", PermanentError),
    (403, "ExpiredToken", "token has expired", "Renew", PermanentError),
    (403, "InvalidClientTokenId", "does not know the bot's access key", "credentials", PermanentError),
    (404, "NoSuchDistribution", "no such distribution", "`distribution`", PermanentError),
    (400, "InvalidArgument", "rejects the paths", "must begin with `/`", PermanentError),
    (400, "TooManyInvalidationsInProgress", "right now", "", TemporaryError),
    (400, "Throttling", "limits the account's requests", "", TemporaryError),
    (429, "OddCode", "limits the account's requests", "", TemporaryError),
    (409, "OddCode", "refused to", "cloudfront:CreateInvalidation", PermanentError),
    (500, "InternalFailure", "right now", "", TemporaryError),
]


@pytest.mark.parametrize(("status", "code", "says", "advises", "kind"), REFUSALS)
async def test_a_refusal_says_what_it_is_and_what_to_do(
    status: int, code: str, says: str, advises: str, kind: type[RunbookError]
):
    async with refusing(status, code) as url:
        with pytest.raises(kind, match=says) as caught:
            await step(patience=0.01, required=True).apply(context(cdn_at(url)))
    assert advises in " ".join(caught.value.advice)
    assert SECRET not in f"{caught.value.message}{caught.value.advice}"


@pytest.mark.parametrize("status", [200, 429, 502])
async def test_a_page_in_place_of_an_answer_may_be_another_one_later(status: int):
    async with refusing(status, text="<html>a proxy</p>") as url:
        with pytest.raises(TemporaryError, match="CloudFront") as caught:
            await step(patience=0.01, required=True).apply(context(cdn_at(url)))
    assert caught.value.code is ReasonCode.AWS_UNREACHABLE


async def told(url: str, *, patience: float = 60.0) -> Invalidated:
    return await step(patience=patience).apply(context(cdn_at(url)))


async def test_a_deploy_goes_on_when_the_cdn_refuses_is_silent_talks_nonsense_or_is_down():
    async with refusing(403, "AccessDenied") as url:
        denied = await told(url)
    async with refusing(200, silent=True) as url:
        silent = await told(url, patience=0.5)
    async with refusing(201, text="<html>a proxy</html>") as url:
        nonsense = await told(url, patience=2.0)
    down = await told(url, patience=2.0)
    for each in (denied, silent, nonsense, down):
        assert each.problem.startswith("The CDN was not invalidated: ")
        assert each.id is None
    assert "`cloudfront:CreateInvalidation`" in denied.to_do[0]
    for each in (silent, down):  # the second where a busy machine has not even connected within the patience
        assert re.search(r"can't be reached|did not answer within", each.problem)


@pytest.mark.parametrize(
    ("path", "why"),
    [("index.html", "must begin"), ("#", "256 visible"), ("#a,b", "no comma"), ("#a b", "no comma"), ("#release:*", "named in full"), ("#" + "a" * 257, "256"), ("/a*b", "last character"), ("/a b", "characters of a URL"), ("/" + "a" * 1001, "1000")],
)  # fmt: skip
def test_a_path_that_cloudfront_would_not_take_is_refused_when_it_is_typed(path: str, why: str):
    with pytest.raises(ValueError, match=why):
        checked_path(path)


def train(cdn: Cdn | None, *, going_back: bool = False) -> Train:
    clients = {Cdn: cdn} if cdn is not None else {}
    now = datetime(2026, 5, 4, 3, 0, tzinfo=UTC)
    return Train(environment=WHERE, version="v2.0.0", changes=(), going_back=going_back, clients=clients, now=now)


async def test_it_is_the_last_of_a_deploy_and_a_rollback_waits_less_for_it():
    cdn = cdn_at("http://127.0.0.1:1")
    assert (await plan_part(train(None))).not_done == ("CDN invalidation (not configured)",)
    (after,), (back,) = (await plan_part(train(cdn))).after, (await plan_part(train(cdn, going_back=True))).after
    assert isinstance(after, InvalidateCdn)
    assert isinstance(back, InvalidateCdn)
    assert (after.patience_seconds, back.patience_seconds) == (900.0, 60.0)
    assert after.by_hand() == (
        f"aws cloudfront create-invalidation --distribution-id {DISTRIBUTION} --paths '/*'",
    )  # the guide's own line


async def test_a_run_of_its_own_takes_each_path_once_or_the_configured_ones():
    cdn = cdn_at("http://127.0.0.1:1")
    (chosen,) = (await plan_invalidate(cdn, "production", ("/a", "/b", "/a"))).steps
    (configured,) = (await plan_invalidate(cdn, "production", ())).steps
    assert chosen.changes() == {"distribution": DISTRIBUTION, "paths": ["/a", "/b"]}
    assert configured.changes() == {"distribution": DISTRIBUTION, "paths": ["/*"]}


async def test_a_cache_tag_is_invalidated_where_the_distribution_reads_tags_and_refused_where_it_reads_none():
    tags = ("#release:v2.0.0", "/index.html")
    async with cloudfront() as (service, cdn):
        plan = await plan_invalidate(cdn, "production", tags)
        assert plan.title == "Invalidate 1 path and 1 cache tag of production's CDN"
        assert not plan.warnings
        await plan.steps[0].apply(context(cdn))
        assert service.created == [(DISTRIBUTION, tags)]
        assert "'#release:v2.0.0'" in plan.steps[0].by_hand()[0]
        service.tags = None
        with pytest.raises(PermanentError, match="reads no cache tags") as caught:
            await plan_invalidate(cdn, "production", tags)
        assert caught.value.code is ReasonCode.NOT_CONFIGURED
    async with refusing(403, "AccessDenied") as url:
        unknown = await plan_invalidate(cdn_at(url), "production", tags)
    assert "lacks the permission" in unknown.warnings[0]


async def test_a_distribution_and_its_newest_invalidations_are_read():
    async with cloudfront(seconds=600) as (_, cdn):
        for number in range(4):
            await cdn.invalidate(DISTRIBUTION, (f"/{number}",), f"run {number}")
        found, newest = await cdn.distribution(), await cdn.newest(3)
    assert (found.enabled, found.deployed, found.tag_header) == (True, True, "x-amz-meta-cache-tag")
    assert [each.paths for each in newest] == [("/3",), ("/2",), ("/1",)]
    assert not any(each.completed for each in newest)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (403, "AccessDenied", PermanentError),
        (404, "NoSuchDistribution", PermanentError),
        (500, "InternalFailure", TemporaryError),
    ],
)
async def test_a_distribution_that_can_not_be_read_is_a_sentence(status: int, code: str, kind: type[RunbookError]):
    async with refusing(status, code) as url:
        with pytest.raises(kind) as caught:
            await cdn_at(url).distribution()
    assert SECRET not in f"{caught.value.message}{caught.value.advice}"
