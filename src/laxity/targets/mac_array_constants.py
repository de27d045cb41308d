"""Constants that a description of a weight-stationary systolic array states, by section."""

from __future__ import annotations

from laxity.targets.description import ConstantSpec, Schema

_BUFFER = {
    "capacity": ConstantSpec("byte", integer=True),
    "word": ConstantSpec("bit", integer=True),
    "read": ConstantSpec("pJ"),
    "write": ConstantSpec("pJ"),
    "area": ConstantSpec("mm2"),
}

SCHEMA: Schema = {
    "array": {
        "rows": ConstantSpec("PE", integer=True),
        "columns": ConstantSpec("PE", integer=True),
        "clock": ConstantSpec("MHz"),
        "operand_bits": ConstantSpec("bit", integer=True),
        "accumulator_bits": ConstantSpec("bit", integer=True),
    },
    "registers": {
        "output_toggle": ConstantSpec("fJ", zero=True),
        "input_toggle": ConstantSpec("fJ", zero=True),
        "timing": ConstantSpec("ns", zero=True),
    },
    "weight_buffer": _BUFFER,
    "activation_buffer": _BUFFER,
    "accumulator_memory": {
        "words": ConstantSpec("word", integer=True),
        "sum_bits": ConstantSpec("bit", integer=True),
        "word": ConstantSpec("bit", integer=True),
        "read": ConstantSpec("pJ"),
        "write": ConstantSpec("pJ"),
        "add": ConstantSpec("pJ", zero=True),
        "area": ConstantSpec("mm2"),
    },
    "dram": {
        "word": ConstantSpec("bit", integer=True),
        "access": ConstantSpec("pJ", zero=True),
        "access_high": ConstantSpec("pJ", zero=True),
    },
}
"""What `laxity.targets.mac_array` needs; `ConstantSpec` gives units."""
