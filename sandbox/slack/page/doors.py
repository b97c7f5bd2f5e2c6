"""Who is let in: the page answers its own Host and Origin only, and wants the token that it was opened with.

With a switch between persons, whoever reaches this page can be anybody; so another site in the same browser, another
name for this address, and another user of this machine must not reach it.
"""

import hmac

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

COOKIE = "omnicare_sandbox"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "object-src 'none'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def own_host(request: web.Request) -> str:
    """The address that this connection really came to: no configuration to be wrong."""
    name = request.transport.get_extra_info("sockname") if request.transport else None
    return f"{name[0]}:{name[1]}" if name else ""


def door(token: str) -> Middleware:
    """The middleware that lets in or refuses, and adds the headers to every answer."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = _refusal(request, token)
        if refusal:
            return web.Response(status=403, text=f"{refusal}\n", headers=_HEADERS)
        try:
            response = await handler(request)
        except web.HTTPException as answer:
            answer.headers.update(_HEADERS)
            raise
        except ConnectionError:
            return web.Response()  # the tab has gone; aiohttp drops this answer without a traceback
        if not response.prepared:
            response.headers.update({key: value for key, value in _HEADERS.items() if key not in response.headers})
        return response

    return guard


def _refusal(request: web.Request, token: str) -> str:
    """Why this request is not answered, or nothing."""
    host = own_host(request)
    if not host or request.headers.get("Host") != host:
        return "This page answers at its own address only. Open the link that the sandbox printed."
    origin = request.headers.get("Origin")
    changes = request.method not in {"GET", "HEAD"} or request.headers.get("Upgrade", "").lower() == "websocket"
    if (origin is not None or changes) and origin != f"http://{host}":
        return "This request did not come from the sandbox's own page."
    if request.path == "/" and _same(request.query.get("token", ""), token):
        return ""
    if not _same(request.cookies.get(COOKIE, ""), token):
        return "This page wants the token that it was opened with. Open the link that the sandbox printed."
    return ""


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def let_in(response: web.StreamResponse, token: str) -> None:
    response.set_cookie(COOKIE, token, httponly=True, samesite="Strict", path="/")
