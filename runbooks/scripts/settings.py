"""The tables `[environments.NAME.scripts.SCRIPT]`: a closed set of programs, with fixed words or one word of a closed set."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from runbooks.clients.kubernetes.jobs import SecretVariable
from runbooks.kit.programs import plain
from runbooks.kit.targets import Frozen

PLACE = "$argument"
"""The word of a script that stands for the chosen one."""
Choice = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9@%+=:,./_-]{0,99}$")]


class ConfiguredScript(Frozen):
    """One script. No shell reads its words, and typed text is never one of them unless it is listed in `choices`."""

    words: tuple[str, ...] = Field(min_length=1, max_length=20)
    """The program and its arguments, plain words: `["npm", "run", "--silent", "cache:warm", "--", "$argument"]`."""
    about: str = Field(default="", max_length=120)
    """What it does, for `help run`."""
    service: str = "backend"
    """The service in whose pods it runs, or whose running image it runs from."""
    runs: Literal["in-pod", "as-job"] = "in-pod"
    """`in-pod`: in a ready pod of the service. `as-job`: as a Job from the image that runs."""
    choices: tuple[Choice, ...] = Field(default=(), max_length=50)
    """What may be typed after its name; it replaces the word `$argument`."""
    changes: bool = True
    """Whether it changes anything. One that only reads (`false`) needs no approval, and waits for no run and no lock."""
    risk: Literal["reversible", "disruptive", "destructive"] = "reversible"
    """Decides whose approval it needs, if it changes something."""
    permission: str | None = None
    """What the requester needs besides `script:run`, such as `database:restore`."""
    seconds: int = Field(default=60, gt=0, le=3600)
    """Time limit; in a pod at most 600."""
    secrets: tuple[SecretVariable, ...] = ()
    """Of a Job: environment variables from Secrets, `{variable = "…", secret = "…", key = "…"}`. A pod has its own."""

    @field_validator("words")
    @classmethod
    def _plain(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        plain(tuple(word for word in words if word != PLACE))
        if any(PLACE in word and word != PLACE for word in words) or words[0] == PLACE:
            raise ValueError(f"`{PLACE}` must be a word of its own, and not the first")
        return words

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (PLACE in self.words) != bool(self.choices):
            raise ValueError(f"`choices` and the word `{PLACE}` belong together: set both or neither")
        if self.runs == "in-pod" and self.secrets:
            raise ValueError('secrets: a script in a pod has that pod\'s variables; use `runs = "as-job"`')
        if self.runs == "in-pod" and self.seconds > 600:  # noqa: PLR2004 - a connection that waits for longer breaks
            raise ValueError('seconds: in a pod at most 600; use `runs = "as-job"`')
        return self

    def program(self, choice: str | None) -> tuple[str, ...]:
        """Return the words as they are run; `choice` is one of `choices`."""
        return tuple(choice or "" if word == PLACE else word for word in self.words)

    def programs(self) -> tuple[tuple[str, ...], ...]:
        """Return every program that it may be."""
        return tuple(map(self.program, self.choices)) if self.choices else (self.words,)


class Scripts:
    """The scripts of one environment, by name."""

    def __init__(self, scripts: Mapping[str, ConfiguredScript]) -> None:
        self.by_name = dict(scripts)
