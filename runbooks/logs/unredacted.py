"""Lines as they are, for one person at a terminal: in two steps, so that what will be read is in the audit trail before it is read.

Values of Secrets that the bot itself has read are taken out here too, and a pattern does not see them either. What goes beside
the lines (counts, notes, what a node said) has no text of a line in it, so it may go where every other answer goes.
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
    """Whose lines will be read: known, and nothing of them read."""

    cluster: ClusterClient
    asked: Asked
    found: LogSources

    @property
    def streams(self) -> tuple[str, ...]:
        """Whole names, `pod/container`: pods that come later are not read."""
        return tuple(f"{source.pod}/{source.container}" for source in self.found.found)

    async def read(self, limits: LogLimits | None = None) -> tuple[LogReading, Unredacted[LogLine]]:
        """The lines, and what is said beside them."""
        reading = await read_from(self.cluster, self.asked, self.found, _known_secrets, limits)
        beside = reading.groups.model_copy(update={"shapes": (), "rarer": 0})
        return reading.model_copy(update={"lines": (), "groups": beside}), Unredacted(reading.lines)


async def unread(cluster: ClusterClient, environment: Environment, asked: Asked) -> Unread:
    """Raises where there is nothing of that name."""
    return Unread(cluster, asked, await sources_of(cluster, environment, asked))


def _known_secrets() -> KnownSecrets:
    return KnownSecrets(default_redactor())
