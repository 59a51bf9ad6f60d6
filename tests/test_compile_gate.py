"""Every CUDA kernel compiles for every architecture, spills nothing, needs what the table says."""

import re
import subprocess
import sys

import pytest
from gradsmith.kernels.cuda import compiler, launch, launchers, nvrtc

needs_nvrtc = pytest.mark.skipif(
    not nvrtc.available(), reason="NVRTC's wheels are missing (nvidia-cuda-nvrtc, -runtime, -crt)"
)

NEEDS = {"registers": 24, "shared": 0, "stack": 0, "spills": 0}


@needs_nvrtc
def test_every_kernel_is_in_the_table_and_spills_nothing():
    command = [sys.executable, "-m", "gradsmith.kernels.cuda.compiler", "--check"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_table_has_every_declared_kernel():
    """What can be seen without NVRTC: names, both architectures, no spills."""
    launchers.entries()
    table = compiler.read_table()["kernels"]
    declared = {(module.source.name, name) for module in launch.modules for name in module.names}
    assert declared == {(file, name) for file, kernels in table.items() for name in kernels}
    for kernels in table.values():
        for name, archs in kernels.items():
            assert tuple(archs) == compiler.ARCHITECTURES, name
            assert all(needs["spills"] == 0 for needs in archs.values()), name


def test_every_source_is_declared():
    assert compiler.undeclared() == []


@pytest.mark.parametrize(
    "found,expected,message",
    [
        ({**NEEDS, "spills": 8}, {**NEEDS, "spills": 8}, "spills 8 bytes"),
        ({**NEEDS, "registers": 40}, NEEDS, "'registers': 24.*now.*'registers': 40"),
        (NEEDS, None, "not in resources.json"),
        (None, NEEDS, "no launcher declares it"),
    ],
)
def test_gate_reports(found, expected, message):
    def table(needs):
        return {"copy.cu": {"k": {"sm_80": needs}} if needs else {}}

    (problem,) = compiler.problems(table(found), table(expected))
    assert re.search(message, problem)


@needs_nvrtc
def test_gate_sees_a_spill(tmp_path):
    source = tmp_path / "spill.cu"
    source.write_text(
        "__global__ void __launch_bounds__(1024, 2) spilling(float* x) {\n"
        "  float v[96];\n"
        "  for (int i = 0; i < 96; ++i) v[i] = x[i * 1024 + threadIdx.x];\n"
        "  __syncthreads();\n"
        "  for (int r = 0; r < 3; ++r)\n"
        "#pragma unroll\n"
        "    for (int i = 0; i < 96; ++i) v[i] = v[i] * v[(i * 7 + 3) % 96] + 1;\n"
        "  for (int i = 0; i < 96; ++i) x[i * 1024 + threadIdx.x] = v[i];\n"
        "}\n"
    )
    compiled = compiler.compile_cubin(source, ["spilling"], "sm_80")
    lowered = compiled.lowered["spilling"]
    assert sum(compiled.spills[lowered]) > 0
    assert compiled.kernels[lowered].stack > 0
    assert compiled.kernels[lowered].max_threads == 1024
    assert compiled.kernels[lowered].parameter_bytes == (8,)


@needs_nvrtc
def test_compile_error_has_the_compilers_words(tmp_path):
    source = tmp_path / "broken.cu"
    source.write_text("__global__ void f(int* x) { *x = missing; }\n")
    with pytest.raises(RuntimeError, match="broken.cu does not compile(.|\n)*missing"):
        compiler.compile_cubin(source, ["f"], "sm_80")


def test_architecture_has_its_own_features():
    assert compiler.architecture("80") == "sm_80"
    assert compiler.architecture("89") == "sm_89"
    assert compiler.architecture("90") == "sm_90a"
    assert compiler.architecture("100") == "sm_100a"
