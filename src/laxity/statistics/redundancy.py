"""Failure probabilities of words with error-correcting codes and of triplicated modules."""

from __future__ import annotations

import math

from scipy.special import betainc

from laxity.core.errors import ConfigError


def secded_failure(bit_error_rate: float, bits: int = 72) -> float:
    """Probability that a word with a single-error-correcting code cannot be corrected: two or more bits are wrong.

    Exact for independent bit errors between two scrubs. Two wrong bits are detected by a double-error-detecting code,
    more may be corrected to something wrong. Computed as the tail of the binomial distribution, which keeps its
    precision where ``1 - (1-p)^n - n p (1-p)^(n-1)`` would cancel.

    Args:
        bit_error_rate: probability that a bit is wrong at the end of the scrub interval.
        bits: of the word, check bits included; SEC-DED for 64 data bits has 72.

    Raises:
        ConfigError: a probability or size that cannot be.

    Source: the binomial distribution; code sizes: M. Y. Hsiao, IBM J. Res. Dev. 14 (1970) 395.
    """
    _check(bit_error_rate, bits)
    return float(betainc(2, bits - 1, bit_error_rate))


def secded_failure_small(bit_error_rate: float, bits: int = 72) -> float:
    """The same for small rates: ``bits (bits - 1) / 2 * p ** 2``; never smaller than the exact value.

    Raises:
        ConfigError: a probability or size that cannot be.

    Source: Boole's inequality over pairs of bits.
    """
    _check(bit_error_rate, bits)
    return bits * (bits - 1) / 2 * bit_error_rate**2


def memory_failure(word_failure: float, words: int) -> float:
    """Probability that at least one of many independent words fails, precise for small probabilities.

    Raises:
        ConfigError: a probability or number that cannot be.
    """
    if not 0 <= word_failure <= 1 or words < 0:
        raise ConfigError(f"{words} words cannot fail with probability {word_failure}")
    return -math.expm1(words * math.log1p(-word_failure)) if word_failure < 1 else float(words > 0)


def tmr_reliability(module: float, voter: float = 1.0) -> float:
    """Reliability of three modules with a majority voter: ``v (3 r^2 - 2 r^3)``.

    Args:
        module: reliability of one module over the mission, fraction.
        voter: reliability of the voter, fraction.

    Raises:
        ConfigError: a reliability that is no fraction.

    Source: R. E. Lyons, W. Vanderkulk, IBM J. Res. Dev. 6 (1962) 200.
    """
    for name, value in (("module", module), ("voter", voter)):
        if not 0 <= value <= 1:
            raise ConfigError(f"the reliability of the {name} is a fraction, not {value}")
    return voter * module**2 * (3 - 2 * module)


def _check(bit_error_rate: float, bits: int) -> None:
    if not 0 <= bit_error_rate <= 1:
        raise ConfigError(f"a bit error rate is a fraction, not {bit_error_rate}")
    if bits < 2:
        raise ConfigError(f"a word with a correcting code has at least 2 bits, not {bits}")
