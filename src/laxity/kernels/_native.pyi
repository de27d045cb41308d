"""Types of the compiled module; tensors are passed as addresses, see `laxity.kernels.operators`."""

def levels() -> list[str]: ...
def fingerprint(level: str, starts: list[int], sizes_bytes: list[int]) -> int: ...
def represent(level: str, threads: int, x: int, count: int, quantiser: int, out: int) -> None: ...
def pass_gradient(level: str, threads: int, gradient: int, x: int, count: int, quantiser: int, out: int) -> None: ...
def table_layer(
    level: str,
    threads: int,
    geometry: list[int],
    x: int,
    quantiser: int,
    index: int,
    codes: int,
    table: int,
    rows: int,
    entries: int,
    planes: int,
    bits: int,
    zero_row: int,
    wide: bool,
    constants: int,
    scale: int,
    gain: int,
    bias: int,
    scaled: int,
    sums: int,
) -> bool: ...
def stationary_layer(
    level: str,
    threads: int,
    geometry: list[int],
    x: int,
    quantiser: int,
    index: int,
    codes: int,
    table: int,
    rows: int,
    entries: int,
    planes: int,
    bits: int,
    skip: int,
    offsets: int,
    wide: bool,
    constants: int,
    scale: int,
    gain: int,
    bias: int,
    scaled: int,
    sums: int,
) -> bool: ...
def lowrank_size(outputs: int, inputs_per_group: int, taps: int, groups: int, terms: list[int]) -> int: ...
def lowrank_pack(
    weights: int, outputs: int, inputs_per_group: int, taps: int, groups: int, terms: list[int], packed: int
) -> None: ...
def lowrank_layer(
    level: str,
    threads: int,
    geometry: list[int],
    x: int,
    quantiser: int,
    maps: int,
    terms: list[int],
    factors: list[int],
    weights: int,
    wide: bool,
    constants: int,
    scale: int,
    gain: int,
    bias: int,
    scaled: int,
    sums: int,
) -> bool: ...
def table_matrices(
    level: str,
    threads: int,
    numbers: list[int],
    addresses: list[int],
    table: int,
    rows: int,
    entries: int,
    planes: int,
    bits: int,
    zero_row: int,
) -> bool: ...
def lowrank_matrices(
    level: str,
    threads: int,
    numbers: list[int],
    addresses: list[int],
    maps: int,
    terms: list[int],
    factors: list[int],
    weights: int,
    codes: int,
) -> bool: ...
def sequential_cells() -> list[str]: ...
def sequential_products(threads: int, sizes: list[int], addresses: list[int]) -> None: ...
