"""All that it takes: the kernel, its gradient, samples."""

import numpy as np
from gradsmith.testing import validate
from own_kernel import rms_norm, rms_norm_vjp

RNG = np.random.default_rng(0)
SAMPLES = [
    (RNG.standard_normal((3, 5)), RNG.standard_normal(5)),
    (RNG.standard_normal((2, 3, 4)), RNG.standard_normal(4)),
    (RNG.standard_normal((1, 1)), RNG.standard_normal(1)),
]


@validate(rms_norm, SAMPLES, vjp=rms_norm_vjp)
def test_rms_norm(): ...


def test_the_fixtures(gradcheck, assert_close, gradsmith_rng):
    """The same by hand, on numbers of this test's own."""
    x, weight = gradsmith_rng.standard_normal((4, 7)), gradsmith_rng.standard_normal(7)
    assert gradcheck(rms_norm, (x, weight), vjp=rms_norm_vjp)
    narrow = rms_norm(x.astype(np.float32), weight.astype(np.float32))
    assert_close(narrow, rms_norm(x, weight), terms=7, check_dtype=False)
