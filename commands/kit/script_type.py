"""The type of a configured script's name."""

from commands.kit.types import Invalid, Known, choose


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
