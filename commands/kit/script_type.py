"""The types of a configured script's name and of its argument."""

from collections.abc import Mapping
from typing import Any

from commands.kit.types import Invalid, Known, TextType, choose


class ScriptType:
    """The name of a configured script."""

    name = "script"
    example = "cache-warm"

    def parse(self, text: str, known: Known) -> str:
        if not known.scripts:
            raise Invalid("No scripts are configured. The maintainers of `omnicare.toml` can name some.")
        return choose("script", text.lower(), known.scripts)

    def suggestions(self, known: Known) -> tuple[str, ...]:
        return known.scripts


class ScriptArgumentType(TextType):
    """The argument of a configured script: the possible ones depend on the script and the environment."""

    def __init__(self) -> None:
        super().__init__(longest=100, name="argument", example="wards")

    def needed(self, found: Mapping[str, Any], known: Known) -> tuple[str, ...]:
        """Return the arguments of which the named script needs one; none where it takes none."""
        return known.script_arguments.get((str(found.get("env")), str(found.get("script"))), ())
