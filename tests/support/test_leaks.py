"""The look for what must not leave finds it wherever it stands, and does not take digits of a time for it."""

import pytest

from sandbox.sync_queue import PATIENT_DATA
from tests.support.leaks import nothing_shown

MRN = next(value for value in PATIENT_DATA if value.isdigit())


@pytest.mark.parametrize("said", [MRN, f"MRN{MRN}", f'"mrn": "{MRN}",', f"x {MRN}.", f"x\x00{MRN}\x00", f"mrn.{MRN}"])
def test_a_number_of_a_patient_is_found(said: str) -> None:
    with pytest.raises(AssertionError):
        nothing_shown(said)


@pytest.mark.parametrize("said", [f"1795959809.{MRN}", f"17959{MRN}", f"{MRN}5063"])
def test_digits_of_a_longer_number_are_not_one(said: str) -> None:
    nothing_shown(said)
