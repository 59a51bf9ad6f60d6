"""How far each op's results are from the exact ones, beside PyTorch's and NumPy's.

`python -m gradsmith.testing.accuracy --write docs/accuracy.md` measures every op that gives
floating point, in every dtype that it has, on the sample database and on ranges that are hard:
large arguments, cancellation, tails, subnormals, long sums. The exact values come from the
references of `gradsmith.testing.reference`, run in extended precision (80 bits where the processor
has them).
"""

from .measuring import Measured, measure
from .rows import Case, cases

__all__ = ["Case", "Measured", "cases", "measure"]
