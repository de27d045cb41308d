"""Recoveries of a configuration: one per learning rate, with the treatments that it names."""

import pytest

from laxity.artifacts.config import RecoveryConfig, RunConfig, read_config, resolve
from laxity.core.errors import ConfigError
from laxity.core.plan import Recovery


def test_without_keys_recoveries_have_no_treatments():
    found = RunConfig().recovery.values()
    assert found == tuple(Recovery(epochs=8, samples=2048, learning_rate=r) for r in (3e-4, 1e-3, 3e-3))
    assert RunConfig().quick.values()[0].epochs == 0


def test_treatments_are_those_of_the_file(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(
        '[recovery]\nlearning_rates = [0.001]\nschedule = "error"\nteacher = "quantised"\nquantised_epochs = 2\n'
        'gradients = ["table_1d"]\nregularise = 0.05\nalpha = 0.1\ncompensate = true\n'
    )
    config = resolve(read_config(file), "run.toml")
    (found,) = config.recovery.values()
    assert found == Recovery(
        epochs=8, samples=2048, learning_rate=1e-3, schedule="error", teacher="quantised", quantised_epochs=2,
        gradient="table_1d", regularise=0.05, alpha=0.1, compensate=True,
    )  # fmt: skip
    again = tmp_path / "again.toml"
    again.write_text(config.toml())
    assert resolve(read_config(again), "again.toml") == config


def test_models_of_errors_bring_their_own_gradient():
    (found, *_) = RecoveryConfig(modelled=True).values()
    assert (found.modelled, found.gradient) == (True, "straight_through")


@pytest.mark.parametrize(
    ("recovery", "message"),
    [
        (
            {"gradients": ["eror_slope"]},
            "recovery.gradients: there is no gradient 'eror_slope'; did you mean 'error_slo",
        ),
        ({"gradients": ["table_2d widow=4"]}, "recovery.gradients: .*no option 'widow'; did you mean 'window'"),
        ({"gradients": []}, "recovery.gradients: list should have at least 1 item"),
        ({"teacher": "other"}, "recovery.teacher: input should be 'original' or 'quantised', not 'other'"),
        ({"regularise": 2}, "recovery.regularise: input should be less than or equal to 1, not 2"),
        ({"gradient": "table_1d"}, "unknown key 'recovery.gradient'; did you mean 'gradients'"),
    ],
)
def test_bad_treatments_are_named(recovery, message):
    with pytest.raises(ConfigError, match=message):
        resolve({"recovery": recovery}, "run.toml")
