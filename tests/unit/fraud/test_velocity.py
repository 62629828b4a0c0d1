"""Failures, takeovers, trials, chargebacks and streams, from events to signals and evidence."""

from __future__ import annotations

from typing import Any

from services.fraud.engine import Engine
from services.fraud.memory_process import TenantMemory
from services.fraud.parameters import parse
from services.fraud.request import read_columns, read_items
from services.fraud.signals import ALONE, compile_assessor
from tests.unit.fraud.defaults import DEFAULTS
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

PARAMETERS = parse(DEFAULTS)
ENGINE = Engine(PARAMETERS, compile_assessor(PARAMETERS))
T0 = 1_795_348_800
DAY = 86_400
S = decision_pb2


class World:
    """A memory that events pass one by one."""

    def __init__(self) -> None:
        self.memory = TenantMemory(100_000)
        self.number = 0

    def see(
        self, kind: str, user: str = "ann", at: float = 0, **fields: Any
    ) -> tuple[tuple[float, ...], list[str]]:
        """Signals and codes of the evidence of one event."""
        self.number += 1
        account = {name: fields.pop(name) for name in ("trial", "stream_limit") if name in fields}
        values = {"device_id": f"device-{user}", "ip_address": "192.0.2.1", "region": "DE", **fields}
        event = event_pb2.Event(event_id=f"e{self.number}", user_id=user, event_type=kind, **values)
        event.event_time.FromMilliseconds(round((T0 + at) * 1000))
        for name, value in account.items():
            setattr(event.account, name, value)
        columns = read_columns(1, event_pb2.Places(), (), least=1)
        [item] = read_items([event.SerializeToString()], columns, 0, 1)
        row, content = ENGINE.assess(self.memory.observe(item.sighting), item, ALONE)
        evidence = decision_pb2.Assessment.FromString(content).evidence
        return row, [S.ReasonCode.Name(reason.code).removeprefix("REASON_CODE_") for reason in evidence]


def test_brute_force_of_47_failures_in_3_minutes_is_told_by_the_tenth() -> None:
    world = World()
    told = [world.see("login_failed", at=i * 180 / 47)[1] for i in range(47)]
    first = next(number for number, codes in enumerate(told, 1) if "BRUTE_FORCE" in codes)
    assert first <= 10
    assert all("BRUTE_FORCE" in codes for codes in told[first:])


def test_a_forgotten_password_is_no_brute_force() -> None:
    world = World()
    for i in range(4):
        assert "BRUTE_FORCE" not in world.see("login_failed", at=20 * i)[1]
    assert world.see("login", at=120)[0][S.SIGNAL_INDEX_BURST_FAILURES] == 4


def test_stuffing_without_a_loud_source_is_seen_by_its_program_and_its_network() -> None:
    world = World()
    for i in range(40):
        world.see(
            "login_failed",
            f"victim{i}",
            at=i,
            ip_address=f"203.0.{i}.7",
            user_agent="grabber/1.0",
            device_id=f"d{i}",
        )
    row, codes = world.see(
        "login", "last", at=60, ip_address="203.0.99.7", user_agent="grabber/1.0", device_id="dx"
    )
    assert "DISTRIBUTED_STUFFING" in codes
    assert row[S.SIGNAL_INDEX_STUFFING] > 0.5
    network = World()
    for i in range(40):
        network.see("login_failed", f"victim{i}", at=i, ip_address=f"203.0.113.{i}", device_id=f"d{i}")
    assert "DISTRIBUTED_STUFFING" in network.see("login", "last", at=60, ip_address="203.0.113.99")[1]


def test_a_common_browser_behind_a_carrier_is_no_wave() -> None:
    world = World()
    for i in range(200):
        kind = "login_failed" if i % 4 == 0 else "login"
        row, codes = world.see(
            kind, f"viewer{i}", at=i, ip_address=f"100.64.3.{i}", user_agent="Chrome", device_id=f"d{i}"
        )
        assert "DISTRIBUTED_STUFFING" not in codes
    assert row[S.SIGNAL_INDEX_STUFFING] == 0


def test_spraying_over_a_day_is_told_and_guessing_from_many_addresses() -> None:
    world = World()
    for i in range(20):
        row, codes = world.see("login_failed", f"victim{i}", at=i * 3600, device_id=f"d{i}")
    assert "PASSWORD_SPRAYING" in codes
    assert row[S.SIGNAL_INDEX_SPRAYING] > 0
    for i in range(8):
        row, codes = world.see(
            "login_failed", "bob", at=i * 1800, ip_address=f"198.51.{i}.1", device_id=f"x{i}"
        )
    assert "GUESSED_FROM_MANY_ADDRESSES" in codes
    assert row[S.SIGNAL_INDEX_FAILURE_SOURCES] == 7


def test_a_carriers_gateway_where_people_mistype_all_day_is_not_sprayed() -> None:
    world = World()
    for i in range(120):
        kind = "login_failed" if i % 3 == 0 else "login"
        row, codes = world.see(kind, f"viewer{i}", at=i * 600, device_id=f"d{i}")
        assert "PASSWORD_SPRAYING" not in codes
    assert row[S.SIGNAL_INDEX_SPRAYING] == 0


def test_a_takeover_is_followed_step_by_step() -> None:
    world = World()
    for day in range(3):
        world.see("play", at=-5 * DAY + day * DAY)
    thief = {"device_id": "thief", "ip_address": "203.0.113.5"}
    for i in range(4):
        world.see("login_failed", at=i * 10, **thief)
    steps = [
        world.see(kind, at=60 + 30 * i, **thief)[0][S.SIGNAL_INDEX_TAKEOVER_STEPS]
        for i, kind in enumerate(["login", "email_change", "data_export"])
    ]
    assert steps == [2, 3, 4]
    # The viewer's own old device does the same: nothing.
    own = World()
    own.see("play", at=-5 * DAY)
    for i in range(4):
        own.see("login_failed", at=i * 10)
    assert [own.see(kind, at=60)[0][S.SIGNAL_INDEX_TAKEOVER_STEPS] for kind in ("login", "email_change")] == [
        0,
        0,
    ]


def test_trials_and_chargebacks_on_one_card() -> None:
    world = World()
    for i in range(4):
        row, codes = world.see(
            "signup", f"new{i}", at=i * DAY, trial=True, payment_fingerprint="card", device_id=f"d{i}"
        )
    assert (row[S.SIGNAL_INDEX_TRIAL_ACCOUNTS], "TRIAL_ABUSE" in codes) == (3, True)
    world.see("chargeback", "x", payment_fingerprint="stolen", device_id="dx")
    row, codes = world.see("purchase", "y", at=100 * DAY, payment_fingerprint="stolen", device_id="dy")
    assert (row[S.SIGNAL_INDEX_CHARGEBACK_ACCOUNTS], "CHARGEBACK_CLUSTER" in codes) == (1, True)


def test_a_family_at_home_streams_within_its_plan() -> None:
    world = World()
    for day in range(5):
        world.see("play", at=-10 * DAY + day * DAY, stream_id=f"old{day}", device_id="tv")
    row: tuple[float, ...] = ()
    for beat in range(5):
        for device in ("tv", "tablet", "phone"):
            row, codes = world.see(
                "heartbeat", at=beat * 60, stream_id=f"s-{device}", device_id=device, stream_limit=4
            )
            assert not {"ACCOUNT_SHARING", "STREAM_LIMIT", "CREDENTIAL_RESALE"} & set(codes)
    assert row[S.SIGNAL_INDEX_CONCURRENT_STREAMS] == 2
    assert row[S.SIGNAL_INDEX_SHARING] == 0


def test_streams_at_three_places_are_sharing_and_ten_places_a_day_are_resale() -> None:
    world = World()
    for i in range(3):
        row, codes = world.see(
            "heartbeat",
            at=i * 5,
            stream_id=f"s{i}",
            device_id=f"d{i}",
            ip_address=f"198.51.{i}.1",
            stream_limit=2,
        )
    assert "ACCOUNT_SHARING" in codes
    assert "STREAM_LIMIT" in codes
    assert row[S.SIGNAL_INDEX_STREAMS_OVER_LIMIT] == 1
    assert row[S.SIGNAL_INDEX_RESALE] == 0
    assert row[S.SIGNAL_INDEX_NETWORK_RISK] == 0
    for i in range(3, 12):
        row, codes = world.see(
            "heartbeat",
            at=i * 5,
            stream_id=f"s{i}",
            device_id=f"d{i}",
            ip_address=f"198.51.{i}.1",
            stream_limit=2,
        )
    assert "CREDENTIAL_RESALE" in codes
    assert row[S.SIGNAL_INDEX_RESALE] >= 0.8


def test_a_stopped_stream_and_one_without_heartbeats_are_no_more() -> None:
    world = World()
    world.see("heartbeat", stream_id="a", device_id="a")
    world.see("stop", at=10, stream_id="a", device_id="a")
    world.see("heartbeat", at=10, stream_id="b", device_id="b")
    assert (
        world.see("heartbeat", at=20, stream_id="c", device_id="c")[0][S.SIGNAL_INDEX_CONCURRENT_STREAMS] == 1
    )
    assert (
        world.see("heartbeat", at=200, stream_id="c", device_id="c")[0][S.SIGNAL_INDEX_CONCURRENT_STREAMS]
        == 0
    )
