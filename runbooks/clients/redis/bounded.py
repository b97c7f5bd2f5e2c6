"""The driver's parser of replies, with a limit: a node that answers without end is not read to its end. Imports the driver."""

from redis._parsers import _AsyncRESP2Parser
from redis.exceptions import ConnectionError as LostConnection

LARGEST = 1 << 20
"""Bytes of one look: `INFO` has some ten thousand, a list of hundreds of nodes some hundred thousand."""

_PART = 32
"""Bytes that each line counts for besides its own: many small parts take time and memory too."""


class ReplyTooLong(LostConnection):
    """The node answers more than is read."""


class BoundedParser(_AsyncRESP2Parser):
    """Reads so many bytes of a connection and no more."""

    _left = LARGEST

    async def _read(self, length: int) -> bytes:
        self._count(length)
        return await super()._read(length)

    async def _readline(self) -> bytes:
        line = await super()._readline()
        self._count(_PART + len(line))
        return line

    def _count(self, length: int) -> None:
        self._left -= length
        if self._left < 0:
            raise ReplyTooLong
