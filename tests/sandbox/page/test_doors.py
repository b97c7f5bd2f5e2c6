"""The page answers its own Host and Origin, to whoever has the token, and nobody else."""

import json

import aiohttp
import pytest

from tests.sandbox.page.conftest import TOKEN, Served


async def status(served: Served, path: str = "/as/maya/deploys", **headers: str) -> int:
    async with served.client.get(f"{served.url}{path}", headers=headers, allow_redirects=False) as response:
        return response.status


async def test_the_link_with_the_token_lets_in_and_leaves_the_address(served: Served) -> None:
    async with aiohttp.ClientSession() as stranger, stranger.get(served.link, allow_redirects=False) as response:
        assert response.status == 303
        assert "token" not in response.headers["Location"]
        cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


@pytest.mark.parametrize("path", ["/", "/?token=", "/?token=wrong", "/?token=é", "/as/maya/deploys", "/static/page.css", "/files/F1", "/live/x"])  # fmt: skip
async def test_without_the_token_nothing_is_answered(served: Served, path: str) -> None:
    async with aiohttp.ClientSession() as stranger, stranger.get(f"{served.url}{path}") as response:
        assert response.status == 403
        assert "maya" not in (await response.text()).lower()


async def test_a_wrong_cookie_does_not_open(served: Served) -> None:
    stranger = aiohttp.ClientSession(cookies={"omnicare_sandbox": TOKEN + "x"})
    async with stranger, stranger.get(f"{served.url}/as/maya/deploys") as response:
        assert response.status == 403


@pytest.mark.parametrize("host", ["evil.example", "localhost", "127.0.0.1", "127.0.0.1:1"])
async def test_another_host_is_refused(served: Served, host: str) -> None:
    assert await status(served, Host=host) == 403


async def test_a_page_of_another_origin_is_refused_even_with_the_cookie(served: Served) -> None:
    assert await status(served, Origin="http://evil.example") == 403
    assert await status(served, Origin=served.url) == 200


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:1"])
async def test_an_act_needs_the_pages_own_origin(served: Served, origin: str | None) -> None:
    headers = {"Origin": origin} if origin else {}
    body = {"channel": "C0DEPLOYS", "text": "hello"}
    async with served.client.post(f"{served.url}/act/maya/type", json=body, headers=headers) as response:
        assert response.status == 403
    assert served.workspace.history("C0DEPLOYS") == []


@pytest.mark.parametrize("origin", [None, "http://evil.example"])
async def test_a_stream_needs_the_pages_own_origin(served: Served, origin: str | None) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await served.client.ws_connect(f"{served.url}/live/x", origin=origin)
    assert refusal.value.status == 403


async def test_every_answer_forbids_what_the_page_does_not_need(served: Served) -> None:
    for path in ("/as/maya/deploys", "/static/page.js", "/as/nobody/deploys"):
        async with served.client.get(f"{served.url}{path}") as response:
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy
            assert "unsafe" not in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_page_needs_nothing_from_elsewhere_and_nothing_inline(served: Served) -> None:
    html = await served.get("/as/maya/deploys")
    assert " style=" not in html
    assert " onclick" not in html
    assert "<script>" not in html
    assert "https://" not in html


async def test_a_file_is_never_a_page(served: Served) -> None:
    content = b"<script>alert(1)</script>"
    file = served.workspace.new_file('x".html', content, size=len(content), user="U0MAYA", mimetype="text/html")
    async with served.client.get(f"{served.url}/files/{file.id}?download") as response:
        assert response.content_type == "text/plain"
        assert "sandbox" in response.headers["Content-Security-Policy"]
        assert response.headers["Content-Disposition"] == 'attachment; filename="x_.html"'


async def test_nobody_reads_a_channel_they_are_not_in(served: Served) -> None:
    served.workspace.channel("incidents").is_private = True
    for path in ("/as/eli/incidents", "/as/eli/incidents/older?before=9"):
        assert await status(served, path) == 404
    assert "incidents" not in await served.get("/as/eli/deploys")


@pytest.mark.parametrize("body", ["[]", "no JSON", '"x"'])
async def test_an_act_that_is_no_object_is_refused(served: Served, body: str) -> None:
    async with served.client.post(f"{served.url}/act/maya/type", data=body, headers={"Origin": served.url}) as response:
        assert response.status == 400


async def test_a_click_on_a_control_that_is_not_there_does_nothing(served: Served) -> None:
    ts = served.workspace.post("C0DEPLOYS", served.workspace.app.user_id, "hello").ts
    asked = {"channel": "C0DEPLOYS", "ts": ts, "block": "b", "action": "approve", "value": "forged"}
    answer = await served.post("/act/maya/click", asked)
    assert (answer["ok"], answer["error"]) == (False, "action_not_found")
    assert served.app.received == []
    assert json.dumps(answer["said"])
