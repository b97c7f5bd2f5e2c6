"""The gates that an environment has. A new gate is a class, and a line here."""

from runbooks.gates.clinical_work import SyncBacklog
from runbooks.gates.gate import Gate
from runbooks.gates.images import ImagesExist
from runbooks.gates.promotion import Promoted
from runbooks.gates.settings import GateSettings
from runbooks.gates.windows import OpenWindow


def gates_of(settings: GateSettings) -> tuple[Gate, ...]:
    """Return the gates that the environment has, in the order of the checklist."""

    def required(key: str) -> bool:
        return key not in settings.advisory

    gates: list[Gate] = []
    if settings.images:
        gates.append(ImagesExist(required=required("images")))
    if settings.promoted_from is not None:
        gates.append(Promoted(required=required("promotion")))
    if settings.windows is not None:
        gates.append(OpenWindow(settings=settings.windows, required=required("time")))
    if settings.sync is not None:
        gates.append(SyncBacklog(settings=settings.sync, required=required("sync")))
    return tuple(gates)
