"""Parameters are read whole or refused with every problem."""

from __future__ import annotations

import pytest
import yaml

from services.common.errors import InvalidArgument
from services.fraud.parameters import Slope, parse
from tests.unit.fraud.defaults import DEFAULTS


def test_the_defaults_are_valid() -> None:
    parameters = parse(DEFAULTS)
    assert parameters.rings.minimum_accounts == 5
    assert parameters.rings.flagged_accounts == 6
    assert parameters.travel.impossible_kmh == 900


def test_every_problem_is_told() -> None:
    tree = yaml.safe_load(DEFAULTS)
    tree["place"]["tor"] = 6
    del tree["place"]["vpn"]
    tree["travel"]["floor_km"] = "far"
    tree["network"]["ring"] = True
    tree["network"]["device_accounts"]["from"] = 2.5
    tree["rings"]["colour"] = "red"
    with pytest.raises(InvalidArgument) as caught:
        parse(yaml.safe_dump(tree).encode())
    assert caught.value.reason == "FRAUD_PARAMETERS_INVALID"
    assert {violation.field for violation in caught.value.violations} == {
        "place.tor", "place.vpn", "travel.floor_km", "network.ring", "network.device_accounts.from", "rings.colour",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"), [("minimum_accounts", 2), ("flagged_accounts", 4), ("degree", 65), ("degree", 1)]
)
def test_ring_bounds(name: str, value: int) -> None:
    tree = yaml.safe_load(DEFAULTS)
    tree["rings"][name] = value
    with pytest.raises(InvalidArgument):
        parse(yaml.safe_dump(tree).encode())


@pytest.mark.parametrize("content", [b"", b"[1]", b"place: {", b"\xff\xfe\x00"])
def test_what_is_no_mapping_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidArgument):
        parse(content)


def test_a_slope() -> None:
    slope = Slope(start=4, step=0.1, most=0.25)
    assert [slope.risk(count) for count in (3, 4, 5, 6, 100)] == pytest.approx([0, 0.1, 0.2, 0.25, 0.25])
