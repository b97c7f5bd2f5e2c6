"""Shell completion: a script for bash, zsh or fish, made from the registry.

The words stand in the script itself, so pressing Tab starts nothing; `omnicare completion …` again brings it up to date.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from commands.kit.registry import Registry
from commands.kit.spec import CommandSpec, Parameter
from commands.kit.types import Known

if TYPE_CHECKING:
    from bot.config import Settings

_HERE_OPTIONS = {
    "sandbox": ("--demo", "--reset", "--port", "--kubeconfig", "--no-page"),
    "generate": ("--check", "--root"),
    "completion": ("bash", "zsh", "fish"),
}
_EVERYWHERE = ("--json", "--no-follow", "--config", "--socket", "--as", "--help")


def script(shell: str, registry: Registry, settings: "Settings | None", here: Mapping[str, str]) -> str:
    """The script for that shell; with `settings` the names of environments, services and people are known to it.

    `here`: the commands that this machine runs itself, and what they do.
    """
    known = _known(registry, settings)
    writers = {"bash": _bash, "zsh": _zsh, "fish": _fish}
    return writers[shell](registry, known, _summaries(registry, here))


def _known(registry: Registry, settings: "Settings | None") -> Known:
    if settings is None:
        return Known(commands=registry.names())
    services = {service.name for each in settings.environments.values() for service in each.services}
    return Known(
        environments=tuple(settings.environments),
        services=tuple(sorted(services)),
        commands=registry.names(),
        people=tuple(settings.people),
        regions=settings.regions(),
        scripts=settings.scripts(),
        versions=settings.bot.versions,
    )


def _summaries(registry: Registry, here: Mapping[str, str]) -> dict[str, str]:
    """First words and what they do."""
    found = {name: about for name, about in here.items() if " " not in name}
    for spec in registry:
        first, _, second = spec.name.partition(" ")
        found.setdefault(first, "" if second else spec.summary)
    return dict(sorted(found.items()))


def _words_after(registry: Registry, known: Known) -> dict[str, tuple[str, ...]]:
    """First word → what may follow it."""
    found = {name: list(options) for name, options in _HERE_OPTIONS.items()}
    for spec in registry:
        first, _, second = spec.name.partition(" ")
        found.setdefault(first, []).extend([*filter(None, [second]), *_options(spec), *_arguments(spec, known)])
    found.setdefault("audit", []).append("verify")
    return {name: tuple(dict.fromkeys(words)) for name, words in sorted(found.items())}


def _options(spec: CommandSpec) -> list[str]:
    return [parameter.flag for parameter in spec.parameters if not parameter.positional]


def _arguments(spec: CommandSpec, known: Known) -> list[str]:
    return [value for parameter in spec.parameters if parameter.positional for value in _values(parameter, known)]


def _values(parameter: Parameter, known: Known) -> tuple[str, ...]:
    if parameter.choices:
        return parameter.choices
    return parameter.type.suggestions(known) if parameter.type else ()


def _option_values(registry: Registry, known: Known) -> dict[str, tuple[str, ...]]:
    """Option → its values; the same option means the same everywhere."""
    found: dict[str, tuple[str, ...]] = {"--as": known.people}
    for spec in registry:
        for parameter in spec.parameters:
            if not parameter.positional and parameter.type is not None:
                found[parameter.flag] = tuple(
                    dict.fromkeys((*found.get(parameter.flag, ()), *_values(parameter, known)))
                )
    return dict(sorted(found.items()))


def _bash(registry: Registry, known: Known, summaries: Mapping[str, str]) -> str:
    values = "".join(
        f'    {option}) COMPREPLY=($(compgen -W "{" ".join(words)}" -- "$current")); return ;;\n'
        for option, words in _option_values(registry, known).items()
    )
    after = "".join(
        f'    {name}) words="{" ".join(words)}" ;;\n' for name, words in _words_after(registry, known).items()
    )
    return f"""# bash completion for omnicare: source it, or put it where bash-completion looks.
_omnicare() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
  case "$previous" in
    --config|--socket|--kubeconfig) COMPREPLY=($(compgen -f -- "$current")); return ;;
{values}  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{" ".join(summaries)} {" ".join(_EVERYWHERE)}" -- "$current"))
    return
  fi
  case "${{COMP_WORDS[1]}}" in
{after}  esac
  COMPREPLY=($(compgen -W "$words {" ".join(_EVERYWHERE)}" -- "$current"))
}}
complete -F _omnicare omnicare
"""


def _quoted(text: str) -> str:
    """For zsh and fish, inside single quotes."""
    return text.replace("\\", "\\\\").replace("'", "’").replace(":", " -")  # noqa: RUF001 - an apostrophe that ends no quote


def _zsh(registry: Registry, known: Known, summaries: Mapping[str, str]) -> str:
    first = "\n".join(f"    '{name}:{_quoted(about)}'" for name, about in summaries.items())
    values = "".join(
        f"    {option}) compadd -- {' '.join(words)}; return ;;\n"
        for option, words in _option_values(registry, known).items()
    )
    after = "".join(
        f"    {name}) compadd -- {' '.join(words)} ;;\n" for name, words in _words_after(registry, known).items()
    )
    return f"""#compdef omnicare
# zsh completion for omnicare: save it as _omnicare in a directory of $fpath.
_omnicare() {{
  local -a first
  first=(
{first}
  )
  case "${{words[CURRENT-1]}}" in
    --config|--socket|--kubeconfig) _files; return ;;
{values}  esac
  if (( CURRENT == 2 )); then
    _describe 'command' first
    compadd -- {" ".join(_EVERYWHERE)}
    return
  fi
  case "${{words[2]}}" in
{after}  esac
  compadd -- {" ".join(_EVERYWHERE)}
}}
compdef _omnicare omnicare
"""


def _fish(registry: Registry, known: Known, summaries: Mapping[str, str]) -> str:
    lines = [
        "# fish completion for omnicare: save it as omnicare.fish in ~/.config/fish/completions.",
        "complete -c omnicare -f",
    ]
    lines += [
        f"complete -c omnicare -n __fish_use_subcommand -a '{name}' -d '{_quoted(about)}'"
        for name, about in summaries.items()
    ]
    values = _option_values(registry, known)
    for name, words in _words_after(registry, known).items():
        seen = f"-n '__fish_seen_subcommand_from {name}'"
        for word in words:
            if not word.startswith("--"):
                lines.append(f"complete -c omnicare {seen} -a '{word}'")
            elif word in values:
                lines.append(f"complete -c omnicare {seen} -l {word[2:]} -x -a '{' '.join(values[word])}'")
            else:
                lines.append(f"complete -c omnicare {seen} -l {word[2:]}")
    for option in _EVERYWHERE:
        takes = " -r -F" if option in ("--config", "--socket") else " -x" if option == "--as" else ""
        lines.append(f"complete -c omnicare -l {option[2:]}{takes}")
    return "\n".join(lines) + "\n"
