"""The table of bad inputs that broke other libraries, and what is known of each."""

from __future__ import annotations

#: Row -> where it was met. Each has cases on both devices, or a reason in WITHOUT.
ROWS = {
    "empty filter or input": "CVE-2021-41209, CVE-2022-35996: a division by zero",
    "empty weight gradient": "CVE-2021-29538",
    "stride": "CVE-2022-21725",
    "groups": "CVE-2023-27579",
    "depthwise without channels": "CVE-2021-29602",
    "empty bias or scale": "CVE-2022-29201",
    "pooling backward on empty": "CVE-2021-37651",
    "pooling indices": "CVE-2022-41897, whose first fix was incomplete",
    "pooling windows": "CVE-2022-21735",
    "recurrent ranks": "CVE-2022-29200",
    "axis": "CVE-2022-21728",
    "truncated sizes": "CVE-2019-16778: an int64 index in an int32",
    "overflowing products": "CVE-2021-41198",
    "negative dilation": "pytorch#136716, pytorch#142454",
    "empty kernel_size": "pytorch#50967",
    "NaN in a lane": "pytorch#7645, tensorflow#125965: lost, or lost in the tail alone",
    "overlapping memory": "pytorch#17935, numpy#33812",
    "fork": "pytorch#17199, pytorch#45198: OpenMP hangs",
    "DLPack": "capsules consumed twice or never, producers freed first, read-only ones",
    "out of memory": "the nth allocation fails",
    "threads": "two Python threads run ops and backward at once",
    "pickle": "CVE-2025-32434, CVE-2026-24747: untrusted checkpoints",
    "safetensors": "files cut off, offsets that overlap or overflow, 100,000 entries, dtypes",
    "npz": "CVE-2019-6446; a file of 80 bytes that asks for 32 GiB",
    "image files": "IDX and CIFAR: wrong magic, cut off, labels out of range",
    "labels": "class -1, class C, labels of floating point, ignore_index",
    "optimizers": "NaN, missing gradients, lr < 0, betas outside of [0, 1), no parameters",
    # Not of the table: what was found on the way.
    "arguments": "of types that no one expects",
    "dtypes": "that an op does not compute in",
    "many dimensions": "more than the kernels take",
}

#: Row -> why it has no cases here.
WITHOUT = {
    "out of memory": "it needs an allocator that fails on purpose: tests/test_allocator.py",
}
