"""The record of a mutant, which files are mutated, and how a sample of them is drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: What no kernel is in: the runtime, and what only declares.
NOT_KERNELS = {"allocator", "threads", "dispatch", "runtime", "args", "kernels", "aligned"}
#: Whose family is not the first word of its name.
FAMILY = {
    "cross_entropy": "loss",
    "epilogue": "matmul",
    "gemm": "matmul",
    "half": "copy",
    "linalg_norms": "linalg",
    "lp_pool": "pool",
    "margin_loss": "margin_loss",
    "optim_rules": "optim",
    "packed": "recurrent",
    "pair_loss": "pair_loss",
    "philox": "random",
    "ptx": "matmul",
    "recurrent_layers": "recurrent",
    "rows": "elementwise",
    "simd": "vectors",
    "strided": "elementwise",
    "common": "elementwise",
    "unpool": "pool",
    "vector_math": "vectors",
    "vector_trig": "vectors",
    "embedding_bag": "index",
    "embedding": "index",
    "loss_options": "loss",
}
#: The CPU's ways for speed, which a sample of their own is drawn from: what their files begin with.
TUNED = (
    "allocator",
    "conv_columns",
    "conv_depthwise",
    "conv_filter",
    "conv_gather",
    "conv_image_lanes",
    "conv_patches",
    "conv_phases",
    "conv_plan",
    "conv_pointwise",
    "conv_row_tiles",
    "conv_runs",
    "conv_weight_lanes",
    "conv_winograd",
    "copy_rows",
    "dot_product",
    "elementwise_rows",
    "epilogue",
    "gemm",
    "matmul_direct",
    "matmul_dots",
    "matmul_few_rows",
    "matmul_integers",
    "matmul_large",
    "matmul_product",
    "matmul_short",
    "matmul_small",
    "matmul_narrow",
    "matmul_stream",
    "matmul_vectors",
    "pool",
    "reduce",
    "transpose",
    "vector",
)
#: Not among them, though their names begin as those of ways do.
GENERAL = {"conv_bwd_weight", "conv_settings"}
#: Of Python: gradients and op bodies stand here; the rest makes arguments, views and words.
NOT_GRADIENTS = {
    "__init__",
    "convert",
    "creation",
    "in_place_names",
    "install",
    "interop",
    "like",
    "operands",
    "operators",
    "promote",
    "ranges",
    "view",
}


@dataclass(frozen=True)
class Edit:
    """`text` in the place of source[start:end], as an expression or as statements."""

    start: int
    end: int
    text: str
    form: str  # expression; void: one whose value nobody reads; condition: a bool; statement


@dataclass(frozen=True)
class Mutant:
    """One change of one place; the key stays the same as long as the line and its function do."""

    key: str
    layer: str  # cpu, cuda, gradients (Python given the kernel table), functions (other Python)
    family: str
    path: str  # from the root
    line: int
    function: str
    kind: str
    before: str
    after: str
    edit: Edit | None = None  # of C++
    site: int = -1  # of Python: its number in the walk

    @property
    def change(self) -> str:
        """Both sides, as the table shows them."""
        return f"{self.before} -> {self.after}"


def digest(path: Path) -> str:
    """Of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def key_of(path: str, function: str, line: str, kind: str, change: str, ordinal: int) -> str:
    """A mutant's name that outlives changes elsewhere in the file."""
    text = "|".join([path, function, line, kind, change, str(ordinal)])
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def family_of(path: Path) -> str:
    """The family that a file belongs to."""
    stem = path.stem
    return FAMILY.get(stem) or stem.split("_")[0]


def sources() -> list[tuple[str, Path]]:
    """(layer, file) of everything that is mutated."""
    found = [
        ("cpu", p)
        for pattern in ("*.cpp", "*.h")
        for p in (ROOT / "kernels/cpu").glob(pattern)
        if p.stem not in NOT_KERNELS
    ]
    found += [
        ("cuda", p) for pattern in ("*.cu", "*.cuh") for p in (ROOT / "kernels/cuda").glob(pattern)
    ]
    found += [
        ("python", p) for p in (ROOT / "engine/ops").glob("*.py") if p.stem not in NOT_GRADIENTS
    ]
    return sorted(found, key=lambda pair: (pair[0], str(pair[1])))


def tuned_family(stem: str) -> str | None:
    """The family of a way for speed, of a new one its own name; None for other sources."""
    name = next((t for t in TUNED if stem.startswith(t)), None)
    if name is None and stem.startswith(("conv_", "matmul_")) and stem not in GENERAL:
        return stem
    return name


def tuned_sources() -> list[tuple[str, Path, str]]:
    """(layer, file, family) of the tuned kernels: each of them is a family here."""
    found = []
    for path in sorted((ROOT / "kernels/cpu").glob("*.*")):
        name = tuned_family(path.stem)
        if name and path.suffix in (".cpp", ".h"):
            found.append(("cpu", path, name))
    return found


def every_mutant(patterns: Sequence[str] = (), tuned: bool = False) -> list[Mutant]:
    """All mutants of all sources, or of those whose path has one of the patterns in it.

    Of the tuned kernels alone, by their own families, if `tuned`.
    """
    from . import cpp_sites, python_sites

    mutants: list[Mutant] = []
    whole = [(layer, path, family_of(path)) for layer, path in sources()]
    for layer, path, family in tuned_sources() if tuned else whole:
        name = str(path.relative_to(ROOT))
        if patterns and not any(p in name for p in patterns):
            continue
        text = path.read_text(encoding="utf-8")
        if layer == "python":
            mutants += python_sites.mutants_of(text, name, family)
        else:
            mutants += cpp_sites.mutants_of(text, name, layer, family)
    return mutants


#: The part of a sample that a layer has, and the least that a family of it has.
SHARE = {"cpu": 0.36, "cuda": 0.32, "gradients": 0.22, "functions": 0.10}
LEAST = {"cpu": 3, "cuda": 3, "gradients": 2, "functions": 1}


def sample(mutants: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """About `count` of them: every family of every layer, and every kind of change in turn."""
    chosen: list[Mutant] = []
    present = {m.layer for m in mutants}
    total = sum(SHARE[layer] for layer in present)
    for layer in sorted(present):
        families: dict[str, list[Mutant]] = {}
        for m in mutants:
            if m.layer == layer:
                families.setdefault(m.family, []).append(m)
        queues = {
            name: _by_kind(found, f"{seed} {layer} {name}") for name, found in families.items()
        }
        # A family's part grows with the root of its size.
        weight = {name: len(found) ** 0.5 for name, found in families.items()}
        wanted = count * SHARE[layer] / total
        for name, queue in sorted(queues.items()):
            share = wanted * weight[name] / sum(weight.values())
            chosen += queue[: max(LEAST[layer], round(share))]
    return chosen


def _by_kind(mutants: Sequence[Mutant], seed: str) -> list[Mutant]:
    """The mutants in a drawn order in which the kinds take turns, two of one line far apart.

    The order follows from the keys: a change elsewhere in the sources leaves a sample as it is.
    """

    def drawn(text: str) -> str:
        return hashlib.sha256(f"{seed} {text}".encode()).hexdigest()

    kinds: dict[str, list[Mutant]] = {}
    for m in sorted(mutants, key=lambda m: drawn(m.key)):
        kinds.setdefault(m.kind, []).append(m)
    # Barriers are few, and first.
    order = sorted(kinds, key=lambda kind: (kind != "barrier", drawn(kind)))
    first, late, lines = [], [], set()
    while any(kinds.values()):
        for kind in order:
            if kinds[kind]:
                m = kinds[kind].pop(0)
                (late if (m.path, m.line) in lines else first).append(m)
                lines.add((m.path, m.line))
    return first + late
