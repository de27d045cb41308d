"""What is checked about an imported multiplier, and said about it whether good or bad."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from laxity.circuits.importers.nearest import EVOAPPROX_NAME, Nearest, evoapprox_names
from laxity.circuits.importers.reading import DECISIVE, Decision
from laxity.circuits.multiplier import Multiplier
from laxity.circuits.source import Source

_SIGNEDNESS = {
    (False, False): "unsigned",
    (True, True): "signed",
    (False, True): "a unsigned, b signed",
    (True, False): "a signed, b unsigned",
}
_CLAIM = re.compile(r"^\s*(?://|\*|#)?\s*(MAE|WCE|EP%|MRE%|MSE)\s*=\s*([0-9.]+(?:e[+-]?[0-9]+)?)", re.M)
_HEADER_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check.

    Attributes:
        name: what was looked at.
        ok: nothing there that the user should look into.
        text: the finding, in words.
    """

    name: str
    ok: bool
    text: str


def checks(source: Source, multiplier: Multiplier, decision: Decision, near: Nearest | None) -> tuple[Check, ...]:
    """All checks of an imported multiplier.

    Args:
        source: the file.
        multiplier: what was imported.
        decision: how its content was read.
        near: the nearest circuit of the catalogue, if it was looked for.
    """
    found = [_product(multiplier), _signedness(decision), _order(multiplier), _range(multiplier), _zero(multiplier)]
    if multiplier.a_signed or multiplier.b_signed:
        found.append(_most_negative(multiplier))
    return (*found, *_claims(source, multiplier), *_names(source, multiplier, near))


def _product(multiplier: Multiplier) -> Check:
    exact = multiplier.exact_table()
    med, always_zero = multiplier.metrics().med, float(np.abs(exact).mean())
    if med < always_zero:
        return Check("product", True, f"mean error distance {med:.6g}; a circuit that answers 0 has {always_zero:.6g}")
    return Check(
        "product",
        False,
        f"mean error distance {med:.6g}, no better than a circuit that answers 0 ({always_zero:.6g}): is this a "
        "multiplier, and are its widths, signedness and byte order right?",
    )


def _signedness(decision: Decision) -> Check:
    chosen = (decision.chosen.a_signed, decision.chosen.b_signed)
    others = {k: v for k, v in decision.nmed_of.items() if k != chosen}
    text = f"{_SIGNEDNESS[chosen]}: mean error {decision.nmed_of[chosen]:.3g} of the largest product"
    if not others:
        return Check("signedness", True, f"{text}, as given")
    near = min(others, key=lambda k: others[k])
    text += f"; read as {_SIGNEDNESS[near]} it would be {others[near]:.3g}"
    clear = decision.nmed_of[chosen] < DECISIVE * others[near]
    return Check("signedness", clear, text if clear else f"{text}, which is not clear: say --signed or --unsigned")


def _order(multiplier: Multiplier) -> Check:
    alike = multiplier.a_bits == multiplier.b_bits and multiplier.a_signed == multiplier.b_signed
    if not alike:
        return Check("operand order", True, "the operands differ in kind, so their order shows in the products")
    differ = float((multiplier.table != multiplier.table.T).mean())
    if not differ:
        return Check("operand order", True, "a x b = b x a for all pairs, so the order does not matter")
    return Check(
        "operand order",
        True,
        f"a x b differs from b x a for {differ:.2%} of the pairs, and exact products cannot tell which is which; "
        "the order taken is stated above, --swap exchanges it",
    )


def _range(multiplier: Multiplier) -> Check:
    low, high = int(multiplier.table.min()), int(multiplier.table.max())
    exact = multiplier.exact_table()
    exact_low, exact_high = int(exact.min()), int(exact.max())
    bits = multiplier.a_bits + multiplier.b_bits
    text = f"products {low}..{high}, exact ones {exact_low}..{exact_high}"
    signed = multiplier.a_signed or multiplier.b_signed
    fits = -(1 << (bits - 1)) <= low and high < 1 << (bits - 1) if signed else low >= 0 and high < 1 << bits
    if multiplier.circuit is not None:
        text += f"; the output has {multiplier.circuit.port('p').width} bits"
    return Check("range", fits, text if fits else f"{text}; they do not fit {bits} bits, so check byte order and sign")


def _zero(multiplier: Multiplier) -> Check:
    row = multiplier.table[0] if not multiplier.a_signed else multiplier.table[multiplier.a_values() == 0][0]
    column = multiplier.table[:, multiplier.b_values() == 0][:, 0]
    wrong = int((row != 0).sum() + (column != 0).sum()) - int(row[0] != 0)
    if not wrong:
        return Check("products with zero", True, "all are zero")
    worst = int(max(np.abs(row).max(), np.abs(column).max()))
    return Check(
        "products with zero",
        False,
        f"{wrong} of {row.size + column.size - 1} are not zero, up to {worst} in magnitude; zero activations and "
        "weights are frequent in networks, so this costs accuracy",
    )


def _most_negative(multiplier: Multiplier) -> Check:
    """Errors where an operand is -2**(n - 1), the value that sign-and-magnitude circuits tend to get wrong."""
    error = np.abs(multiplier.table - multiplier.exact_table())
    inside = np.zeros(error.shape, dtype=bool)
    values = []
    if multiplier.a_signed:
        inside[1 << (multiplier.a_bits - 1), :] = True
        values.append(f"a = {-(1 << (multiplier.a_bits - 1))}")
    if multiplier.b_signed:
        inside[:, 1 << (multiplier.b_bits - 1)] = True
        values.append(f"b = {-(1 << (multiplier.b_bits - 1))}")
    here, there = int(error[inside].max()), int(error[~inside].max(initial=0))
    text = f"worst error {here} where {' or '.join(values)}, {there} elsewhere"
    fine = here <= 2 * there or here == 0
    return Check(
        "most negative operand", fine, text if fine else f"{text}; keep codes away from the most negative value"
    )


def _claims(source: Source, multiplier: Multiplier) -> Iterator[Check]:
    """Error metrics that the head of the file states, against those computed."""
    stated: dict[str, str] = dict(_CLAIM.findall(source.data[:_HEADER_BYTES].decode("latin-1")))
    if not stated:
        return
    m = multiplier.metrics()
    computed = {"MAE": m.med, "WCE": float(m.wce), "EP%": 100 * m.ep, "MRE%": 100 * m.mred, "MSE": m.mse}
    wrong = [
        f"{name} {value} stated, {computed[name]:.6g} computed"
        for name, value in stated.items()
        if not _agrees(value, computed[name])
    ]
    text = "; ".join(wrong) if wrong else f"{', '.join(stated)} stated in the file agree with those computed"
    yield Check("stated metrics", not wrong, text)


def _agrees(stated: str, computed: float) -> bool:
    """Whether a printed number is within one unit of its last digit of another."""
    digits, _, exponent = stated.partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))
    return abs(float(stated) - computed) <= unit * (1 + 1e-9)


def _names(source: Source, multiplier: Multiplier, near: Nearest | None) -> Iterator[Check]:
    if near is not None:
        exchanged = " with exchanged operands" if near.swapped else ""
        text = f"{near.name}{exchanged}: mean distance {near.med:.6g}, {near.differ:.2%} of the products differ"
        yield Check("nearest", True, f"identical to {near.name}{exchanged}" if near.identical else text)
    known = evoapprox_names(multiplier)
    if known:
        yield Check("EvoApproxLib", True, f"its products are those of {', '.join(known)}")
    named = EVOAPPROX_NAME.search(f"{multiplier.name} {source.label}")
    if named is not None:
        text = (
            f"{named[0]} names different circuits in different versions of EvoApproxLib; this one is identified by "
            f"the hash of its products, {multiplier.table_sha256[:16]}"
        )
        yield Check("name", not known or any(named[0] in entry for entry in known), text)
