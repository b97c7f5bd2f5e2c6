"""A number's limit, and how both are shown."""

from typing import Literal

from pydantic import Field

from runbooks.kit.targets import Frozen
from runbooks.wording import measured


class Limit(Frozen):
    """One number that must be within a limit."""

    name: str = Field(min_length=1, max_length=60)
    """Name shown to people."""
    limit: float = Field(allow_inf_nan=False)
    """The value must be lower (`must_be = "below"`), or at least this (`must_be = "at-least"`)."""
    must_be: Literal["below", "at-least"] = "below"
    """Which side of the limit is good."""
    unit: str = Field(default="", max_length=20)
    """Shown behind the value: `ms`, `%`."""
    required: bool = True
    """False: a result outside of the limit is shown as a warning."""

    def within(self, value: float) -> bool:
        """Return whether the value is on the good side."""
        return value >= self.limit if self.must_be == "at-least" else value < self.limit

    def shown(self, value: float | None) -> str:
        """Return a value as people read it."""
        return "unknown" if value is None else measured(value, self.unit)

    @property
    def limit_shown(self) -> str:
        """Return the limit as people read it."""
        return f"{'<' if self.must_be == 'below' else '≥'} {f'{self.limit:g} {self.unit}'.strip()}"
