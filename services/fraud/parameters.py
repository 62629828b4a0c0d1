"""Parameters of signals and rings: the FRAUD_PARAMETERS part of a policy set, checked and compiled."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
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
    """Share of an unconfirmed ring's score."""
    confirmed: float
    """Risk of the members of a confirmed ring."""
    confirmed_neighbours: Slope


@dataclass(frozen=True, slots=True)
class VelocityParameters:
    """Contributions of failures, takeovers, exports, trials and chargebacks to the network risk, 0 to 1 each."""

    burst_failures: Slope
    """Failed sign-ins of an account within ten minutes."""
    stuffed_accounts: Slope
    """Accounts that failed at one address within an hour."""
    distributed_accounts: Slope
    """Accounts that failed in a network within a day, or with one program within an hour."""
    failed_share: float
    """Share of the accounts that tried there from which it counts."""
    sprayed_accounts: Slope
    """Accounts that failed at one address within a day."""
    failure_sources: Slope
    """Addresses from which one account failed within a day."""
    takeover_step: float
    trial_accounts: Slope
    chargeback_accounts: Slope
    exports: Slope
    """Exports of an account within a day."""
    titles: Slope
    """Titles of an account within an hour."""


@dataclass(frozen=True, slots=True)
class SharingParameters:
    """What streams tell, 0 to 1 each."""

    away: Slope
    """Places beside one with streams at the same time."""
    over_limit: Slope
    """Streams above the limit, at several places."""
    resale_places: Slope
    """Networks, each with a device of its own, within a day."""
    told: float
    """From here on it is told."""


@dataclass(frozen=True, slots=True)
class RingParameters:
    """What a ring is."""

    minimum_accounts: int
    """At least 3."""
    flagged_accounts: int
    """At least minimum_accounts."""
    degree: int
    """2 to DEGREE_CAP. More accounts than this on a device or payment instrument: a public one."""
    largest: int
    """Parties from which a sweep parts what hangs together into communities."""
    household_accounts: int
    """Accounts that one home may have: what family plans allow, with room."""
    least_score: float
    """Score from which a group is a ring, 0 to 1."""
    half_life_days: float
    """Time after which a tie weighs half."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """All of them."""

    place: PlaceParameters
    travel: TravelParameters
    network: NetworkParameters
    velocity: VelocityParameters
    sharing: SharingParameters
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
        if not 0 < rings.least_score < 1 or rings.half_life_days <= 0:
            reader.note("rings", "least_score between 0 and 1, half_life_days above 0")
        if parameters.travel.impossible_kmh <= 0 or parameters.travel.floor_minutes <= 0:
            reader.note("travel", "speed and time above 0")
    if reader.violations or parameters is None:
        raise InvalidArgument(
            "FRAUD_PARAMETERS_INVALID",
            "the fraud parameters of the policy set are not usable",
            violations=reader.violations,
        )
    return parameters


def shipped() -> Parameters:
    """The parameters that come with this version."""
    return parse((Path(__file__).parent / "defaults" / "parameters.yaml").read_bytes())


# Upper bounds by section; counts and times have none.
_MOST = {"place": 5.0, "network": 1.0, "velocity": 1.0, "sharing": 1.0}


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
    cls.__name__: cls
    for cls in (
        PlaceParameters,
        TravelParameters,
        NetworkParameters,
        VelocityParameters,
        SharingParameters,
        RingParameters,
        Slope,
    )
}
