"""The sweep over bit error rates: exact without faults, reproducible, and harmless to model and data."""

import itertools
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from laxity.core.errors import ConfigError, TaskError
from laxity.core.serial import to_json
from laxity.emulate.build import emulated
from laxity.evaluation.injection import inject
from laxity.evaluation.quality import predict
from laxity.evaluation.reliability import bit_error_sweep, trial_seed
from laxity.faults import BitFlip, FaultModel
from laxity.task.fingerprint import fingerprint
from laxity.task.splits import tensor_split
from laxity.task.task import Task

NETWORKS = ["original", "exact", "approximated"]


def sweep(model, task, rates, **changes):
    options = {"trials": 4, "samples": 150, "seed": 0, "label": "net"} | changes
    return bit_error_sweep(model, task, rates=rates, **options)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("samples", [137, 500])
def test_rate_zero_is_exactly_the_network_without_faults(digits, name, samples):
    model = getattr(digits, name)
    (record,) = sweep(model, digits.task, [0.0], samples=samples, trials=7)
    accuracy = predict(model, digits.task, "test", limit=samples).quality().value
    assert record.value == record.low == record.high == accuracy
    assert record.sdc == 0
    assert (record.trials, record.samples, record.confidence) == (7, samples, 0.95)


def test_no_more_samples_than_the_split_has(digits):
    (record,) = sweep(digits.exact, digits.task, [0.0], samples=10_000, split="calibration")
    assert record.samples == len(digits.task.calibration) == 100


@pytest.mark.parametrize("name", NETWORKS)
def test_records_agree_with_trials_replayed_one_by_one(digits, name):
    """Independent path: inject, predict, and the textbook formula of the interval."""
    model, rate, trials, samples = getattr(digits, name), 0.003 if name != "original" else 1e-5, 6, 120
    (record,) = sweep(model, digits.task, [rate], trials=trials, samples=samples, seed=9, confidence=0.9)
    clean = predict(model, digits.task, "test", limit=samples)
    struck = [
        predict(inject(model, BitFlip(rate), seed=trial_seed(9, rate, t)), digits.task, "test", limit=samples)
        for t in range(trials)
    ]
    values = np.array([p.correct.mean() for p in struck])
    changed = np.mean([(p.classes != clean.classes).mean() for p in struck])
    half = stats.t.ppf(0.95, trials - 1) * values.std(ddof=1) / np.sqrt(trials)
    assert values.std() > 0
    assert record.value == pytest.approx(values.mean(), abs=1e-12)
    assert record.low == pytest.approx(max(0, values.mean() - half), abs=1e-12)
    assert record.high == pytest.approx(min(1, values.mean() + half), abs=1e-12)
    assert record.sdc == pytest.approx(changed, abs=1e-12)


@pytest.mark.parametrize("name", NETWORKS)
def test_more_errors_do_more_harm(digits, name):
    records = sweep(getattr(digits, name), digits.task, [0.0, 1e-3, 1e-2, 1e-1], trials=8)
    values, changes = [r.value for r in records], [r.sdc for r in records]
    assert all(later <= earlier + 0.01 for earlier, later in itertools.pairwise(values))
    assert all(later >= earlier for earlier, later in itertools.pairwise(changes))
    assert values[-1] < 0.5 < values[0]
    assert all(0 <= r.low <= r.value <= r.high <= 1 for r in records)


def test_integers_stand_bit_errors_that_ruin_floating_point(digits):
    """Flips of high exponent bits blow float32 weights up; an 8-bit code cannot leave its range."""
    original, exact = (sweep(getattr(digits, n), digits.task, [1e-4], trials=10)[0] for n in ("original", "exact"))
    assert exact.low > original.high


def test_results_depend_on_seed_rate_and_trial_only(digits):
    rates = [1e-2, 1e-3]
    first = sweep(digits.exact, digits.task, rates)
    again = sweep(digits.exact, digits.task, rates)
    assert to_json(first) == to_json(again)
    backwards = sweep(digits.exact, digits.task, rates[::-1])
    assert to_json(backwards[::-1]) == to_json(first)
    renamed = sweep(digits.exact, digits.task, rates, label="other")
    assert [replace(r, population=f.population) for r, f in zip(renamed, first, strict=True)] == first
    assert all(r.population == f.population.replace("net: ", "other: ") for r, f in zip(renamed, first, strict=True))
    assert sweep(digits.exact, digits.task, rates, seed=1) != first


def test_the_population_is_described(digits):
    exact, pruned, original = (
        sweep(getattr(digits, n), digits.task, [0.0], samples=1, label=n)[0].population
        for n in ("exact", "approximated", "original")
    )
    assert exact.startswith("exact: 121984 weight bits of 4 layers (15248 8-bit sign-magnitude integers)")
    assert original.startswith("original: 487936 weight bits of 4 layers (15248 float32)")
    assert "6-bit sign-magnitude integers" in pruned
    assert "zero weights of 4 pruned layers are not stored" in pruned
    unnamed = sweep(digits.exact, digits.task, [0.0], samples=1, label="")[0].population
    assert unnamed.startswith("121984 weight bits")


class Counting(nn.Module):
    """Counts its forward passes, over all copies."""

    passes = 0

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        Counting.passes += 1
        return self.inner(x)


def test_trials_without_a_fault_cost_no_inference(digits):
    model, done = Counting(digits.original), []
    Counting.passes = 0
    sweep(model, digits.task, [0.0], trials=50, samples=200, progress=lambda n, total: done.append((n, total)))
    example, golden = 1, 2
    assert Counting.passes == example + golden
    assert done == [(n, 50) for n in range(1, 51)]


@dataclass(frozen=True)
class SetWord(FaultModel):
    """The first weight becomes a given float32 word."""

    kind: ClassVar[str] = "set_word"

    word: int = 0

    def read(self, words, layout, bits, random):
        """Set the word."""
        return np.full_like(words, self.word)

    def corrupt(self, words, layout, rng):
        """Set the word unless the rate is 0."""
        struck = words.copy()
        struck[0] = self.word if self.rate_per_bit else words[0]
        return struck


def two_class_task(inputs, labels):
    """Logits are the inputs."""
    model = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.eye(2))
    data = tensor_split(torch.tensor(inputs), torch.tensor(labels))
    return Task("two", model, torch.zeros(1, 2), data, data, data, data, 2)


NAN, PLUS_INF, MINUS_INF = 0x7FC00000, 0x7F800000, 0xFF800000


@pytest.mark.parametrize(
    ("word", "accuracy", "sdc"),
    [
        # Logits are (w x0, x1). Samples: (1, 0) of class 0, (0, 1) and (1, 2) of class 1; all are right without faults.
        (NAN, 0.0, 1.0),  # NaN everywhere: no class, wrong and changed
        (PLUS_INF, 0.0, 1.0),  # (inf, 0), (0 inf = NaN, 1), (inf, 2): no finite winner
        (MINUS_INF, 1 / 3, 2 / 3),  # (-inf, 0) is class 1 and wrong, (NaN, 1) has no class, (-inf, 2) is class 1
        (0xC0000000, 2 / 3, 1 / 3),  # -2: (-2, 0) is class 1
        (0x3F800000, 1.0, 0.0),  # 1, the word that was there
    ],
)
def test_outputs_that_are_not_numbers_count_as_wrong_and_as_changed(word, accuracy, sdc):
    task = two_class_task([[1.0, 0.0], [0.0, 1.0], [1.0, 2.0]], [0, 1, 1])
    clean, struck = sweep(task.model, task, [0.0, 1.0], fault=SetWord(0.0, word), samples=3)
    assert (clean.value, clean.sdc) == (1.0, 0.0)
    assert struck.value == pytest.approx(accuracy)
    assert struck.sdc == pytest.approx(sdc)


def test_a_wrong_prediction_that_a_fault_repairs_raises_accuracy_and_counts_as_changed():
    task = two_class_task([[1.0, 0.0], [1.0, 0.5]], [0, 1])
    (record,) = sweep(task.model, task, [1.0], fault=SetWord(0.0, 0x3E800000), samples=2)
    assert (record.value, record.sdc) == (1.0, 0.5)


@dataclass(frozen=True)
class Failing(FaultModel):
    """Flips bits, and fails at the third layer of a trial, when two are struck already."""

    kind: ClassVar[str] = "failing"
    calls: ClassVar[int] = 0

    def read(self, words, layout, bits, random):
        """Flip."""
        return BitFlip(0.1).read(words, layout, bits, random)

    def corrupt(self, words, layout, rng):
        """Flip, or raise."""
        Failing.calls += 1
        if Failing.calls == 3:
            raise RuntimeError("the injector broke")
        return BitFlip(0.1).corrupt(words, layout, rng)


def snapshot(model):
    tensors = {name: value.clone() for name, value in model.state_dict().items()}
    forced = [layer.forced_codes for layer in emulated(model)]
    hooks = [len(m._forward_pre_hooks) + len(m._forward_hooks) for m in model.modules()]
    return tensors, (forced, hooks, [m.training for m in model.modules()])


def as_bytes(value):
    return value.reshape(-1).view(torch.uint8)


def assert_untouched(model, before):
    tensors, rest = snapshot(model)
    assert rest == before[1]
    for name, value in tensors.items():
        assert torch.equal(as_bytes(value), as_bytes(before[0][name])), name


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("way", ["done", "fault model fails", "callback fails"])
def test_model_and_data_are_untouched_whatever_happens(digits, name, way):
    model, task = getattr(digits, name), digits.task
    before = snapshot(model)
    if way == "done":
        sweep(model, task, [0.0, 0.05, 1.0], trials=2)
    elif way == "fault model fails":
        Failing.calls = 0
        with pytest.raises(RuntimeError, match="the injector broke"):
            sweep(model, task, [0.05], fault=Failing(0.0))
    else:

        def stop(done, total):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            sweep(model, task, [0.05], progress=stop)
    assert_untouched(model, before)
    assert fingerprint(task.name, task.model, task.splits()) == task.fingerprint


class Rude(nn.Module):
    """Overwrites its input and refuses NaN."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2, bias=False)
        nn.init.eye_(self.linear.weight)

    def forward(self, x):
        out = self.linear(x.mul_(2))
        if bool(torch.isnan(out).any()):
            raise FloatingPointError("NaN in the network")
        return out


class SharedStorage:
    """A split that hands out its own tensors."""

    def __init__(self, inputs, targets):
        self.inputs, self.targets = inputs, targets

    def __len__(self):
        return len(self.targets)

    def fetch(self, indices):
        return self.inputs[: len(indices)], self.targets[: len(indices)]


def rude_task():
    data = SharedStorage(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1]))
    return Task("rude", Rude(), torch.ones(1, 2), data, data, data, data, 2, fingerprint="fixed")


def test_a_model_that_overwrites_its_input_sees_the_same_data_in_every_trial():
    task = rude_task()
    (record,) = sweep(task.model, task, [1.0], fault=SetWord(0.0, 0x3F000000), trials=3)
    assert task.test.inputs.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert task.example_input.tolist() == [[1.0, 1.0]]
    assert record.value == 1.0


def test_a_model_that_fails_under_faults_leaves_model_and_data_as_they_were():
    task = rude_task()
    before = snapshot(task.model)
    with pytest.raises(FloatingPointError):
        sweep(task.model, task, [1.0], fault=SetWord(0.0, NAN))
    assert_untouched(task.model, before)
    assert task.test.inputs.tolist() == [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"trials": 1}, "trials is 1"),
        ({"samples": 0}, "samples is 0"),
        ({"confidence": 95}, "confidence is a fraction"),
        ({"split": "tests"}, "did you mean 'test'"),
        ({"rates": [0.1, -1]}, "probability"),
    ],
)
def test_values_that_cannot_be_are_refused(digits, changes, fragment):
    with pytest.raises(ConfigError, match=fragment):
        sweep(digits.exact, digits.task, changes.pop("rates", [0.1]), **changes)


def test_a_model_without_weights_is_refused(digits):
    with pytest.raises(TaskError, match="no stored weight"):
        sweep(nn.Flatten(), digits.task, [0.1])
