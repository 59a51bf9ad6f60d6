"""How much longer `import gradsmith` takes than `import numpy`: medians of processes in turns.

python .ci/import_time.py [runs]
"""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

CODE = {"numpy": "import numpy", "gradsmith": "import numpy, gradsmith", "nothing": "pass"}


def main() -> None:
    """Prints the medians."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    times: dict[str, list[float]] = {name: [] for name in CODE}
    for _ in range(runs + 2):  # the first two fill the caches
        for name, code in CODE.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times[name].append(time.perf_counter() - start)
    m = {name: median(taken[2:]) * 1e3 for name, taken in times.items()}
    print(f"python {m['nothing']:.1f} ms, with numpy {m['numpy']:.1f} ms")
    print(f"import gradsmith adds {m['gradsmith'] - m['numpy']:.1f} ms to import numpy")


if __name__ == "__main__":
    main()
