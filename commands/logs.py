"""`logs SERVICE`: the last lines of a service's pods, merged in time order and redacted."""

import re
from typing import Annotated

from commands.kit.card import Attachment, Button, Card, Element, Note, Preformatted, Strong, Typed, words
from commands.kit.context import Context
from commands.kit.spec import CHANNEL_DEFAULT, argument, option, query
from commands.kit.types import Duration, EnvironmentName, NumberType, Regex, ServiceName
from runbooks.logs import Tail, tail

_IN_MESSAGE = 20
"""Lines that stand in the message itself; more go to a file in the thread."""


@query(permission="logs:read", examples=["backend", "backend --since 15m --grep timeout"])
class Logs:
    """Read a service's logs: all pods merged in time order, secrets and patient data removed."""

    service: ServiceName = argument("whose logs")
    tail: Annotated[int, NumberType(low=1, high=5000)] = option("lines at most, over all pods", default=100)
    since: Duration | None = option("only what is younger")
    grep: Regex | None = option("only lines that match this pattern (RE2)")
    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def run(self, context: Context) -> Card:
        found = await tail(
            context.cluster, context.where, self.service, tail=self.tail, since_seconds=self.since, grep=self.grep
        )
        lines = [f"{line.pod} {line.text}" for line in found.lines]
        count = len(lines)
        what = f"{count} {'line' if count == 1 else 'lines'} of {self.service} in {context.where.name}"
        body: list[Element] = []
        if count > _IN_MESSAGE:
            body.append(Preformatted(label=f"The last {_IN_MESSAGE}", text="\n".join(lines[-_IN_MESSAGE:])))
            body.append(
                Attachment(
                    filename=f"{self.service}-{context.now:%H%M%S}.log",
                    content="\n".join(lines) + "\n",
                    summary=f"All {count} lines",
                )
            )
        elif lines:
            body.append(Preformatted(text="\n".join(lines)))
        body += [Note(text=words(note)) for note in _notes(found, self.tail)]
        return Card(
            title=words(Strong(text=what)),
            summary=what,
            body=tuple(body),
            buttons=(Button(label="Again", does=Typed(text=self._typed(context.where.name))),),
            data={"service": self.service, "lines": lines, "left_out": found.left_out, "silent": list(found.silent)},
        )

    def _typed(self, where: str) -> str:
        options = [f"--tail {self.tail}"]
        if self.since:
            options.append(f"--since {self.since}s")
        if self.grep:
            # a quotation mark can't be typed inside of others; as a pattern it has another name
            pattern = re.sub(r'\\(.)|"', lambda found: found[0] if found[1] not in (None, '"') else r"\x22", self.grep)
            options.append(f'--grep="{pattern}"')
        return " ".join(["logs", self.service, *options, f"--env {where}"])


def _notes(found: Tail, tail: int) -> list[str]:
    notes: list[str] = []
    if found.left_out:
        notes.append(f"{found.left_out} older lines are left out; --tail {min(5000, tail * 5)} shows more.")
    notes += [f"{pod} did not answer: {why}" for pod, why in found.silent]
    if not found.lines and not found.silent:
        notes.append("No line matches.")
    return notes
