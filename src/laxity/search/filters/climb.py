"""The greedy walk: always the block that saves most per harm, as long as the network stays within its budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from laxity.core.records import Evaluation
from laxity.search.filters.layer import Layer, Move
from laxity.search.filters.result import Step

Assignment = Mapping[str, tuple[int, ...]]
"""Mode of every filter, by site."""

Judge = Callable[[Assignment], Evaluation]
Fits = Callable[[Evaluation], bool]


def climb(
    layers: Sequence[Layer], judge: Judge, fits: Fits, *, block: float, lock: str = "layer"
) -> tuple[list[Step], list[Move]]:
    """Raise blocks of filters until every layer is frozen.

    The next moves are those with the best ratio of expected saving to expected harm over all layers. They are judged
    several at a time, twice as many after every success. Where that goes over the budget, the longest part that does
    not is found by bisection; it is kept, and the layer of the first move beyond it is frozen, or that block of it
    alone. The network is thus judged some tens of times instead of once per block, and what is accepted is always
    something that was judged and was within the budget.

    Args:
        layers: where they start; changed in place.
        judge: measures the network.
        fits: whether it is within the budget.
        block: fraction of the filters in one mode that is raised at a time, in (0, 1]; at least one filter.
        lock: ``layer`` freezes the layer of a move that was refused, ``block`` only the filters of the move.

    Returns:
        All that was judged, in order, and all moves that were accepted, in order.
    """
    by_site = {layer.site: layer for layer in layers}
    steps: list[Step] = []
    taken: list[Move] = []

    def accepted(moves: Sequence[Move]) -> bool:
        found = judge(after(layers, moves))
        steps.append(Step(found, fits(found)))
        return steps[-1].accepted

    stride = 1
    while moves := ahead(layers, block, stride):
        good = len(moves) if accepted(moves) else _longest(moves, accepted)
        for move in moves[:good]:
            by_site[move.site].take(move)
        taken += moves[:good]
        if good < len(moves):
            refused = moves[good]
            by_site[refused.site].lock(refused.filters if lock == "block" else None)
        stride = 2 * good if good == len(moves) else max(1, good)
    return steps, taken


def ahead(layers: Sequence[Layer], block: float, count: int) -> list[Move]:
    """The next `count` moves by expectation, fewer where no more are left; the layers stay as they are.

    Every move is made after those before it. Of equal ones that of the earlier layer comes first.
    """
    copies = [layer.copy() for layer in layers]
    proposals = [layer.propose(block) for layer in copies]
    moves: list[Move] = []
    while len(moves) < count:
        left = [(move.merit, -i) for i, move in enumerate(proposals) if move is not None]
        if not left:
            break
        place = -max(left)[1]
        best = proposals[place]
        if best is None:
            break
        moves.append(best)
        copies[place].take(best)
        proposals[place] = copies[place].propose(block)
    return moves


def after(layers: Sequence[Layer], moves: Sequence[Move]) -> dict[str, tuple[int, ...]]:
    """Modes after moves; the layers stay as they are."""
    copies = {layer.site: layer.copy() for layer in layers}
    for move in moves:
        copies[move.site].take(move)
    return {site: layer.modes for site, layer in copies.items()}


def _longest(moves: Sequence[Move], accepted: Callable[[Sequence[Move]], bool]) -> int:
    """How many of the first moves are within the budget, where all of them are not."""
    good, bad = 0, len(moves)
    while bad - good > 1:
        middle = (good + bad) // 2
        if accepted(moves[:middle]):
            good = middle
        else:
            bad = middle
    return good
