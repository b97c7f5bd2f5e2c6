"""Where a person may look, for queries that may go over every environment: nobody sees more by leaving `--env` out.

The dispatcher has asked only whether the person has the permission somewhere.
"""

from commands.kit.context import Context, Denied
from runbooks.kit.reasons import ReasonCode
from runbooks.wording import listed


async def readable(context: Context, permission: str, asked: str | None) -> tuple[str | None, ...]:
    """What to look through: the environment that was asked for, or (None,) for everything, or those where the person may."""
    if asked is not None:
        return (asked,)
    may = [name for name in context.environments if await context.authority.may(context.actor, permission, name)]
    return (None,) if len(may) == len(context.environments) else tuple(may)


async def must(context: Context, permission: str, environment: str) -> None:
    """Raises `Denied` where the person lacks the permission in that environment."""
    if await context.authority.may(context.actor, permission, environment):
        return
    roles = context.authority.roles_with(permission, environment)
    ask = f" People with the role {listed(roles, 'or')} can." if roles else " Nobody can: no role there has it."
    raise Denied(f"You may not look at {environment} (permission {permission}).{ask}", code=ReasonCode.NOT_PERMITTED)
