"""`backups`: how good the backups of the database and of the configuration are, and when a restore was last proved."""

import shlex

from commands.kit.card import (
    Button,
    Card,
    Fact,
    Facts,
    Moment,
    OpenForm,
    Paragraph,
    State,
    Strong,
    Table,
    Text,
    sentence,
    words,
)
from commands.kit.command import Observation
from commands.kit.context import Context
from commands.kit.spec import CHANNEL_DEFAULT, QueryMeta, option
from commands.kit.types import EnvironmentName
from runbooks.backups.looking import Backups, BackupsState, Judgement, look
from runbooks.clients.aws.rds import SnapshotState

_LISTED = 10
_SIGNS = {True: "🟢", False: "🔴", None: "🟡"}


class BackupsCommand(Observation):
    """Show the backups: the newest snapshots of the database, the configuration's backup, and the last proved restore."""

    tool = "aws"
    meta = QueryMeta(permission="database:read", examples=["", "--env staging"], name="backups")

    env: EnvironmentName = option("where", default=CHANNEL_DEFAULT)

    async def by_hand(self, context: Context) -> tuple[str, ...]:
        settings = context.use(Backups, "backups").settings
        region = ["--region", settings.region] if settings.region else []
        bucket = (
            [shlex.join(["aws", "s3", "ls", f"s3://{settings.bucket}/{settings.prefix}", "--recursive"])]
            if settings.bucket
            else []
        )
        snapshots = ["aws", "rds", "describe-db-snapshots", "--db-instance-identifier", settings.instance, *region]
        return (shlex.join(snapshots), *bucket)

    async def answer(self, context: Context) -> Card:
        found = await look(context.use(Backups, "backups"), context.fleet, context.where, context.now)
        where = context.where.name
        judged = {"Database": found.snapshot, "Configuration": found.configuration, "Last restore": found.restore}
        bad = [name.lower() for name, each in judged.items() if each.good is False]
        unknown = [name.lower() for name, each in judged.items() if each.good is None]
        text = f"Backups of {where}: {_summary(bad, unknown)}"
        advice = tuple(Paragraph(text=sentence(each.advice)) for each in judged.values() if each.advice)
        facts = tuple(Fact(label=name, value=_said(each)) for name, each in judged.items())
        table = (_table(found),) if found.snapshots else ()
        return Card(
            state=State.FAILED if bad else State.WAITING if unknown else State.DONE,
            title=words(Strong(text=text)),
            summary=text,
            body=(Facts(facts=facts), *advice, *table),
            buttons=(
                Button(label="Restore drill…", does=OpenForm(command="db drill", filled={"env": where})),
                Button(label="Restore…", style="danger", does=OpenForm(command="db restore", filled={"env": where})),
            ),
            data={"environment": where, **found.model_dump(mode="json")},
        )


def _summary(bad: list[str], unknown: list[str]) -> str:
    said = [f"not good enough: {', '.join(bad)}"] if bad else []
    said += [f"unknown: {', '.join(unknown)}"] if unknown else []
    return "; ".join(said) or "all good"


def _said(found: Judgement) -> Text:
    return words(f"{_SIGNS[found.good]} {found.evidence}")


def _table(found: BackupsState) -> Table:
    rows = tuple(_row(each) for each in found.snapshots[:_LISTED])
    return Table(columns=("Snapshot", "Kind", "Status", "Encrypted", "Taken"), rows=rows)


def _row(found: SnapshotState) -> tuple[Text, ...]:
    return (
        words(found.id),
        words(found.kind),
        words(found.status),
        words("yes" if found.encrypted else "no"),
        words(Moment(at=found.at, form="date-time")) if found.at is not None else words(""),
    )
