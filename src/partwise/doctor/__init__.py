"""Look at the place where a run would happen, before anything is paid: each finding is good, or says the mend."""

from partwise.doctor.checks import Check, State
from partwise.doctor.examining import DoctorConfig, examine

__all__ = ["Check", "DoctorConfig", "State", "examine"]
