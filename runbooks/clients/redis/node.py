"""One connection to one node, over which only the commands of a closed list can be sent; errors as `RunbookError`.

    async with connected(settings, address, redactor) as session:
        reply = await session.ask(Ask.INFO)

A connection is opened for one look and closed after it, so that a failover, a new password or a restart needs no handling here. The
password is read for each connection; a node that refuses it is asked once more if another one stands there by then.
"""

import asyncio
import importlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum
from typing import Protocol, cast

from runbooks.clients.redis.access import PORT, CacheSettings
from runbooks.clients.secret_source import SecretUnusableError
from runbooks.kit.addresses import joined, split_address
from runbooks.kit.errors import PermanentError, RunbookError, TemporaryError
from runbooks.kit.reasons import ReasonCode
from runbooks.redaction.redactor import Redactor
from runbooks.wording import size

SLOWEST = 5
"""Entries of a node's slow log that are read."""
_THRESHOLD = "slowlog-log-slower-than"


class Ask(Enum):
    """Every command that the bot can send, besides its login. None reads a key, and none changes anything."""

    INFO = ("INFO",)
    CLUSTER = ("CLUSTER", "INFO")
    SHARDS = ("CLUSTER", "SHARDS")
    SLOW = ("SLOWLOG", "GET", str(SLOWEST))
    SLOW_FROM = ("CONFIG", "GET", _THRESHOLD)

    @property
    def shown(self) -> str:
        """Return the command as people type it."""
        return " ".join(self.value)


class _Connection(Protocol):
    """The driver's connection, as far as it is used here."""

    async def connect(self) -> None: ...
    async def send_command(self, *words: str) -> None: ...
    async def read_response(self) -> object: ...
    async def disconnect(self, nowait: bool = ...) -> None: ...


class NoAnswer(TemporaryError):
    """The node did not answer in time: it may be down, or the bot or the network between them slow."""


class NodeSession:
    """A connection that is logged in."""

    def __init__(self, connection: _Connection, address: str, seconds: float) -> None:
        self._connection = connection
        self.address = address
        self._seconds = seconds

    async def ask(self, what: Ask) -> object:
        """Return the node's reply: bytes, a number or a list of them. Raises RunbookError."""
        from redis.exceptions import RedisError

        try:
            async with asyncio.timeout(self._seconds):
                await self._connection.send_command(*what.value)
                return await self._connection.read_response()
        except (
            RedisError,
            OSError,
            ValueError,
            RecursionError,
        ) as error:  # not chained, because it may quote what was sent
            raise _said(error, self.address, self._seconds, what) from None


@asynccontextmanager
async def connected(
    settings: CacheSettings, address: str, redactor: Redactor, *, seconds: float | None = None
) -> AsyncIterator[NodeSession]:
    """Open a connection to the node for one look. Raises RunbookError; `seconds`: instead of the settings' time limits."""
    limit = seconds if seconds is not None else settings.connect_timeout
    host, port = split_address(address)
    name = joined(host, port or PORT)
    password = _password(settings, redactor)
    await asyncio.to_thread(load)
    try:
        connection = await _open(settings, host, port or PORT, password, limit)
    except RunbookError as error:
        again = _password(settings, redactor)
        if error.code is not ReasonCode.CACHE_REFUSED or again == password:
            raise
        connection = await _open(settings, host, port or PORT, again, limit)
    try:
        yield NodeSession(connection, name, seconds if seconds is not None else settings.answer_timeout)
    finally:
        await connection.disconnect(nowait=True)


def _password(settings: CacheSettings, redactor: Redactor) -> str | None:
    if not settings.secret:
        return None
    try:
        found = settings.read_secret()
    except SecretUnusableError as error:
        raise PermanentError(
            f"The cache's password can't be used: {error}.",
            code=ReasonCode.CREDENTIALS_UNUSABLE,
            advice=("Set `secret_variable` or `secret_file` in the `cache` table to where the password is.",),
        ) from None
    redactor.learn([found.encode()])
    return found


def load() -> None:
    """Import the driver; in a thread, since it takes a third of a second, in which everything else would wait."""
    importlib.import_module("runbooks.clients.redis.bounded")
    importlib.import_module("redis.asyncio.connection")


async def _open(settings: CacheSettings, host: str, port: int, password: str | None, seconds: float) -> _Connection:
    from redis.asyncio import connection as redis
    from redis.exceptions import RedisError

    from runbooks.clients.redis.bounded import BoundedParser

    name = joined(host, port)
    made = cast(
        "_Connection",
        redis.Connection(
            host=host,
            port=port,
            username=settings.user,
            password=password,
            socket_timeout=None,
            driver_info=None,
            protocol=2,
            parser_class=BoundedParser,
        )
        if settings.tls == "disable"
        else redis.SSLConnection(
            host=host,
            port=port,
            username=settings.user,
            password=password,
            socket_timeout=None,
            driver_info=None,
            protocol=2,
            parser_class=BoundedParser,
            ssl_cert_reqs="required",
            ssl_check_hostname=True,
            ssl_ca_certs=str(settings.root_certificate) if settings.root_certificate else None,
        ),
    )
    try:
        async with asyncio.timeout(seconds):
            await made.connect()
    except (
        RedisError,
        OSError,
        ValueError,
        RecursionError,
    ) as error:  # not chained, because it may quote what was sent
        await made.disconnect(nowait=True)
        raise _said(error, name, seconds, None, password=password is not None) from None
    except BaseException:
        await made.disconnect(nowait=True)
        raise
    return made


def _said(error: Exception, name: str, seconds: float, what: Ask | None, *, password: bool = True) -> RunbookError:
    """Return the sentence for the driver's error. It is never chained or quoted: it may show what was sent."""
    from redis import exceptions as redis

    match error:
        case TimeoutError() | redis.TimeoutError():
            return NoAnswer(
                f"{name} did not answer within {seconds:g} s.",
                code=ReasonCode.CACHE_UNREACHABLE,
                advice=("Check security groups and network policies.",),
            )
        case redis.BusyLoadingError():
            return _later(f"{name} is loading its data into memory, and answers afterwards.")
        case redis.AuthenticationError() if error.status_code == "NOAUTH" or not password:
            return _refused(
                f"{name} requires a password, and the bot sent none.",
                "Set `secret_variable` or `secret_file` in the `cache` table.",
            )
        case redis.AuthenticationError() | redis.AuthenticationWrongNumberOfArgsError():
            return _refused(
                f"{name} rejects the bot's user or password.",
                "Compare `user` and the password with the server's ACL (`ACL LIST`).",
            )
        case redis.NoPermissionError():
            command = f" `{what.shown}`" if what is not None else " this"
            return _refused(
                f"{name} does not let the bot's user send{command}.",
                f"As its administrator: `ACL SETUSER NAME +{_right(what)}`." if what is not None else "",
            )
        case redis.MovedError() | redis.AskError():
            return _later(f"{name} redirects the bot to another node: the cluster is being resharded.")
        case redis.ClusterDownError():
            return _later(f"{name} says that the cluster is down: not every slot has a node.")
        case redis.ResponseError():
            command = f" `{what.shown}`" if what is not None else " the login"
            return _refused(f"{name} does not accept{command}.")
        case redis.InvalidResponse() | ValueError() | RecursionError():
            return _later(f"{name} does not speak the Redis protocol.", "Check its port, and whether it wants TLS.")
    return _unreachable(error, name)


def _unreachable(error: Exception, name: str) -> RunbookError:
    """Return the sentence for a connection that did not come about, or ended; the driver has wrapped the system's error."""
    from runbooks.clients.redis.bounded import LARGEST, ReplyTooLong

    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    for each in chain:
        match each:
            case ReplyTooLong():
                return _later(f"{name} answers with more than {size(LARGEST)}, which is not read.")
            case ssl.SSLCertVerificationError():
                return _refused(
                    f"{name}: its certificate can't be verified ({each.verify_message}).",
                    "Set `root_certificate`, and use the name that is in the certificate.",
                )
            case ssl.SSLError():
                return _refused(f"{name} does not speak TLS, or not the bot's version of it.")
            case FileNotFoundError() | PermissionError():
                return _refused("The file that `root_certificate` names can't be read.")
            case ConnectionRefusedError():
                return _later(f"{name} refuses the connection: nothing listens there.")
            case OSError() if each.__class__.__name__ == "gaierror":
                return _later(
                    f"{name} can't be found: its name does not resolve.", "Check `nodes` in the `cache` table."
                )
    return _later(f"{name} ended the connection.")


def _right(what: Ask) -> str:
    return "|".join(each.lower() for each in what.value[:2]) if len(what.value) > 1 else what.value[0].lower()


def _later(sentence: str, advice: str = "") -> RunbookError:
    return TemporaryError(sentence, code=ReasonCode.CACHE_UNREACHABLE, advice=(advice,) if advice else ())


def _refused(sentence: str, advice: str = "") -> RunbookError:
    return PermanentError(sentence, code=ReasonCode.CACHE_REFUSED, advice=(advice,) if advice else ())
