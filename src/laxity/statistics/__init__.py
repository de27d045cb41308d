"""Statistics of fault campaigns: intervals that cover what they say, also with early stopping.

| module | holds |
|---|---|
| `mixture`, `betting` | intervals that hold at any time, for 0/1 outcomes and for fractions |
| `stopping`, `looks` | when to stop: any time, or at a few planned looks with exact intervals |
| `fixed`, `planning` | intervals for a fixed number of trials, and how many trials are needed |
| `strata`, `stratified`, `combination` | strata, allocation, guaranteed intervals of weighted sums |
| `importance`, `control` | importance sampling with bounded weights, prediction-powered estimates |
| `components` | variance due to faults, to images, and the rest |
| `paired` | differences and ratios of designs under the same faults |
| `failure_rate`, `redundancy`, `error_rates` | FIT, missions, TMR, SEC-DED, accuracy over bit error rates |
| `sites`, `tables` | audits: the sampled population, tables of faults |

Needs numpy and scipy only.
"""

from laxity.statistics.betting import BettingSequence
from laxity.statistics.components import VarianceComponents, variance_components
from laxity.statistics.control import best_coefficient, prediction_powered_asymptotic, prediction_powered_interval
from laxity.statistics.error_rates import accuracy_at_rate, expected_faults
from laxity.statistics.failure_rate import (
    Component,
    FailureRate,
    component_confidence,
    failure_rate,
    mission_interval,
    mission_reliability,
)
from laxity.statistics.fixed import clopper_pearson, wald, wilson, zero_failure_bound
from laxity.statistics.importance import Proposal, defensive_proposal, weighted_interval
from laxity.statistics.interval import Interval
from laxity.statistics.looks import LookPlan, plan_looks
from laxity.statistics.mixture import BinomialSequence
from laxity.statistics.paired import mcnemar_p_value, paired_betting, paired_difference, rate_ratio
from laxity.statistics.planning import exact_trials, normal_trials, sequential_trials, zero_failure_trials
from laxity.statistics.redundancy import memory_failure, secded_failure, secded_failure_small, tmr_reliability
from laxity.statistics.sites import PopulationCheck, check_population
from laxity.statistics.stopping import Decided, HalfWidth, Stopped, run_until
from laxity.statistics.strata import Stratum, asymptotic_interval, next_round, neyman_shares
from laxity.statistics.stratified import StratifiedSequence, stratified_interval
from laxity.statistics.tables import TableAudit, audit_table, fp32_significance, integer_significance

__all__ = [
    "BettingSequence",
    "BinomialSequence",
    "Component",
    "Decided",
    "FailureRate",
    "HalfWidth",
    "Interval",
    "LookPlan",
    "PopulationCheck",
    "Proposal",
    "Stopped",
    "StratifiedSequence",
    "Stratum",
    "TableAudit",
    "VarianceComponents",
    "accuracy_at_rate",
    "asymptotic_interval",
    "audit_table",
    "best_coefficient",
    "check_population",
    "clopper_pearson",
    "component_confidence",
    "defensive_proposal",
    "exact_trials",
    "expected_faults",
    "failure_rate",
    "fp32_significance",
    "integer_significance",
    "mcnemar_p_value",
    "memory_failure",
    "mission_interval",
    "mission_reliability",
    "next_round",
    "neyman_shares",
    "normal_trials",
    "paired_betting",
    "paired_difference",
    "plan_looks",
    "prediction_powered_asymptotic",
    "prediction_powered_interval",
    "rate_ratio",
    "run_until",
    "secded_failure",
    "secded_failure_small",
    "sequential_trials",
    "stratified_interval",
    "tmr_reliability",
    "variance_components",
    "wald",
    "weighted_interval",
    "wilson",
    "zero_failure_bound",
    "zero_failure_trials",
]
