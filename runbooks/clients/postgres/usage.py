"""How much of a limit on connections is used."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class DatabaseUsage:
    """So many connections of so many."""

    name: str
    """Whose limit it is: a role, a database; empty for the server's own."""
    used: int
    most: int
    kind: Literal["role", "database"] = "role"

    @property
    def whose(self) -> str:
        """Return it with its kind, since a name alone says little: `role omnicare`."""
        return f"{self.kind} {self.name}"

    @property
    def share(self) -> float:
        """Return how much of it is used, 0 to 1."""
        return self.used / self.most if self.most > 0 else 1.0

    @property
    def left(self) -> int:
        """Return how many more there may be."""
        return max(0, self.most - self.used)
