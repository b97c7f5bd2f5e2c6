"""Commands and permissions, from the registry and the tables beside them."""

from bot.config import Settings
from bot.doctor.access import NEEDED, Where
from bot.policy.permissions import PERMISSIONS
from bot.reference.manual import HERE
from bot.reference.markdown import code, page, table
from commands.kit.registry import Registry
from commands.kit.spec import CHANNEL_DEFAULT, CommandSpec, Kind, Parameter
from commands.kit.types import DurationType

_KINDS = {
    Kind.QUERY: "Query: reads and changes nothing.",
    Kind.OPERATION: "Operation: has a plan, an approval and a run; `--dry-run` shows the plan only.",
    Kind.DECISION: "Decision: acts on a run or on the fleet's record.",
}


def commands(registry: Registry) -> str:
    """Every command, in Slack and in a terminal alike."""
    menu = table(
        ("Command", "What it does"), ((f"[`{spec.name}`](#{_anchor(spec)})", spec.summary) for spec in registry)
    )
    here = table(("Command", "What it does"), ((code(f"omnicare {name}"), about) for name, about in HERE.items()))
    return page(
        "Commands",
        "Typed as `/omnicare COMMAND …` in Slack, `@omnicare COMMAND …` in a thread, `omnicare COMMAND …` in a terminal: "
        "the syntax is the same everywhere.",
        menu,
        "In a terminal only, for the local machine (`omnicare COMMAND --help` explains each):",
        here,
        "Before or after any command, a terminal accepts `--json` (one JSON document, or one per line while a run is followed), "
        "`--no-follow`, `--config FILE`, `--socket PATH`, and in a sandbox `--as PERSON`. "
        "Exit status: 0 done, 1 failed, 2 typed wrong, 3 denied; 130 if Ctrl-C left a run going.",
        *(_command(spec) for spec in registry),
    )


def _anchor(spec: CommandSpec) -> str:
    return spec.name.replace(" ", "-")


def _command(spec: CommandSpec) -> str:
    facts = [_KINDS[spec.kind]]
    facts.append(
        f"Permission: {code(spec.permission)}."
        if spec.permission
        else "No permission needed: all listed people may use it."
    )
    if spec.risk:
        facts.append(f"Risk: {spec.risk}.")
    if spec.aliases:
        facts.append(f"Also typed as {', '.join(map(code, spec.aliases))}.")
    shown = spec.parameters
    parts = [
        f"## {spec.name}",
        f"{spec.summary}.",
        spec.description,
        f"```text\nomnicare {spec.usage}\n```",
        " ".join(facts),
        table(("Argument", "Meaning", "Default"), map(_parameter, shown)) if shown else "",
        "```text\n" + "\n".join(f"omnicare {spec.name} {example}".strip() for example in spec.examples) + "\n```",
    ]
    return "\n\n".join(part for part in parts if part)


def _parameter(parameter: Parameter) -> tuple[str, str, str]:
    if parameter.required:
        default = "required"
    elif parameter.default in (None, False, ()):
        default = ""
    elif parameter.default == CHANNEL_DEFAULT:
        default = "the channel's or the terminal's environment"
    elif isinstance(parameter.type, DurationType):
        default = code(parameter.type.typed(parameter.default))
    else:
        default = code(str(parameter.default))
    return code(parameter.bare), parameter.help, default


def permissions(registry: Registry) -> str:
    """What a role can be given, and what the bot itself needs elsewhere."""
    from bot.surfaces.slack.manifest import APP_REASON, APP_SCOPE, EVENTS, SCOPES

    return page(
        "Permissions",
        "## People",
        "Granted to roles per environment in `omnicare.toml`; nothing is allowed unless it is granted.",
        table(
            ("Permission", "Allows to", "Needed by"),
            (
                (code(name), permission.about, ", ".join(map(code, _asked_by(registry, name))))
                for name, permission in PERMISSIONS.items()
            ),
        ),
        "Commands that are not named there need no permission of their own: all listed people may type them, and the "
        "run or lock that they act on decides.",
        "## The bot in Kubernetes",
        f"In each environment's namespace (`services`; with those tables also `rotations` and `configuration`, for `manifests`) and in the bot's "
        f"own (`record`, otherwise {_record_namespace()}). "
        "`omnicare doctor` checks each line.",
        table(
            ("Where", "Permission", "Reason"),
            ((each.where, code(each.shown), each.reason) for each in sorted(NEEDED, key=_by_place)),
        ),
        "## The bot in Slack",
        f"Bot token scopes. In addition, the app-level token has {code(APP_SCOPE)}: {APP_REASON[0].lower()}{APP_REASON[1:]}",
        table(("Scope", "Reason"), ((code(scope), reason) for scope, reason in SCOPES.items())),
        table(("Event", "Reason"), ((code(event), reason) for event, reason in EVENTS.items())),
    )


def _asked_by(registry: Registry, permission: str) -> list[str]:
    """Commands, and options that have a permission of their own."""
    options = [(spec, option) for spec in registry for option in spec.parameters if option.permission == permission]
    return [
        *(spec.name for spec in registry if spec.permission == permission),
        *(f"{spec.name} {option.flag}" for spec, option in options),
    ]


def _by_place(access: object) -> int:
    return list(Where).index(access.where)  # type: ignore[attr-defined] # an Access


def _record_namespace() -> str:
    field = Settings.model_fields["environments"].annotation
    found = field.__args__[1].model_fields["record_namespace"].default  # type: ignore[union-attr] # a dict of tables
    return code(str(found))
