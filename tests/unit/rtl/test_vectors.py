"""The RTL folder: vectors against the table, and the test bench in a real simulator."""

import shutil
import subprocess

import numpy as np
import pytest

from laxity.circuits import Multiplier, get
from laxity.core.errors import CircuitError, RunError
from laxity.rtl.vectors import write_rtl

needs_simulator = pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed")


def simulate(folder, name):
    build = ["iverilog", "-g2005", "-Wall", "-o", "bench", f"{name}.v", f"tb_{name}.v"]
    compiled = subprocess.run(build, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    assert not compiled.stderr
    return subprocess.run(["./bench"], cwd=folder, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("name", ["drum8_4", "dadda8s", "udm4", "mitchell5s", "gated8_2_1", "gatedcol6s_4"])
def test_vectors_hold_every_pair_and_its_product(name, tmp_path):
    multiplier = get(name)
    paths = write_rtl(multiplier, tmp_path / "rtl")
    assert [str(p.relative_to(tmp_path / "rtl")) for p in paths] == [f"{name}.v", f"tb_{name}.v", f"vectors/{name}.hex"]
    words = np.array([int(line, 16) for line in paths[2].read_text().split()])
    bits = multiplier.a_bits
    assert len(words) == 1 << 2 * bits
    np.testing.assert_array_equal(words >> 2 * bits, np.arange(1 << 2 * bits))
    product = words & (1 << 2 * bits) - 1
    if multiplier.signed:
        product = np.where(product >> 2 * bits - 1, product - (1 << 2 * bits), product)
    np.testing.assert_array_equal(product.reshape(multiplier.table.shape), multiplier.table)


@needs_simulator
@pytest.mark.parametrize("name", ["drum8_4", "dadda8s", "mitchell8", "roba8", "bam8_6_2", "udm4"])
def test_simulation_passes(name, tmp_path):
    write_rtl(get(name), tmp_path)
    count = get(name).table.size
    assert simulate(tmp_path, name) == f"PASS {name}: {count} vectors\n"


@needs_simulator
def test_simulation_finds_a_wrong_vector(tmp_path):
    vectors = write_rtl(get("dadda4"), tmp_path)[2]
    lines = vectors.read_text().splitlines()
    lines[0x35] = "3510"
    vectors.write_text("\n".join(lines) + "\n")
    report = simulate(tmp_path, "dadda4")
    assert "a=3 b=5: p=0f, expected 10" in report
    assert "FAIL dadda4: 1 of 256 vectors" in report.replace("         ", "")


def test_a_table_alone_has_no_rtl(tmp_path):
    multiplier = Multiplier.from_table(np.zeros((4, 4), int), a_signed=False, b_signed=False, name="only")
    with pytest.raises(CircuitError, match="table only"):
        write_rtl(multiplier, tmp_path)


def test_an_unwritable_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write"):
        write_rtl(get("dadda4"), tmp_path / "file")
