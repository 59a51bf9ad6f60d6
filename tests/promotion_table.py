"""What torch.result_type and torch.can_cast give (PyTorch 2.13), checked against torch where it is.

Rows and columns in the order of NAMES; for numbers the columns are bool, int, float.
"""

NAMES = tuple("bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64".split())
SHORT = dict(zip("b u1 i1 i2 i4 i8 f2 bf f4 f8".split(), NAMES, strict=True))

TABLES = {
    "dimensioned dimensioned": (
        "b u1 i1 i2 i4 i8 f2 bf f4 f8",
        "u1 u1 i2 i2 i4 i8 f2 bf f4 f8",
        "i1 i2 i1 i2 i4 i8 f2 bf f4 f8",
        "i2 i2 i2 i2 i4 i8 f2 bf f4 f8",
        "i4 i4 i4 i4 i4 i8 f2 bf f4 f8",
        "i8 i8 i8 i8 i8 i8 f2 bf f4 f8",
        "f2 f2 f2 f2 f2 f2 f2 f4 f4 f8",
        "bf bf bf bf bf bf f4 bf f4 f8",
        "f4 f4 f4 f4 f4 f4 f4 f4 f4 f8",
        "f8 f8 f8 f8 f8 f8 f8 f8 f8 f8",
    ),
    "dimensioned zero_dim": (
        "b u1 i1 i2 i4 i8 f2 bf f4 f8",
        "u1 u1 u1 u1 u1 u1 f2 bf f4 f8",
        "i1 i1 i1 i1 i1 i1 f2 bf f4 f8",
        "i2 i2 i2 i2 i2 i2 f2 bf f4 f8",
        "i4 i4 i4 i4 i4 i4 f2 bf f4 f8",
        "i8 i8 i8 i8 i8 i8 f2 bf f4 f8",
        "f2 f2 f2 f2 f2 f2 f2 f2 f2 f2",
        "bf bf bf bf bf bf bf bf bf bf",
        "f4 f4 f4 f4 f4 f4 f4 f4 f4 f4",
        "f8 f8 f8 f8 f8 f8 f8 f8 f8 f8",
    ),
    "zero_dim zero_dim": (
        "b u1 i1 i2 i4 i8 f2 bf f4 f8",
        "u1 u1 i2 i2 i4 i8 f2 bf f4 f8",
        "i1 i2 i1 i2 i4 i8 f2 bf f4 f8",
        "i2 i2 i2 i2 i4 i8 f2 bf f4 f8",
        "i4 i4 i4 i4 i4 i8 f2 bf f4 f8",
        "i8 i8 i8 i8 i8 i8 f2 bf f4 f8",
        "f2 f2 f2 f2 f2 f2 f2 f4 f4 f8",
        "bf bf bf bf bf bf f4 bf f4 f8",
        "f4 f4 f4 f4 f4 f4 f4 f4 f4 f8",
        "f8 f8 f8 f8 f8 f8 f8 f8 f8 f8",
    ),
    "dimensioned number": (
        "b i8 f4",
        "u1 u1 f4",
        "i1 i1 f4",
        "i2 i2 f4",
        "i4 i4 f4",
        "i8 i8 f4",
        "f2 f2 f2",
        "bf bf bf",
        "f4 f4 f4",
        "f8 f8 f8",
    ),
    "zero_dim number": (
        "b i8 f4",
        "u1 u1 f4",
        "i1 i1 f4",
        "i2 i2 f4",
        "i4 i4 f4",
        "i8 i8 f4",
        "f2 f2 f2",
        "bf bf bf",
        "f4 f4 f4",
        "f8 f8 f8",
    ),
    "can_cast": (
        "1 1 1 1 1 1 1 1 1 1",
        "0 1 1 1 1 1 1 1 1 1",
        "0 1 1 1 1 1 1 1 1 1",
        "0 1 1 1 1 1 1 1 1 1",
        "0 1 1 1 1 1 1 1 1 1",
        "0 1 1 1 1 1 1 1 1 1",
        "0 0 0 0 0 0 1 1 1 1",
        "0 0 0 0 0 0 1 1 1 1",
        "0 0 0 0 0 0 1 1 1 1",
        "0 0 0 0 0 0 1 1 1 1",
    ),
}
