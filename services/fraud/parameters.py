"""Parameters of signals and rings: the FRAUD_PARAMETERS part of a policy set, checked and compiled."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import yaml

from services.common.errors import FieldViolation, InvalidArgument
from services.fraud.memory import DEGREE_CAP


@dataclass(frozen=True, slots=True)
class PlaceParameters:
    """Points of the place component, 0 to 5 each."""

    tor: float
    vpn: float
    hosting: float
    region_mismatch: float
    travel: float


@dataclass(frozen=True, slots=True)
class TravelParameters:
    """When two sightings are too far apart."""

    impossible_kmh: float
    """Above this speed, km/h."""
    floor_km: float
    """Shorter distances count as none."""
    floor_minutes: float
    """Shorter times count as this long."""


@dataclass(frozen=True, slots=True)
class Slope:
    """A risk that grows with a count: step * (count - from + 1), at most `most`; 0 below `from`."""

    start: int
    step: float
    most: float

    def risk(self, count: int) -> float:
        """The risk of a count, 0 to 1."""
        return 0.0 if count < self.start else min(self.most, self.step * (count - self.start + 1))


@dataclass(frozen=True, slots=True)
class NetworkParameters:
    """Contributions to the network risk, 0 to 1 each."""

    device_accounts: Slope
    payment_accounts: Slope
    device_failures: Slope
    address_failed_accounts: Slope
    ring: float


@dataclass(frozen=True, slots=True)
class RingParameters:
    """What a ring is."""

    minimum_accounts: int
    """At least 3."""
    flagged_accounts: int
    """At least minimum_accounts."""
    degree: int
    """2 to DEGREE_CAP."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """All of them."""

    place: PlaceParameters
    travel: TravelParameters
    network: NetworkParameters
    rings: RingParameters


def parse(content: bytes) -> Parameters:
    """Reads the YAML of defaults/parameters.yaml.

    Raises InvalidArgument (FRAUD_PARAMETERS_INVALID) with every problem: missing and unknown names, wrong types and
    ranges.
    """
    reader = _Reader()
    try:
        tree = yaml.safe_load(content)
    except yaml.YAMLError as error:
        raise InvalidArgument("FRAUD_PARAMETERS_INVALID", "the fraud parameters are not YAML") from error
    parameters = reader.section(Parameters, tree, "")
    if parameters is not None and not reader.violations:
        rings = parameters.rings
        if not 3 <= rings.minimum_accounts <= rings.flagged_accounts:
            reader.note("rings.minimum_accounts", "from 3 to flagged_accounts")
        if not 2 <= rings.degree <= DEGREE_CAP:
            reader.note("rings.degree", f"from 2 to {DEGREE_CAP}")
        if parameters.travel.impossible_kmh <= 0 or parameters.travel.floor_minutes <= 0:
            reader.note("travel", "speed and time above 0")
    if reader.violations or parameters is None:
        raise InvalidArgument(
            "FRAUD_PARAMETERS_INVALID",
            "the fraud parameters of the policy set are not usable",
            violations=reader.violations,
        )
    return parameters


# Upper bounds by section; counts and times have none.
_MOST = {"place": 5.0, "network": 1.0}


class _Reader:
    def __init__(self) -> None:
        self.violations: list[FieldViolation] = []

    def note(self, field: str, expected: str) -> None:
        self.violations.append(FieldViolation(field, "OUT_OF_RANGE", f"it must be {expected}"))

    def section(self, cls: Any, tree: object, path: str) -> Any:
        if not isinstance(tree, dict):
            self.note(path or "parameters", "a mapping")
            return None
        names = {("from" if f.name == "start" else f.name): f for f in dataclasses.fields(cls)}
        for name in sorted(set(map(str, tree)) - set(names)):
            self.note(f"{path}{name}", "absent: it is not a parameter")
        values = {}
        for name, field in names.items():
            if name not in tree:
                self.note(f"{path}{name}", "given")
                continue
            kind = _TYPES.get(str(field.type))
            if kind is not None:
                values[field.name] = self.section(kind, tree[name], f"{path}{name}.")
                continue
            value = self.number(tree[name], whole=str(field.type) == "int", path=f"{path}{name}")
            if value is not None:
                values[field.name] = value
        return cls(**values) if len(values) == len(names) else None

    def number(self, value: object, *, whole: bool, path: str) -> float | int | None:
        good = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        most = math.inf if whole else _MOST.get(path.split(".")[0], math.inf)
        if not good or not math.isfinite(float(value)) or not 0 <= float(value) <= most:  # type: ignore[arg-type]
            limits = "from 0" if most == math.inf else f"from 0 to {most:g}"
            self.note(path, f"a {'whole ' if whole else ''}number {limits}")
            return None
        return value if whole else float(value)  # type: ignore[arg-type, return-value]


_TYPES = {
    cls.__name__: cls for cls in (PlaceParameters, TravelParameters, NetworkParameters, RingParameters, Slope)
}
