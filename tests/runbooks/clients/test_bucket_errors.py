"""S3's errors, by a server that gives them: each its own sentence with what to do, and no word of S3's own message."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from runbooks.clients.aws.bucket import _SAID, Bucket, BucketSettings, ObjectThere
from runbooks.clients.aws.client import SAID
from runbooks.kit.errors import PermanentError, TemporaryError
from sandbox.aws import BUCKET, Aws

BODY = b'{"note": "patient Maria Lopez"}'
STATUS = {"PermanentRedirect": 301, "AccessDenied": 403, "NoSuchBucket": 404, "ConditionalRequestConflict": 409}
"""What is not here S3 answers with 400."""
WITHOUT_BODY = {"301": 301, "403": 403}
"""The answer to HEAD has no body, so the SDK takes the status for the code."""


def bucket_at(url: str, name: str = BUCKET) -> Bucket:
    return Bucket(BucketSettings(bucket=name, region="us-east-1", endpoint=url), throw_away=True)


@asynccontextmanager
async def refusing(code: str, **headers: str) -> AsyncIterator[Bucket]:
    """A bucket whose S3 answers everything with this error."""

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        xml = f"<Error><Code>{code}</Code><Message>can't take patient Maria Lopez</Message></Error>"
        status = WITHOUT_BODY.get(code) or STATUS.get(code, 400)
        return web.Response(
            status=status, headers=headers, text="" if request.method == "HEAD" else xml, content_type="application/xml"
        )

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(application) as server:
        yield bucket_at(str(server.make_url("/")).rstrip("/"))


async def test_a_conflict_of_two_writes_is_temporary_and_not_taken_for_there_already():
    async with refusing("ConditionalRequestConflict") as bucket:
        with pytest.raises(TemporaryError):
            await bucket.put_new("a.json", BODY)


@pytest.mark.parametrize("page", ["<html><body>Sign in</body></html>", "<Nothing/>", ""])
async def test_a_web_page_is_no_list_without_backups(page: str):
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html")

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(application) as server:
        bucket = bucket_at(str(server.make_url("/")).rstrip("/"))
        for act in (bucket.newest("config/"), bucket.keys("config/")):
            with pytest.raises(TemporaryError, match="answer can't be read"):
                await act


async def test_what_is_there_already_is_told_apart_from_a_bucket_that_is_not_there():
    async with Aws().serve() as url:
        await bucket_at(url).put_new("a.json", BODY)
        with pytest.raises(ObjectThere):
            await bucket_at(url).put_new("a.json", BODY)
        with pytest.raises(PermanentError, match="there is no such bucket") as caught:
            await bucket_at(url, "another-bucket").put_new("a.json", BODY)
    assert not isinstance(caught.value, ObjectThere)


@pytest.mark.parametrize("code", sorted(set(SAID) | set(_SAID) - set(WITHOUT_BODY)))
async def test_an_error_that_is_known_says_what_it_is_and_what_to_do(code: str):
    async with refusing(code) as bucket:
        with pytest.raises(PermanentError) as caught:
            await bucket.put_new("a.json", BODY)
    assert caught.value.message == f"S3 can't write s3://{BUCKET}/a.json: {(SAID | _SAID)[code][0]} ({code})."
    assert caught.value.advice
    assert "Maria" not in f"{caught.value.message}{caught.value.advice}"


@pytest.mark.parametrize("code", WITHOUT_BODY)
async def test_a_refusal_without_a_body_says_what_its_status_means(code: str):
    async with refusing(code) as bucket:
        with pytest.raises(PermanentError) as caught:
            await bucket.state()
    assert _SAID[code][0] in caught.value.message


@pytest.mark.parametrize("headers", [{"x-amz-bucket-region": "eu-west-1"}, {}])
async def test_a_bucket_of_another_region_is_told_whether_or_not_the_server_names_the_region(headers: dict[str, str]):
    async with refusing("PermanentRedirect", **headers) as bucket:
        with pytest.raises(PermanentError, match="the bucket is in another region"):
            await bucket.put_new("a.json", BODY)


async def test_an_error_that_nobody_knows_names_its_code_alone():
    async with refusing("OddCode") as bucket:
        with pytest.raises(PermanentError, match="OddCode") as caught:
            await bucket.put_new("a.json", BODY)
    assert "Maria" not in caught.value.message
