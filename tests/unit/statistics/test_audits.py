"""Audits of populations and tables: scipy, false alarms, and the errors that published tables really have."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare, spearmanr

from laxity.core.errors import ConfigError, DataError
from laxity.core.seeds import stream
from laxity.statistics import audit_table, check_population, fp32_significance, integer_significance


def test_chi_square_is_that_of_scipy() -> None:
    seen, declared = {"a": 30, "b": 14, "c": 56}, {"a": 1.0, "b": 1.0, "c": 3.0}
    theirs = chisquare([30, 14, 56], [20, 20, 60])
    found = check_population(seen, declared)
    assert (found.statistic, found.p_value) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert (found.cells, found.pooled, found.worst, found.draws) == (3, 0, "a", 100)


def test_small_cells_are_pooled() -> None:
    found = check_population({"a": 50, "b": 44, "c": 2, "d": 4}, {"a": 0.48, "b": 0.46, "c": 0.03, "d": 0.03})
    theirs = chisquare([50, 44, 6], [48, 46, 6])
    assert (found.statistic, found.pooled, found.cells) == (pytest.approx(theirs.statistic), 2, 3)
    joined = check_population({"a": 50, "b": 50}, {"a": 0.5, "b": 0.49, "c": 0.01})
    assert (joined.cells, joined.pooled) == (2, 2)


def test_false_alarms_are_as_rare_as_they_say() -> None:
    shares = stream(0, "shares").dirichlet(np.ones(20))
    p_values = []
    for k in range(400):
        counts = stream(1, k).multinomial(2000, shares)
        seen = {str(i): int(c) for i, c in enumerate(counts)}
        p_values.append(check_population(seen, {str(i): float(s) for i, s in enumerate(shares)}).p_value)
    assert np.mean(np.array(p_values) < 0.1) == pytest.approx(0.1, abs=0.05)


def test_layers_drawn_uniformly_are_not_bits_drawn_uniformly() -> None:
    bits = {"first": 432 * 32, "middle": 9216 * 32, "last": 640 * 32}
    drawn = stream(2, "uniform layers").choice(list(bits), 300)
    found = check_population(Counter(drawn.tolist()), bits)
    assert not found.plausible
    assert found.worst == "first"


def test_published_faults_are_uniform_over_bits(campaigns: Any) -> None:
    for campaign in campaigns.values():
        found = check_population(
            {str(b): int(n) for b, n in Counter(campaign.bits.tolist()).items()},
            dict.fromkeys(map(str, range(32)), 1.0),
        )
        assert found.plausible, campaign.name


def audit(campaign: Any, changed: np.ndarray, **options: Any) -> Any:
    return audit_table(campaign.identities, campaign.bits, changed, campaign.images, fp32_significance(), **options)


def test_published_tables_are_plausible(campaigns: Any) -> None:
    for campaign in campaigns.values():
        found = audit(campaign, campaign.changed, expected_images=10_000, counted=campaign.counted)
        assert found.plausible, (campaign.name, found.findings)
        assert found.correlation > 0.25


@pytest.mark.parametrize("rows", [31, 1, 5000])
def test_shifted_rows_are_found_with_their_shift(campaigns: Any, rows: int) -> None:
    """What happened to the published table of GoogLeNet, done to tables that are right."""
    for campaign in campaigns.values():
        found = audit(campaign, np.roll(campaign.changed, rows))
        assert {f.rule for f in found.findings} == {"significance", "alignment"}, campaign.name
        assert found.shift == rows
        assert found.shifted_correlation == pytest.approx(audit(campaign, campaign.changed).correlation)


def test_permuted_rows_are_found(campaigns: Any) -> None:
    """What seems to have happened to the published table of MobileNetV2."""
    for campaign in campaigns.values():
        found = audit(campaign, stream(3, campaign.name).permutation(campaign.changed))
        assert [f.rule for f in found.findings] == ["significance"], campaign.name
        assert found.shift == 0


def small(rows: int = 200) -> tuple[list[int], np.ndarray, np.ndarray, np.ndarray]:
    bits = stream(4, "bits").integers(0, 8, rows)
    return list(range(rows)), bits, bits**2, np.full(rows, 100)


def test_correlation_is_spearmans() -> None:
    identities, bits, _, images = small()
    changed = np.clip(10 * bits + stream(4, "noise").integers(0, 30, bits.size), 0, 100)
    found = audit_table(identities, bits, changed, images, integer_significance(8))
    assert found.correlation == pytest.approx(spearmanr(bits, changed).statistic)
    assert found.plausible


def test_each_rule() -> None:
    identities, bits, changed, images = small()
    found = audit_table([0, *identities[:-1]], bits, changed, images, integer_significance(8))
    assert [(f.rule, f.rows) for f in found.findings] == [("identity", 1)]
    fewer = images.copy()
    fewer[:3] = 60
    found = audit_table(identities, bits, changed, fewer, integer_significance(8), counted=images)
    assert [(f.rule, f.rows) for f in found.findings] == [("images", 3), ("sum", 3)]
    found = audit_table(identities, bits, changed, images, integer_significance(8), expected_images=300)
    assert [(f.rule, f.rows) for f in found.findings] == [("images", 200)]
    found = audit_table(identities, bits, changed + 60, images, integer_significance(8))
    assert [f.rule for f in found.findings] == ["range"]


def test_a_campaign_without_harm_is_no_error() -> None:
    identities, bits, changed, images = small()
    assert audit_table(identities, bits, 0 * changed, images, integer_significance(8)).plausible


def test_the_order_of_fp32_bits_is_that_of_relative_changes() -> None:
    """Median relative change of a weight of usual size when the bit is flipped."""
    weights = (stream(5, "weights").normal(0, 0.1, 4000)).astype(np.float32)
    words = weights.view(np.uint32)
    with np.errstate(over="ignore", invalid="ignore"):
        change = {
            b: float(np.median(np.abs((words ^ np.uint32(1 << b)).view(np.float32).astype(float) / weights - 1)))
            for b in (*range(23), 31, 30)
        }
    order = sorted(change, key=lambda b: fp32_significance()[b])
    assert [change[b] for b in order] == sorted(change.values())


def test_bad_input() -> None:
    with pytest.raises(DataError, match="'z'"):
        check_population({"z": 1}, {"a": 1.0})
    with pytest.raises(DataError, match="too few"):
        check_population({"a": 1}, {"a": 1.0, "b": 1.0})
    with pytest.raises(ConfigError, match="declared"):
        check_population({"a": 1}, {"a": -1.0})
    with pytest.raises(DataError, match="bit 9"):
        audit_table([1, 2, 3], [0, 1, 9], [0, 1, 2], [9, 9, 9], integer_significance(8))
    with pytest.raises(DataError, match="at least 3 rows"):
        audit_table([1, 2], [0, 1], [0, 1], [9, 9], integer_significance(8))
    with pytest.raises(ConfigError, match="at least 1 bit"):
        integer_significance(0)
