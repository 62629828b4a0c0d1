"""The simulator's stream: determinism, order, bounds of its arguments, and every scenario's shape.

Figures asserted here come from the simulator's documentation (its module and function descriptions), and
countries of addresses from the table of places, which a test of its own checks against GeoIP data.
"""

from __future__ import annotations

import hashlib
import io
import ipaddress
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import maxminddb
import pytest

from simulator.places import (
    GROUND_STATIONS,
    HOSTING_NETWORKS,
    OPT_IN_COUNTRIES,
    PLACES,
    TOR_EXITS,
    VPN_NETWORKS,
    Network,
)
from simulator.scenarios import JOURNEYS
from simulator.traffic import SCENARIOS, Label, generate, write_lines
from usher.event.v1 import event_pb2

START_MS = 1_794_787_200_000  # 2026-11-16T00:00:00Z, a Monday
DAY_MS = 86_400_000
HOUR_MS = 3_600_000
ROOT = Path(__file__).parents[3]

Traffic = list[tuple[event_pb2.Event, Label]]

DIGEST = """
import hashlib, sys
from simulator.traffic import generate
digest = hashlib.sha256()
for event, label in generate(11, 60, 1.5, 1794787200000):
    digest.update(event.SerializeToString(deterministic=True) + repr(tuple(label)).encode())
sys.stdout.write(digest.hexdigest())
"""


def traffic(scenarios: Sequence[str] | None, *, seed: int = 3, users: int = 80, days: float = 5.0) -> Traffic:
    return list(generate(seed, users, days, START_MS, scenarios))


def of(scenario: str, *, seed: int = 3, users: int = 80, days: float = 5.0) -> Traffic:
    return [
        item
        for item in traffic([scenario], seed=seed, users=users, days=days)
        if item[1].scenario == scenario
    ]


def millis(event: event_pb2.Event) -> int:
    return event.event_time.ToMilliseconds()


def within(address: str, networks: Sequence[Network]) -> bool:
    number = int(ipaddress.IPv4Address(address))
    return any(item.base <= number < item.base + item.size for item in networks)


def country_of(address: str) -> str:
    number = int(ipaddress.IPv4Address(address))
    return next((p.country for p in PLACES if p.home.base <= number < p.home.base + p.home.size), "")


def test_the_same_seed_gives_the_same_bytes_in_processes_with_other_hash_seeds() -> None:
    digests = [
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={
                **os.environ,
                "PYTHONHASHSEED": seed,
                "LC_ALL": "C",
                "TZ": zone,
                "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}",
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("4242", "Asia/Tokyo"))
    ]

    assert len(digests[0]) == hashlib.sha256().digest_size * 2
    assert digests[0] == digests[1]


def test_another_seed_gives_another_stream() -> None:
    one = [event.event_id for event, _ in generate(1, 20, 0.5, START_MS, [])]
    other = [event.event_id for event, _ in generate(2, 20, 0.5, START_MS, [])]

    assert not set(one) & set(other)


def test_events_come_in_order_within_the_time_and_with_ids_of_their_own() -> None:
    events = [event for event, _ in traffic(None)]
    times = [millis(event) for event in events]

    assert times == sorted(times)
    assert times[0] >= START_MS
    assert times[-1] < START_MS + 5 * DAY_MS
    assert len({event.event_id for event in events}) == len(events)


def test_every_event_has_the_fields_that_the_contract_requires() -> None:
    for event, _ in traffic(None, users=40, days=2.0):
        assert event.event_id
        assert event.user_id
        assert event.device_id
        assert 1 <= len(event.event_type) <= 50
        assert event.HasField("event_time")
        assert 2 <= len(event.region) <= 10
        assert ipaddress.IPv4Address(event.ip_address).is_global
        assert len(event.subscription_plan) <= 20
        assert len(event.user_agent) <= 1024
        assert event.privacy.user_residence == event.region
        assert event.privacy.purpose
        assert event.privacy.legal_basis_claimed
        assert event.privacy.service_type == "svod"
        assert list(event.privacy.controller_established_in)
        json.loads(event.metadata_json)


def test_a_stream_begins_with_play_and_ends_with_stop_and_beats_every_five_minutes() -> None:
    streams: dict[str, Traffic] = defaultdict(list)
    for item in traffic([], days=2.0):
        if item[0].stream_id:
            streams[item[0].stream_id].append(item)

    whole = [items for items in streams.values() if items[-1][0].event_type == "stop"]
    assert len(whole) > 100
    for items in whole:
        assert items[0][0].event_type == "play"
        assert len({event.user_id for event, _ in items}) == 1
        beats = [millis(event) for event, _ in items if event.event_type == "heartbeat"]
        # Pauses, seeks and errors make a distance longer, never shorter than the beat less its jitter of 2 s.
        assert all(later - earlier >= 298_000 for earlier, later in pairwise(beats))


def test_viewers_watch_more_in_their_evening_than_in_their_night() -> None:
    offsets = {place.time_zone: place.utc_offset_minutes for place in PLACES}
    hours = Counter(
        (millis(event) // 60_000 + offsets[event.time_zone]) // 60 % 24
        for event, _ in traffic([], users=300, days=3.0)
        if event.event_type == "play"
    )

    evening, night = sum(hours[hour] for hour in range(19, 23)), sum(hours[hour] for hour in range(2, 6))
    assert evening > 4 * night


def test_without_scenarios_all_is_ordinary() -> None:
    assert {label for _, label in traffic([])} == {Label("", False, "")}


def test_all_scenarios_happen_in_the_least_population_that_holds_them() -> None:
    # Fourteen scenarios have a viewer of their own; rings and stuffing need none.
    seen = {label.scenario for _, label in generate(5, 14, 7.0, START_MS)}

    assert seen == {"", *SCENARIOS}
    with pytest.raises(ValueError, match="need 14 users"):
        generate(5, 13, 7.0, START_MS)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_labels_say_what_is_abusive_and_what_is_unlawful(scenario: str) -> None:
    abusive = {
        *("takeover", "credential_stuffing", "bulk_export", "sharing", "scraping", "ring", "card_testing"),
    }
    compliance = {
        "consent_missing": {"consent_missing"},
        "consent_withdrawn": {"", "consent_withdrawn"},
        "minors": {"minor"},
    }
    labels = {label for _, label in of(scenario)}

    assert {label.abusive for label in labels} == {scenario in abusive}
    assert {label.compliance for label in labels} == compliance.get(scenario, {""})


def test_in_flight_the_address_is_a_ground_station_s_and_nothing_is_watched_at_home() -> None:
    for event, label in of("flight"):
        assert within(event.ip_address, [station.network for station in GROUND_STATIONS])
        assert label == Label("flight", False, "")
    flyers = {event.user_id for event, _ in of("flight")}
    for flyer in flyers:
        times = [
            (millis(event), label.scenario) for event, label in traffic(["flight"]) if event.user_id == flyer
        ]
        flights = [time for time, scenario in times if scenario == "flight"]
        # On the way there and back nobody of them watches elsewhere.
        gaps = [at for at in range(1, len(flights)) if flights[at] - flights[at - 1] > 12 * HOUR_MS]
        assert len(gaps) <= 1
        for first, last in zip([0, *gaps], [*(gap - 1 for gap in gaps), len(flights) - 1], strict=True):
            between = [s for time, s in times if flights[first] <= time <= flights[last]]
            assert set(between) == {"flight"}


def test_a_telephone_leaves_the_wifi_for_a_carrier_and_comes_back() -> None:
    sessions: dict[str, list[event_pb2.Event]] = {}
    for event, _ in of("handover"):
        sessions.setdefault(event.session_id, []).append(event)
    moved = 0
    for events in sessions.values():
        assert len({event.device_id for event in events}) == 1
        addresses = [event.ip_address for event in events]
        assert len(set(addresses)) <= 2
        assert addresses[0] == addresses[-1]
        moved += len(set(addresses)) == 2
    assert moved > len(sessions) / 2


def test_journeys_change_nothing_in_the_traffic_of_others() -> None:
    assert not {label.scenario for _, label in traffic(None)} & set(JOURNEYS)


def test_takeover_comes_from_a_device_and_an_address_that_the_viewer_never_had() -> None:
    everything = traffic(["takeover"])
    intruders = {event.user_id for event, label in everything if label.scenario}
    own_devices = {event.device_id for event, label in everything if not label.scenario}
    events = [event for event, label in everything if label.scenario]

    assert len(intruders) == 1
    assert not {event.device_id for event in events} & own_devices
    assert any(event.event_type == "login" for event in events)
    assert any(event.event_type == "play" for event in events)


def test_takeovers_are_of_more_than_one_manner() -> None:
    kinds = [
        Counter(event.event_type for event, _ in of("takeover", seed=seed, days=2.0)) for seed in range(16)
    ]

    assert any(kind["login_failed"] >= 2 for kind in kinds)
    assert any(not kind["login_failed"] for kind in kinds)
    assert any(kind["password_change"] or kind["email_change"] or kind["mfa_disable"] for kind in kinds)


def test_credential_stuffing_tries_many_accounts_from_few_addresses_and_mostly_fails() -> None:
    events = [event for event, _ in of("credential_stuffing", users=300)]

    assert len({event.user_id for event in events}) >= 40
    assert 1 <= len({event.ip_address for event in events}) <= 31
    kinds = Counter(event.event_type for event in events)
    assert set(kinds) <= {"login", "login_failed"}
    assert kinds["login_failed"] > 5 * kinds["login"]


def test_bulk_export_moves_gigabytes_in_pieces() -> None:
    sources = set()
    for seed in range(12):
        events = [event for event, _ in of("bulk_export", seed=seed, days=2.0)]
        pieces = [event for event in events if event.event_type != "login"]
        assert len({event.user_id for event in events}) == 1
        assert {event.event_type for event in pieces} <= {
            "download",
            "export",
            "bulk_download",
            "data_export",
        }
        assert 8 <= len(pieces) <= 120
        assert all(event.data_volume_bytes >= 500_000_000 for event in pieces)
        sources.add("tor" if within(events[0].ip_address, TOR_EXITS) else "other")
    assert sources == {"tor", "other"}


def test_sharing_is_two_to_five_strangers_elsewhere_on_one_account() -> None:
    everything = traffic(["sharing"])
    shared = {event.user_id for event, label in everything if label.scenario}
    for user_id in shared:
        outside = [event for event, label in everything if label.scenario and event.user_id == user_id]
        inside = {
            event.ip_address for event, label in everything if not label.scenario and event.user_id == user_id
        }
        assert 2 <= len({event.device_id for event in outside}) <= 5
        assert not {event.ip_address for event in outside} & inside


def test_card_testing_tries_many_instruments_on_one_account_and_mostly_fails() -> None:
    for seed in range(6):
        events = [event for event, _ in of("card_testing", seed=seed, days=7.0)]
        kinds = Counter(event.event_type for event in events)
        assert len({event.user_id for event in events}) == 1
        assert len({event.payment_fingerprint for event in events if event.payment_fingerprint}) >= 4
        assert kinds["payment_failed"] > kinds["purchase"]


def test_a_new_phone_is_the_owners_and_looks_like_a_takeover() -> None:
    kinds: Counter[str] = Counter()
    for seed in range(12):
        everything = traffic(["new_phone"], seed=seed, days=3.0)
        events = [event for event, label in everything if label.scenario]
        assert len({event.device_id for event in events}) == 1
        assert {event.region for event in events} == {
            event.region for event, _ in everything if event.user_id == events[0].user_id
        }
        kinds.update(event.event_type for event in events)
    assert kinds["login_failed"] > 3
    assert kinds["login"] == 12
    assert kinds["device_add"] + kinds["profile_change"] + kinds["mfa_enroll"] > 3


def test_a_binge_is_many_pages_or_many_titles_or_many_hours() -> None:
    manners = set()
    for seed in range(12):
        kinds = Counter(event.event_type for event in (item[0] for item in of("binge", seed=seed)))
        manners.add("pages" if kinds["access"] >= 40 else "titles" if kinds["download"] >= 8 else "hours")
    assert manners == {"pages", "titles", "hours"}


def test_guests_of_a_hotel_share_its_televisions_and_have_nothing_else_in_common() -> None:
    events = [event for event, _ in of("hotel", users=400, days=14.0)]
    assert len({event.ip_address for event in events}) == 1
    assert 1 <= len({event.device_id for event in events}) <= 2
    assert len({event.user_id for event in events}) >= 8
    assert len({event.account.household_id for event in events}) >= 6


def test_one_who_is_away_keeps_one_device_and_comes_home() -> None:
    everything = traffic(["away"], days=14.0)
    for user_id in {event.user_id for event, label in everything if label.scenario}:
        outside = [event for event, label in everything if label.scenario and event.user_id == user_id]
        inside = {
            event.ip_address for event, label in everything if not label.scenario and event.user_id == user_id
        }
        assert len({event.device_id for event in outside}) == 1
        assert len({event.ip_address for event in outside}) == 2
        assert {event.ip_address for event in outside} & inside


def test_scraping_reads_pages_by_the_hundred_and_hardly_plays() -> None:
    events = [event for event, _ in of("scraping")]
    kinds = Counter(event.event_type for event in events)

    assert kinds["access"] + kinds["play"] >= 150
    assert kinds["access"] > 10 * kinds["play"]
    assert len({event.device_id for event in events}) == 1
    gaps = [millis(later) - millis(earlier) for earlier, later in pairwise(events)]
    assert all(800 <= gap <= 25_000 for gap in gaps)


def test_a_ring_is_six_to_twelve_new_accounts_tied_by_devices_and_payment() -> None:
    events = [event for event, _ in of("ring", days=7.0)]
    accounts = {event.user_id for event in events}
    by_device: dict[str, set[str]] = defaultdict(set)
    for event in events:
        by_device[event.device_id].add(event.user_id)
    payments = {event.payment_fingerprint for event in events if event.payment_fingerprint}

    assert 6 <= len(accounts) <= 12
    # A careful ring has a device of each member's own beside those that tie it.
    assert len([users for users in by_device.values() if len(users) > 1]) <= 3
    assert max(map(len, by_device.values())) >= 3
    assert 1 <= len(payments) <= 2
    assert {event.event_type for event in events} >= {"signup", "login", "payment_method_add", "play"}
    signups = [event for event in events if event.event_type == "signup"]
    assert len({event.user_id for event in signups}) == len(signups) == len(accounts)
    assert all(millis(event) == event.account.created_time.ToMilliseconds() for event in signups)


def test_a_traveller_leaves_time_for_the_way() -> None:
    for seed in range(4):
        everything = traffic(["travel"], seed=seed, days=12.0)
        travellers = {event.user_id for event, label in everything if label.scenario}
        assert travellers
        for user_id in travellers:
            own = [item for item in everything if item[0].user_id == user_id]
            home = next(place.country for place in PLACES if place.region == own[0][0].region)
            away = [event for event, label in own if label.scenario == "travel"]
            assert len({event.ip_address for event in away}) == 1
            assert country_of(away[0].ip_address) not in ("", home)
            for (earlier, before), (later, after) in pairwise(own):
                if not before.scenario and after.scenario:
                    # What began before leaving may end two or three hours later; the way takes sixteen.
                    assert millis(later) - millis(earlier) > 10 * 3_600_000


def test_vpn_sessions_come_from_vpn_ranges() -> None:
    events = [event for event, _ in of("vpn")]

    assert events
    assert all(within(event.ip_address, VPN_NETWORKS) for event in events)


def test_consent_missing_claims_a_consent_that_is_absent() -> None:
    events = [event for event, _ in of("consent_missing")]

    assert events
    for event in events:
        assert event.region.partition("-")[0] in OPT_IN_COUNTRIES
        assert event.privacy.purpose == "targeted_advertising"
        assert event.privacy.legal_basis_claimed == "consent"
        assert event.privacy.consent.status == "absent"
        assert event.privacy.user_age >= 18
        assert event.HasField("has_consent")
        assert not event.has_consent


def test_processing_goes_on_after_the_withdrawal_and_not_before_it() -> None:
    everything = traffic(["consent_withdrawn"])
    withdrawals = {
        event.user_id: millis(event) for event, _ in everything if event.event_type == "consent_withdraw"
    }
    unlawful = [event for event, label in everything if label.compliance == "consent_withdrawn"]

    assert withdrawals
    assert unlawful
    for event in unlawful:
        assert event.privacy.consent.status == "withdrawn"
        assert event.privacy.consent.withdrawn_time.ToMilliseconds() == withdrawals[event.user_id]
        assert millis(event) >= withdrawals[event.user_id]


def test_minors_are_children_whose_own_consent_is_relied_upon() -> None:
    events = [event for event, _ in of("minors")]

    assert events
    for event in events:
        assert 8 <= event.privacy.user_age <= 12
        assert event.privacy.consent.given_by == "child"
        assert not event.privacy.consent.parental
        assert event.privacy.purpose == "targeted_advertising"


def test_ordinary_children_have_a_parents_consent() -> None:
    children = [event for event, _ in traffic([], users=400, days=1.0) if event.privacy.user_age < 18]

    assert children
    assert all(event.privacy.consent.given_by == "parent" for event in children)
    assert all(event.privacy.purpose == "basic_service" for event in children)


def test_the_rate_is_met_on_average() -> None:
    # 400 viewers over three days at 0.06 a second: 0.06 * 3 * 86,400 = 15,552 events.
    count = sum(1 for _ in generate(9, 400, 3.0, START_MS, [], rate=0.06))

    assert count == pytest.approx(15_552, rel=0.15)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"seed": -1}, "seed"),
        ({"users": 0}, "users"),
        ({"users": 1_000_001}, "users"),
        ({"days": 0.0}, "days"),
        ({"days": float("nan")}, "days"),
        ({"start_ms": -1}, "1970"),
        ({"days": 40_000.0}, "2099"),
        ({"scenarios": ["takeovers"]}, "takeovers"),
        ({"rate": 0.0}, "rate"),
        ({"rate": 100.0}, "cannot make 100 events a second"),
    ],
)
def test_arguments_out_of_bounds_are_refused_before_the_first_event(
    changes: dict[str, object], text: str
) -> None:
    arguments: dict[str, object] = {"seed": 1, "users": 50, "days": 1.0, "start_ms": START_MS, **changes}

    with pytest.raises(ValueError, match=text):
        generate(**arguments)  # type: ignore[arg-type]


def test_lines_and_labels_are_written_side_by_side() -> None:
    out, labels = io.BytesIO(), io.BytesIO()
    count = write_lines(
        generate(1, 20, 0.5, START_MS, []),
        out,
        lambda event: json.dumps({"event_id": event.event_id}).encode(),
        labels,
    )

    events = [json.loads(line) for line in out.getvalue().splitlines()]
    told = [json.loads(line) for line in labels.getvalue().splitlines()]
    assert count == len(events) == len(told) > 0
    assert [item["event_id"] for item in events] == [item["event_id"] for item in told]
    assert set(told[0]) == {"event_id", "scenario", "abusive", "compliance"}


def test_addresses_look_up_where_the_table_says(test_data: Callable[[str, str], Path]) -> None:
    geoip = test_data("geoip/dbip-country-geoip2.mmdb", "the countries of addresses")
    with maxminddb.open_database(geoip) as countries:
        for place in PLACES:
            for fraction in (0.0, 0.5, 0.999):
                found = countries.get(place.home.address(fraction))
                assert found["country"]["iso_code"] == place.country, place.city
    for name, networks in (
        ("x4bnet_vpn_ipv4.txt", VPN_NETWORKS),
        ("x4bnet_datacenter_ipv4.txt", HOSTING_NETWORKS),
    ):
        lines = test_data(f"ip_reputation/{name}", "address reputation").read_text().split()
        listed = [ipaddress.ip_network(line) for line in lines]
        for item in networks:
            first = ipaddress.ip_address(item.base)
            assert any(first in network for network in listed), (name, str(first))
    tor = test_data("ip_reputation/tor_exit_iporigin_2026-10.txt", "Tor exits")
    exits = set(tor.read_text().split())
    assert {item.address(0.0) for item in TOR_EXITS} <= exits
