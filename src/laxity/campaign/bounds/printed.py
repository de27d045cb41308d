"""The bound of "When neurons fail" as it is printed: numbers of neurons, largest weights, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from laxity.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """What the printed bound knows of one hidden layer.

    Attributes:
        neurons: N, how many the layer has.
        failing: f, how many of them fail.
        largest_weight: w_m, the largest absolute weight into the layer.
    """

    neurons: int
    failing: int
    largest_weight: float

    def __post_init__(self) -> None:
        if not 0 <= self.failing <= self.neurons or self.largest_weight < 0:
            raise ConfigError(
                f"a layer of {self.neurons} neurons with largest weight {self.largest_weight} cannot have "
                f"{self.failing} failing ones"
            )


def forward_error(
    layers: Sequence[LayerFacts], largest_output_weight: float, capacity: float, lipschitz: float
) -> float:
    """Largest change of an output: ``C sum_l f_l K^(L-l) w^(L+1) prod_(l'>l) (N_l' - f_l') w^(l')``.

    It is computed by the recursion ``E_l = C f_l + (N_l - f_l) K w^(l) E_(l-1)``, ``E_0 = 0``, and is ``w^(L+1) E_L``.

    Args:
        layers: hidden layers, the first one first.
        largest_output_weight: w^(L+1), the largest absolute weight of the output layer.
        capacity: C, by how much what a failing neuron sends can be wrong: for crashes the supremum of the absolute
            activation, for Byzantine neurons what the synapses can transmit in both directions.
        lipschitz: K, of the activation.

    Raises:
        ConfigError: a constant is negative.

    Source: E. M. El Mhamdi, R. Guerraoui, "When neurons fail", IPDPS 2017, theorem 2 (forward error propagation).
    """
    if capacity < 0 or lipschitz < 0 or largest_output_weight < 0:
        raise ConfigError("capacity, Lipschitz constant and largest weight of a bound are not negative")
    error = 0.0
    for layer in layers:
        working = layer.neurons - layer.failing
        error = capacity * layer.failing + working * lipschitz * layer.largest_weight * error
    return largest_output_weight * error
