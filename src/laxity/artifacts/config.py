"""The configuration of a run: read from TOML with unknown keys refused, written back resolved."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from laxity.core.errors import ConfigError, PlanError
from laxity.core.plan import Recovery
from laxity.core.registry import did_you_mean
from laxity.recovery.gradients import GRADIENTS, gradient_named


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class TaskConfig(_Section):
    """Which network on which data; the arguments of `load_task`."""

    spec: str = "digits"
    data_dir: str | None = None
    model: str | None = None
    weights: str | None = None
    data: str | None = None
    num_classes: int | None = None
    download: bool = False

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of `load_task`."""
        return self.model_dump()


class SearchConfig(_Section):
    """How much is tried; see `laxity.search.Budget`."""

    candidates: int = Field(6, ge=2, le=100)
    evaluations: int = Field(36, ge=4, le=100_000)
    population: int = Field(12, ge=2, le=1000)
    rounds: int = Field(5, ge=0, le=100)
    probe_samples: int = Field(256, ge=0)
    search_samples: int = Field(1024, ge=0)
    techniques: list[str] | None = None


class RecoveryConfig(_Section):
    """How plans are repaired; see `laxity.core.plan.Recovery`.

    Of several learning rates the best is found by trial, and so is that of several gradients where multipliers are
    approximate; everything else begins with the first gradient.
    """

    reestimate: bool = True
    epochs: int = Field(8, ge=0, le=10_000)
    learning_rates: list[float] = Field([3e-4, 1e-3, 3e-3], min_length=1)
    batch_size: int = Field(64, ge=1)
    samples: int = Field(2048, ge=0)
    distil: float = Field(0.9, ge=0, le=1)
    temperature: float = Field(4.0, gt=0)
    schedule: Literal["constant", "error"] = "constant"
    teacher: Literal["original", "quantised"] = "original"
    quantised_epochs: int = Field(0, ge=0, le=10_000)
    gradients: list[str] = Field(["straight_through", "error_slope"], min_length=1)
    modelled: bool = False
    regularise: float = Field(0.0, ge=0, le=1)
    alpha: float = Field(0.0, ge=0, le=1)
    compensate: bool = False

    @field_validator("gradients")
    @classmethod
    def _known(cls, gradients: list[str]) -> list[str]:
        for text in gradients:
            name = text.partition(" ")[0]
            if name not in GRADIENTS:
                raise ValueError(f"there is no gradient {name!r}{did_you_mean(name, GRADIENTS.names())}")
            try:
                gradient_named(text)
            except PlanError as error:
                raise ValueError(str(error)) from error
        return gradients

    def values(self) -> tuple[Recovery, ...]:
        """The plan's recovery, once for each learning rate.

        Raises:
            PlanError: a learning rate that is not positive.
        """
        fixed = self.model_dump(exclude={"learning_rates", "gradients"})
        gradient = "straight_through" if self.modelled else self.gradients[0]
        return tuple(Recovery(learning_rate=rate, gradient=gradient, **fixed) for rate in self.learning_rates)


class FaultConfig(_Section):
    """The reliability view: bit error rates, fault patterns per rate, test samples per pattern."""

    rates: list[float] = Field([1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2], min_length=1)
    trials: int = Field(20, ge=2)
    samples: int = Field(500, ge=1)

    @field_validator("rates")
    @classmethod
    def _probabilities(cls, rates: list[float]) -> list[float]:
        for rate in rates:
            if not 0 <= rate <= 1:
                raise ValueError(f"rate {rate} is no probability; use values from 0 to 1")
        return rates


class HardeningConfig(_Section):
    """How plans are protected where there is a limit to faults; see `laxity.search.harden`."""

    population: str = "weights"
    fault: str = "bit_flip"
    metric: Literal["sdc", "critical"] = "sdc"
    confidence: float = Field(0.99, gt=0, lt=1)
    alarms: bool = False
    techniques: list[str] | None = None
    plans: int = Field(4, ge=1, le=1000)


class RunConfig(_Section):
    """Everything that decides the result of a run. Workers are not part of it: they do not change the result."""

    target: str = "mac-array-45nm"
    max_drop: float = Field(0.01, ge=0, lt=1)
    max_sdc: float | None = Field(None, gt=0, lt=1)
    guard: float = Field(1.64, ge=0, le=10)
    seed: int = Field(0, ge=0)
    device: str = "cpu"
    threads: int = Field(1, ge=1, le=256)
    circuits: str | None = None
    task: TaskConfig = TaskConfig()
    search: SearchConfig = SearchConfig()
    quick: RecoveryConfig = RecoveryConfig(epochs=0)
    recovery: RecoveryConfig = RecoveryConfig()
    faults: FaultConfig = FaultConfig()
    hardening: HardeningConfig = HardeningConfig()

    def toml(self) -> str:
        """The resolved configuration as TOML text; keys without a value are left out."""
        data = self.model_dump(exclude_none=True)
        lines = [f"{key} = {_literal(value)}" for key, value in data.items() if not isinstance(value, dict)]
        for section, values in data.items():
            if isinstance(values, dict):
                lines += ["", f"[{section}]", *(f"{key} = {_literal(value)}" for key, value in values.items())]
        return "\n".join(lines) + "\n"


def _literal(value: Any) -> str:
    """TOML text of a value; JSON writes strings, booleans, numbers and flat lists as TOML does."""
    if isinstance(value, float):
        return repr(value) if "e" not in repr(value) else f"{value:.17g}".replace("e-0", "e-")
    if isinstance(value, list):
        return "[" + ", ".join(_literal(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def read_config(path: Path) -> dict[str, Any]:
    """Read a TOML file into nested dictionaries.

    Raises:
        ConfigError: missing, unreadable, not TOML, or with duplicate keys; names the file and the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read configuration {path}: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"configuration {path} is not UTF-8 text; save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        hint = "the key occurs twice, keep one" if "overwrite" in str(error) else "correct that line"
        raise ConfigError(f"configuration {path}: {error}; {hint}") from error


def resolve(data: dict[str, Any], source: str) -> RunConfig:
    """Check nested dictionaries and fill in defaults.

    Args:
        data: as `read_config` returns, with command-line options merged in.
        source: named in messages.

    Raises:
        ConfigError: an unknown key (with the nearest known one), a wrong type or a value out of range.
    """
    try:
        return RunConfig.model_validate(_floats(RunConfig, data))
    except ValidationError as error:
        raise ConfigError(f"{source}: " + _explain(error.errors()[0])) from None


def _floats(model: type[BaseModel], data: Any) -> Any:
    """Whole numbers given for fractional options become floats, as TOML writers commonly omit the point."""
    if not isinstance(data, dict):
        return data
    converted = {}
    for key, value in data.items():
        field = model.model_fields.get(key)
        kind = field.annotation if field is not None else None
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            converted[key] = _floats(kind, value)
        elif kind is float and type(value) is int:
            converted[key] = float(value)
        elif kind == list[float] and isinstance(value, list):
            converted[key] = [float(v) if type(v) is int else v for v in value]
        else:
            converted[key] = value
    return converted


def _explain(error: Any) -> str:
    place = [str(part) for part in error["loc"]]
    name = ".".join(place)
    if error["type"] == "extra_forbidden":
        return f"unknown key {name!r}{did_you_mean(place[-1], _keys(place[:-1]))}"
    given = error.get("input")
    if error["type"] == "model_type":
        return f"{name} is a section, not {given!r}; write [{name}] and its keys on the lines below"
    if error["type"] == "value_error":
        return f"{name}: {error['ctx']['error']}"
    return f"{name}: {error['msg'][0].lower()}{error['msg'][1:]}, not {given!r}"


def _keys(place: list[str]) -> list[str]:
    """Known keys of the section at `place`."""
    model: Any = RunConfig
    for part in place:
        field = model.model_fields.get(part)
        model = field.annotation if field is not None else None
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return []
    return list(model.model_fields)


EFFORTS: dict[str, dict[str, Any]] = {
    "quick": {
        "search": {"candidates": 4, "evaluations": 18, "population": 8, "rounds": 2},
        "recovery": {"epochs": 4, "learning_rates": [3e-4, 1e-3]},
        "faults": {"trials": 10, "samples": 300},
    },
    "normal": {},
    "thorough": {"search": {"evaluations": 120, "population": 24, "rounds": 8}},
}
Effort = Literal["quick", "normal", "thorough"]


def merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Nested dictionaries joined; values of `over` win."""
    joined = dict(base)
    for key, value in over.items():
        old = joined.get(key)
        joined[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return joined
