"""`evidence RUN`: what was kept of the pods before they went away: their state, events and last log lines."""

from datetime import datetime

from commands.kit.card import (
    Attachment,
    Button,
    Card,
    Code,
    Moment,
    Note,
    Preformatted,
    Strong,
    Typed,
    words,
)
from commands.kit.command import Query
from commands.kit.context import Context
from commands.kit.spec import QueryMeta, argument
from commands.kit.types import RunId
from commands.kit.visible_environments import must
from runbooks.diagnosis import evidence
from runbooks.wording import counted

_SHOWN = 15
"""Lines that stand in the message itself; all of it is in the file."""


class Evidence(Query):
    """Show what was saved of a run's pods before they were removed: state, events and last log lines, redacted."""

    meta = QueryMeta(permission="logs:read", examples=["7KQ2"])

    run: RunId = argument("the run's id, shown on its card")

    async def answer(self, context: Context) -> Card:
        record = await context.runs.find(self.run)
        await must(context, "logs:read", record.environment)
        found = await evidence.find(context.cluster, context.environments[record.environment], record.id)
        run = Code(text=record.short)
        if found is None:
            text = f"No evidence was saved with run {record.short}: {record.title}"
            why = (
                f"Evidence is saved before a rollback and after a failed run; the newest {evidence.KEPT_RUNS} are kept."
            )
            return Card(
                title=words(text),
                summary=text,
                body=(Note(text=words(why)),),
                data={"run": record.id, "kept": False},
            )
        lines = found.text.splitlines()
        text = f"Saved with {record.title}: {found.summary}"
        return Card(
            title=words(Strong(text=text), " · run ", run),
            summary=text,
            body=(
                Preformatted(text="\n".join(lines[:_SHOWN])),
                Attachment(
                    filename=f"evidence-{record.short.lower()}.txt",
                    content=found.text,
                    summary=f"All {counted(len(lines), 'line')}",
                ),
                Note(text=words("Saved ", Moment(at=datetime.fromisoformat(found.at), form="date-time", age=True))),
            ),
            buttons=(Button(label="Run", does=Typed(text=f"runs {record.id}")),),
            data={"run": record.id, "kept": True, "summary": found.summary, "lines": len(lines)},
        )
