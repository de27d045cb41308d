import json
import tomllib
from importlib import resources

import pytest

from laxity.core.errors import RegistryError, TargetError
from laxity.targets import COST_MODELS, load_target, target_names
from laxity.testing.target import check_target

RESIZED = """
extends = "mac-array-45nm"
description = "a smaller array"
[array]
rows = { value = 4, unit = "PE", basis = "modelled", source = "test" }
columns = { value = 4, unit = "PE", basis = "modelled", source = "test" }
"""


def write(tmp_path, text, name="mine.toml"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_built_in_is_found_by_name_with_hyphens_or_underscores():
    assert "mac-array-45nm" in target_names()
    assert load_target("mac-array-45nm").key == load_target("mac_array_45nm").key
    assert load_target("mac-array-45nm").name == "mac-array-45nm"


def test_every_built_in_loads_and_describes_every_constant():
    for name in target_names():
        target = load_target(name)
        described = target.describe()
        raw = tomllib.loads(resources.files("laxity.targets").joinpath(f"{name}.toml").read_text())
        for section, constants in target.schema.items():
            assert set(described["constants"][section]) == set(constants)
            for constant in described["constants"][section].values():
                assert constant["source"]
                assert constant["unit"]
            assert described["constants"][section] == raw[section]
        json.dumps(described, allow_nan=False)


def test_unknown_name_proposes_a_built_in():
    with pytest.raises(RegistryError, match="did you mean 'mac-array-45nm'"):
        load_target("mac-aray-45nm")


def test_extending_a_built_in_overrides_some_constants(tmp_path):
    target = load_target(str(write(tmp_path, RESIZED)))
    base = load_target("mac-array-45nm")
    assert target.name == "mine"
    assert target.description == "a smaller array"
    assert target.constants.count("array.rows") == 4
    assert target.constants.constant("dram.access") == base.constants.constant("dram.access")
    assert target.baseline_multiplier == base.baseline_multiplier
    assert target.key != base.key


def test_a_full_user_file_works_and_needs_no_name(tmp_path):
    text = resources.files("laxity.targets").joinpath("mac-array-45nm.toml").read_text()
    target = load_target(write(tmp_path, text))
    assert target.name == "mine"
    assert target.constants.constants == load_target("mac-array-45nm").constants.constants


@pytest.mark.parametrize(
    ("text", "error", "fragment"),
    [
        ("[array]\n", TargetError, "missing key 'model'"),
        ('model = "mac-aray"\n', RegistryError, "did you mean 'mac-array'"),
        ('extends = "mac-array-45n"\n', RegistryError, "did you mean 'mac-array-45nm'"),
        ('extends = "mac-array-45nm"\nmodel = "other"\n', TargetError, "differs from 'mac-array'"),
        ('extends = "mac-array-45nm"\narray = 3\n', TargetError, "[array] must be a section"),
        ('extends = "mac-array-45nm"\n[array]\nrow = 3\n', TargetError, "did you mean 'rows'"),
        ('extends = "mac-array-45nm"\n[array]\nrows = 3\n', TargetError, "must be a table"),
        ('extends = "mac-array-45nm"\npe_source = "yosis"\n', TargetError, "use one of netlist, yosys"),
        ('extends = "mac-array-45nm"\npe_sauce = "yosys"\n', TargetError, "did you mean 'pe_source'"),
        ('extends = "mac-array-45nm"\nlut_source = "yosys"\n', TargetError, "unknown key 'lut_source'"),
        ('extends = "eyeriss-like"\nelement = 3\n', TargetError, "[element] must be a section"),
        ('extends = "eyeriss-like"\n[elements]\n', TargetError, "did you mean 'element'"),
        ('extends = "zynq-7020"\n[dram]\naces = 3\n', TargetError, "did you mean 'access'"),
        ('extends = "mac-array-45nm"\nbaseline_multiplier = "dada8"\n', RegistryError, "did you mean 'dadda8'"),
    ],
)
def test_wrong_files_are_refused_with_a_remedy(tmp_path, text, error, fragment):
    with pytest.raises(error) as caught:
        load_target(write(tmp_path, text))
    assert fragment in str(caught.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(TargetError, match=r"gone\.toml"):
        load_target(tmp_path / "gone.toml")


def test_cost_models_are_registered():
    assert set(COST_MODELS.names()) >= {"mac-array", "spatial-array", "fpga-mac-groups"}


@pytest.mark.parametrize("name", target_names())
def test_every_built_in_conforms(name, tmp_path):
    document = tomllib.loads(resources.files("laxity.targets").joinpath(f"{name}.toml").read_text())
    lines = [f'extends = "{name}"', *(['lut_source = "netlist"'] if document["model"] == "fpga-mac-groups" else [])]
    check_target(load_target(write(tmp_path, "\n".join(lines))))


def test_an_option_is_checked_and_kept_only_where_it_is_not_the_usual_one(tmp_path):
    usual = load_target(write(tmp_path, 'extends = "mac-array-45nm"\nname = "mac-array-45nm"\npe_source = "netlist"\n'))
    assert usual.key == load_target("mac-array-45nm").key
    assert "options" not in usual.describe()
    other = load_target(write(tmp_path, 'extends = "mac-array-45nm"\nname = "mac-array-45nm"\npe_source = "yosys"\n'))
    assert other.option("pe_source") == "yosys"
    assert other.describe()["options"] == {"pe_source": "yosys"}
    assert other.key != usual.key
