"""Two Python threads run forward and backward at once, on a core built with ThreadSanitizer.

    GRADSMITH_SANITIZE=thread pip install . && python .ci/tsan_threads.py

It looks at the thread pool, the allocator and the bindings; a race ends the run with its own exit
code. The results are compared with those of one thread, bit by bit.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading

import numpy as np

STEPS = 6
NO_RANDOM_ADDRESSES = 0x0040000  # what the sanitizer needs: personality(2)


def work(seed: int) -> list[bytes]:
    """A few training steps on arrays large enough for several blocks; the gradients' bytes."""
    import gradsmith as gs
    from gradsmith.nn import functional as F

    rng = np.random.default_rng(seed)

    def tensor(*shape: int) -> gs.Tensor:
        return gs.from_numpy(rng.standard_normal(shape, dtype=np.float32)).requires_grad_()

    weight, bias, matrix = tensor(8, 3, 3, 3), tensor(8), tensor(8 * 16 * 16, 10)
    result = []
    for _ in range(STEPS):
        x = gs.from_numpy(rng.standard_normal((16, 3, 32, 32), dtype=np.float32))
        target = gs.from_numpy(rng.integers(0, 10, 16))
        y = F.max_pool2d(F.relu(F.conv2d(x, weight, bias, padding=1)), 2)
        F.cross_entropy(y.flatten(1) @ matrix, target).backward()
        for leaf in (weight, bias, matrix):
            assert leaf.grad is not None
            result.append(leaf.grad.numpy().tobytes())
            leaf.grad = None
    return result


def main() -> None:
    """In the watched process."""
    import gradsmith as gs

    gs.set_num_threads(2)
    expected = [work(seed) for seed in (1, 2)]
    found: dict[int, list[bytes]] = {}
    threads = [
        threading.Thread(target=lambda s=seed: found.__setitem__(s, work(s))) for seed in (1, 2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if [found[1], found[2]] != expected:
        raise SystemExit("two Python threads at once gave other bits than one after the other")
    print("two Python threads, two kernel threads each: no race, the same bits")


def outside() -> int:
    """Starts this file in a process that the sanitizer watches from its start."""
    library = subprocess.run(
        ["g++", "-print-file-name=libtsan.so"], capture_output=True, text=True, check=True
    )
    environment = dict(os.environ)
    environment["LD_PRELOAD"] = library.stdout.strip()
    environment["TSAN_OPTIONS"] = "exitcode=66 report_thread_leaks=0"
    environment["OPENBLAS_NUM_THREADS"] = "1"
    libc = ctypes.CDLL(None)
    return subprocess.run(
        [sys.executable, __file__, "inside"],
        env=environment,
        timeout=600,
        preexec_fn=lambda: libc.personality(NO_RANDOM_ADDRESSES),
    ).returncode


if __name__ == "__main__":
    if sys.argv[1:] == ["inside"]:
        main()
    else:
        sys.exit(outside())
