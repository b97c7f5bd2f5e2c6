"""Unredacted lines for one person at a terminal, in two steps, so that the audit log has what will be read before it is read.

Values of Secrets that the bot itself has read are removed here too, and a pattern does not see them either. What is shown beside
the lines (counts, notes, a node's messages) contains no text of a line, so it may be shown like any other answer.
"""

from dataclasses import dataclass

from runbooks.clients.kubernetes.cluster import ClusterClient
from runbooks.kit.targets import Environment
from runbooks.logs.model import LogLine, LogReading
from runbooks.logs.reading import Asked, LogLimits, read_from, sources_of
from runbooks.logs.sources import LogSources
from runbooks.redaction.redactor import KnownSecrets, default_redactor
from runbooks.redaction.unredacted import Unredacted


@dataclass(frozen=True, slots=True)
class Unread:
    """The streams whose lines will be read; nothing has been read yet."""

    cluster: ClusterClient
    asked: Asked
    found: LogSources

    @property
    def streams(self) -> tuple[str, ...]:
        """Full names, `pod/container`: later pods are not read."""
        return tuple(f"{source.pod}/{source.container}" for source in self.found.found)

    async def read(self, limits: LogLimits | None = None) -> tuple[LogReading, Unredacted[LogLine]]:
        """Return the lines, and the notes beside them."""
        reading = await read_from(self.cluster, self.asked, self.found, _known_secrets, limits)
        beside = reading.groups.model_copy(update={"shapes": (), "rarer": 0})
        return reading.model_copy(update={"lines": (), "groups": beside}), Unredacted(reading.lines)


async def unread(cluster: ClusterClient, environment: Environment, asked: Asked) -> Unread:
    """Find the streams. Raises if there is nothing of that name."""
    return Unread(cluster, asked, await sources_of(cluster, environment, asked))


def _known_secrets() -> KnownSecrets:
    return KnownSecrets(default_redactor())
