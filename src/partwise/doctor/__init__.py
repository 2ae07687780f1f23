"""Look at the place where a run would happen, before anything is paid: each finding is good, or says the mend."""

from partwise.doctor.checks import Check, State
from partwise.doctor.config import DoctorConfig
from partwise.doctor.examining import examine

__all__ = ["Check", "DoctorConfig", "State", "examine"]
