"""The part of a deploy or a rollback that is about the database's schema."""

from runbooks.kit.train import Part, Train
from runbooks.migrations.migrating import plan_going_on
from runbooks.migrations.settings import MigrationSettings
from runbooks.migrations.undoing import plan_going_back


async def plan_part(train: Train) -> Part:
    """Return what is done about the schema, and what people should know of it before they approve."""
    settings = train.find(MigrationSettings)
    if settings is None:
        return Part(not_done=() if train.going_back else ("migrations (not configured)",))
    return await (plan_going_back if train.going_back else plan_going_on)(train, settings)
