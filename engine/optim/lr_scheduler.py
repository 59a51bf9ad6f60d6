"""Learning rates that follow a schedule: each sets its optimizer's "lr" at every step()."""

from . import combined, cycles, schedules
from .combined import *
from .cycles import *
from .schedules import *

__all__ = [*schedules.__all__, *cycles.__all__, *combined.__all__]
