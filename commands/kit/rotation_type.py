"""The type of a configured rotation's name."""

from commands.kit.types import Known, TextType


class RotationType(TextType):
    """The name of a rotation; the possible ones depend on the environment."""

    def __init__(self) -> None:
        super().__init__(longest=60, name="name", example="jwt")

    def suggestions(self, known: Known) -> tuple[str, ...]:
        return known.rotations
