"""The configuration, from the models that read it: each setting, its type, its default, and what stands below it in the code."""

import ast
import inspect
from collections.abc import Iterator
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from bot import config
from bot.reference.markdown import code, page, table
from commands.kit import policy


def configuration() -> str:
    """`omnicare.toml`, table by table, and the environment's variables."""
    found = list(sections(config.Settings, ""))
    variables = table(
        ("Variable", "Sets"),
        [
            *((code(name), code(".".join(path))) for name, path in config.FROM_ENVIRONMENT.items()),
            (
                code(config.CONFIG_VARIABLE),
                "path of `omnicare.toml`; default: the current directory, then `/etc/omnicare`",
            ),
            (code("OMNICARE_SOCKET"), "the running bot's socket, for terminals; default: from the configuration"),
            (code("KUBECONFIG"), "`environments.NAME.cluster.kubeconfig` where the file has none"),
            (code("REGISTRY"), "`$REGISTRY` at the beginning of a service's `repository`"),
            (code("CLOUDFRONT_DISTRIBUTION_ID"), "`environments.NAME.cdn.distribution` where the table `cdn` has none"),
            (code("AWS_PROFILE"), "the profile of AWS's own configuration files, as for its other tools"),
            (code("NO_COLOR"), "no colour in a terminal"),
        ],
    )
    return page(
        "Configuration",
        "`omnicare.toml`. Unknown keys are refused, durations are in seconds, and nothing is allowed unless it is listed. "
        "`omnicare doctor` checks it against the real systems.",
        *(_section(name, model) for name, model in found),
        *_plain_tables(),
        "## Variables",
        "They override the file. Secrets are never in the file.",
        variables,
    )


def _plain_tables() -> Iterator[str]:
    """Tables of the file that are only names and values."""
    told = told_below(config.Settings)
    for key, field in config.Settings.model_fields.items():
        if get_origin(field.annotation) is dict and not any(True for _ in _models(field.annotation)):
            yield f"## `[{key}]`\n\n{told.get(key, '')}"


def sections(model: type[BaseModel], name: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """Each table of the file, the nested ones after the one that holds them."""
    if name == "":
        for key, field in model.model_fields.items():
            yield from _nested(key, field)
        return
    yield name, model
    for key, field in model.model_fields.items():
        yield from _nested(f"{name}.{key}", field)


def _nested(name: str, field: FieldInfo) -> Iterator[tuple[str, type[BaseModel]]]:
    for model, many in _models(field.annotation):
        yield from sections(model, name + many)


def _models(annotation: Any) -> Iterator[tuple[type[BaseModel], str]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, ""
    elif get_origin(annotation) is dict:
        key, value = get_args(annotation)
        name = "RISK" if key is policy.Risk else "NAME"
        yield from ((model, f".{name}") for model, _ in _models(value))
    elif get_origin(annotation) is tuple:
        yield from ((model, "[]") for model, _ in _models(get_args(annotation)[0]))
    elif get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            yield from _models(member)


def _section(name: str, model: type[BaseModel]) -> str:
    """A table of the file: what must be set first, then the rest in the order of the source."""
    told = told_below(model)
    about = inspect.getdoc(model) or ""
    rows = [
        (code(key), _type(field), _default(field), told.get(key, ""))
        for key, field in sorted(model.model_fields.items(), key=lambda each: not each[1].is_required())
        if not field.exclude and not any(True for _ in _models(field.annotation))
    ]
    parts = [f"## `[{'[' + name[:-2] + ']' if name.endswith('[]') else name}]`", about]
    if rows:
        parts.append(table(("Setting", "Type", "Default", "Meaning"), rows))
    return "\n\n".join(parts)


def told_below(model: type[BaseModel]) -> dict[str, str]:
    """The text that stands below each field in the source, which Python itself forgets; base classes too."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if not issubclass(each, BaseModel) or each is BaseModel:
            continue
        (tree,) = ast.parse(inspect.cleandoc("\n" + inspect.getsource(each))).body
        assert isinstance(tree, ast.ClassDef)
        for before, after in zip(tree.body, tree.body[1:], strict=False):
            if (
                isinstance(before, ast.AnnAssign)
                and isinstance(before.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                found[before.target.id] = inspect.cleandoc(after.value.value)
    return found


_NAMES = {str: "text", int: "number", float: "number", bool: "true or false"}


def _type(field: FieldInfo) -> str:
    return _named(field.annotation)


def _named(annotation: Any) -> str:
    if annotation in _NAMES:
        return _NAMES[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is tuple:
        return f"list of {_named(arguments[0])}"
    if origin is dict:
        return f"table: {_named(arguments[0])} = {_named(arguments[1])}"
    if origin in (Union, UnionType):
        return " or ".join(_named(each) for each in arguments if each is not type(None))
    if hasattr(annotation, "__metadata__"):
        return _named(annotation.__origin__)
    return str(getattr(annotation, "__name__", annotation)).lower()


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is None or default is PydanticUndefined or default in ((), {}):
        return ""
    return code(str(default).lower() if isinstance(default, bool) else str(default))
