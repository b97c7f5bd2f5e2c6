"""An AWS on 127.0.0.1 for the sandbox: moto's server, which begins to live when somebody first connects.

The address is there at once, since the socket listens from the beginning; importing moto takes a second, and most visits to the
sandbox never need it. Who connects meanwhile waits in the socket's queue.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from sandbox.aws_services import Service, action_of

BUCKET = "omnicare-exports"
_BACKLOG = 64
_BY_DEFAULT = (
    "<ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault>"
)
_SETTINGS: tuple[tuple[str, str, str], ...] = (
    ("", "", ""),
    ("versioning", "VersioningConfiguration", "<Status>Enabled</Status>"),
    (
        "encryption",
        "ServerSideEncryptionConfiguration",
        f"<Rule>{_BY_DEFAULT}</Rule>",
    ),
)


class Aws:
    """One S3 with one bucket, versioned and encrypted, and the services that were added."""

    def __init__(self) -> None:
        self.url = ""
        self.spoil = False
        """What is read has another byte than what was written."""
        self.loses: list[str] = []
        """Actions that are done, and whose answers don't arrive: one answer for each time that it stands here."""
        self.services: list[Service] = []
        """Besides S3; added before anybody connects."""
        self._socket: socket.socket | None = None
        self._server: Any = None
        self._thread: threading.Thread | None = None

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Listens until the block ends; gives the address."""
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._socket.setblocking(False)  # noqa: FBT003 - the name says it
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket, self._begin, loop)
        try:
            yield self.url
        finally:
            loop.remove_reader(self._socket)
            await asyncio.to_thread(self._end)
            self._socket.close()

    def wake(self) -> None:
        """Begin to live before anybody connects; for what is asked about while a plan is made."""
        if self._thread is None:
            self._begin(asyncio.get_running_loop())

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Somebody is at the door."""
        assert self._socket is not None, "it is served"
        loop.remove_reader(self._socket)
        importlib.import_module(
            "requests"
        )  # moto and Kubernetes' client need it: two threads at once find it half imported
        self._thread = threading.Thread(target=self._live, name="sandbox-aws", daemon=True)
        self._thread.start()

    def _live(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        assert self._socket is not None, "it is served"
        application = DomainDispatcherApplication(create_backend_app)
        _furnish(application)
        for service in self.services:
            service.furnish()
        host, port = self._socket.getsockname()
        self._socket.setblocking(True)  # noqa: FBT003
        self._server = make_server(host, port, self._served(application), threaded=True, fd=self._socket.fileno())
        self._server.serve_forever(poll_interval=0.05)

    def _served(self, application: Callable[..., Any]) -> Callable[..., Any]:
        def served(environ: dict[str, Any], start_response: Any) -> Any:
            for service in self.services:
                if (refusal := service.before(environ)) is not None:
                    start_response(refusal[0], [("Content-Type", "text/xml")])
                    return [refusal[1]]
            if self.loses and (action := action_of(environ)) in self.loses:
                self.loses.remove(action)
                b"".join(application(environ, lambda *_: None))
                start_response("504 Gateway Timeout", [("Content-Type", "text/xml")])
                return [b""]
            answer = application(environ, start_response)
            if not self.spoil or environ["REQUEST_METHOD"] != "GET":
                return answer
            return [part.replace(b"items", b"itens") for part in answer]

        return served

    def _end(self) -> None:
        if self._thread is None:
            return
        self._thread.join(0.01)
        if self._server is not None:
            self._server.shutdown()
            self._thread.join(5.0)


def _furnish(application: Callable[..., Any]) -> None:
    """The bucket, made by S3's own HTTP before the first visitor is let in."""
    from werkzeug.test import Client

    client = Client(application)
    client.post(
        "/moto-api/reset", headers={"Host": "127.0.0.1"}
    )  # its memory is the process's: an earlier world's is still there
    for what, tag, inside in _SETTINGS:
        body = f'<{tag} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inside}</{tag}>' if tag else ""
        answer = client.put(f"/{BUCKET}?{what}", data=body, headers={"Host": "s3.amazonaws.com"})
        if answer.status_code >= 300:  # noqa: PLR2004 - HTTP's own number
            message = f"the sandbox's S3 can't be furnished: {answer.status_code}"
            raise RuntimeError(message)
