"""The profile: both implementations agree to the bit, and counts are those of a hand computation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scoring import profile
from services.scoring.profile import FOLD, LATE, READ, Columns, O

NOON = 1_790_000_400 // 86_400 * 86_400 + 43_200
LIVE = READ | FOLD


def columns(rows: list[dict[str, int]]) -> Columns:
    default = {
        "time": NOON,
        "event_class": 1,
        "failed": 0,
        "error": 0,
        "device": 11,
        "address": 7,
        "country": 0,
        "hour": -1,
        "volume": -1,
        "network": 5,
        "title": 0,
        "instrument": 0,
        "kind": 1,
        "playing": 0,
        "refused": 0,
        "page": 0,
        "lacking": 0,
        "handling": LIVE,
    }
    return Columns(
        *(np.array([{**default, **row}[name] for row in rows], np.int64) for name in Columns._fields)
    )


def folded(rows: list[dict[str, int]]) -> tuple[np.ndarray, np.ndarray]:
    words = profile.load([b""])
    observed = profile.fold(words, [0] * len(rows), columns(rows))
    return observed, words[0]


EVENT = st.fixed_dictionaries(
    {
        "time": st.one_of(
            st.integers(NOON - 9 * 86_400, NOON + 9 * 86_400),
            st.integers(NOON - 4000, NOON + 4000),
            st.integers(1, 4_133_980_799),
        ),
        "event_class": st.integers(0, 7),
        "failed": st.sampled_from([0, 0, 1]),
        "error": st.integers(0, 1),
        "device": st.integers(1, 40),
        "address": st.integers(0, 2**32 - 1),
        "country": st.sampled_from([0, *range(0x4141, 0x4141 + 12)]),
        "hour": st.integers(-1, 23),
        "volume": st.one_of(st.just(-1), st.integers(0, 2**20), st.integers(0, 2**43)),
        "network": st.integers(1, 12),
        "title": st.one_of(st.just(0), st.integers(1, 2**32 - 1)),
        "instrument": st.one_of(st.just(0), st.integers(1, 2**32 - 1)),
        "kind": st.integers(0, 31),
        "playing": st.integers(-1, 1),
        "refused": st.integers(0, 1),
        "page": st.integers(0, 1),
        "lacking": st.sampled_from([0, 1, 3]),
        "handling": st.sampled_from([LIVE, LIVE, LIVE, LIVE | LATE, 0]),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), EVENT), min_size=1, max_size=80))
def test_memoryview_and_numpy_agree_to_the_bit(events: list[tuple[int, dict[str, int]]]) -> None:
    profile_of = [viewer for viewer, _ in events]
    table = np.stack(columns([event for _, event in events]))
    few, many = profile.load([b""] * 4), profile.load([b""] * 4)
    observed_few = np.zeros((len(events), O.WIDTH), np.int64)
    observed_many = observed_few.copy()
    profile.fold_few(few, profile_of, table, range(len(events)), observed_few)
    for turn in profile.rounds(profile_of):
        profile.fold_round(many, profile_of, table, turn, observed_many)
    np.testing.assert_array_equal(few, many)
    np.testing.assert_array_equal(observed_few, observed_many)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), EVENT), min_size=30, max_size=120), st.integers(1, 30))
def test_profiles_do_not_depend_on_the_size_of_batches(
    events: list[tuple[int, dict[str, int]]], size: int
) -> None:
    profile_of = [viewer for viewer, _ in events]
    at_once, in_pieces = profile.load([b""] * 21), profile.load([b""] * 21)
    observed = profile.fold(at_once, profile_of, columns([event for _, event in events]))
    pieces = [
        profile.fold(
            in_pieces, profile_of[i : i + size], columns([event for _, event in events[i : i + size]])
        )
        for i in range(0, len(events), size)
    ]
    np.testing.assert_array_equal(at_once, in_pieces)
    np.testing.assert_array_equal(observed, np.concatenate(pieces))


def test_windows_count_what_came_before() -> None:
    # 3 events 30 min before, 2 events 5 h before, 1 event 3 d before, then the event itself.
    times = [NOON - 3 * 86_400, NOON - 18_000, NOON - 18_000, NOON - 1800, NOON - 1800, NOON - 1800, NOON]
    observed, words = folded([{"time": t} for t in times])
    last = observed[-1]
    assert (last[O.TOTAL], last[O.EVENTS_1H], last[O.EVENTS_24H], last[O.EVENTS_7D]) == (6, 3, 5, 6)
    assert last[O.GAP] == 1800
    assert last[O.AGE] == 3 * 86_400
    assert words[profile.TOTAL] == 7
    assert observed[0].tolist()[:7] == [0, 0, 0, 0, -1, -1, -1]


def test_a_late_event_enters_its_own_bucket_and_nothing_else() -> None:
    late = {
        "time": NOON - 7200,
        "handling": LIVE | LATE,
        "device": 99,
        "country": 0x4445,
        "hour": 3,
        "volume": 5,
    }
    observed, words = folded([{"time": NOON}, late, {"time": NOON + 60}])
    assert observed[1][O.BEHIND] == 7200
    assert observed[2][O.EVENTS_1H] == 1  # the late one is two hours old
    assert observed[2][O.EVENTS_24H] == 2
    assert words[profile.LAST] == NOON + 60
    assert words[profile.FIRST] == NOON
    assert 99 not in words[profile.DEVICES : profile.DEVICES + 16].tolist()
    assert not words[profile.COUNTRIES : profile.COUNTRIES + 8].any()
    assert words[profile.VOLUME] == 0


def test_without_read_an_empty_profile_is_seen_and_nothing_kept() -> None:
    words = profile.load([b""])
    profile.fold(words, [0] * 5, columns([{"time": NOON + i} for i in range(5)]))
    before = words.copy()
    observed = profile.fold(words, [0], columns([{"time": NOON + 9, "handling": 0}]))
    assert observed[0][O.TOTAL] == 0
    assert observed[0][O.GAP] == -1
    np.testing.assert_array_equal(words, before)


def test_a_failed_sign_in_makes_no_device_known() -> None:
    rows = [{"event_class": 3}] + [
        {"event_class": 3, "failed": 1, "device": 66, "time": NOON + i} for i in range(3)
    ]
    observed, words = folded([*rows, {"event_class": 3, "device": 66, "time": NOON + 9}])
    assert observed[-1][O.NEW_DEVICE] == 1
    assert observed[-1][O.FAILURES_1H] == 3
    assert observed[-1][O.TAKEOVER] == 1  # success from an unknown device after three failures
    assert words[profile.DEVICES : profile.DEVICES + 3].tolist() == [11, 66, 0]


def test_takeover_ends_after_a_day() -> None:
    rows = [{"event_class": 3}]
    rows += [{"event_class": 3, "failed": 1, "device": 66, "time": NOON + i} for i in range(3)]
    rows += [{"event_class": 3, "device": 66, "time": NOON + 10}]
    rows += [{"event_class": 6, "time": NOON + 10 + 86_399}, {"event_class": 6, "time": NOON + 10 + 86_400}]
    observed, _ = folded(rows)
    assert observed[-2][O.TAKEOVER] == 2
    assert observed[-1][O.TAKEOVER] == 0


def test_the_oldest_device_is_forgotten_after_sixteen() -> None:
    observed, _ = folded([{"device": d} for d in [*range(1, 18), 1, 2]])
    assert observed[16][O.DEVICES] == 16
    assert observed[17][O.NEW_DEVICE] == 1  # 17 took the place of 1
    assert observed[17][O.DEVICE_AGE] == -1


def test_incidents_are_counted_by_hour() -> None:
    # Five failures in an hour are one incident, and so are six.
    hours = [NOON, NOON + 7200, NOON + 14_400]
    rows = [{"time": hour + i, "event_class": 3, "failed": 1} for hour in hours for i in range(6)]
    observed, _ = folded([*rows, {"time": NOON + 14_500}, {"time": NOON + 40 * 86_400}])
    assert observed[-2][O.INCIDENTS] == 3
    assert observed[-1][O.INCIDENTS] == 0


def test_counters_stop_at_the_largest_word() -> None:
    _, words = folded([{"volume": 2**43}, {"volume": 2**43}])
    assert words[profile.VOLUME] == 2**32 - 1
    assert words[profile.VOLUME_EVENTS] == 2


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (b"\0" * 1600, "magic"),
        (b"\1", "magic"),
        ((0x55530002).to_bytes(4, "little") + bytes(1020), "1600 bytes"),
        ((0x55530001).to_bytes(4, "little") + bytes(1596), "1024 bytes"),
        ((0x55530003).to_bytes(4, "little") + bytes(1596), "version 3"),
    ],
)
def test_broken_profiles_are_named(broken: bytes, says: str) -> None:
    assert says in profile.check(broken)
    assert profile.check(b"") == ""
    assert profile.check(profile.load([b""]).tobytes()) == ""


def test_a_profile_of_version_1_is_widened_and_keeps_what_it_counted() -> None:
    # Version 1: 256 words, of which the first is magic and version; 5 events, the last at NOON, one known device.
    old = np.zeros(256, "<u4")
    old[[0, 1, 2, 3, 204, 236]] = 0x55530001, 5, NOON, NOON - 86_400, 11, NOON - 86_400
    assert profile.check(old.tobytes()) == ""
    words = profile.load([old.tobytes()])
    assert words.shape == (1, 400)
    assert words[0, 0] == 0x55530002
    np.testing.assert_array_equal(words[0, 1:256], old[1:])
    assert not words[0, 256:].any()
    observed = profile.fold(words, [0], columns([{"time": NOON + 3600, "device": 11}]))
    assert (observed[0, O.TOTAL], observed[0, O.NEW_DEVICE], observed[0, O.GAP]) == (5, 0, 3600)
    assert profile.check(words.tobytes()) == ""


def test_devices_that_play_at_the_same_time_are_counted_until_they_stop_or_fall_silent() -> None:
    play = {"playing": 1}
    observed, _ = folded(
        [
            {"time": NOON, "device": 1, **play},
            {"time": NOON + 60, "device": 2, **play},
            {"time": NOON + 120, "device": 3, **play},
            {"time": NOON + 180, "device": 2, "playing": -1},
            {"time": NOON + 200, "device": 3, **play},
            {"time": NOON + 601, "device": 3, **play},
        ]
    )
    # Others than the event's own device: none, 1, 1 and 2, 1 and 3, 1 alone, and 1 was last heard 601 s before.
    assert observed[:, O.STREAMS].tolist() == [0, 1, 2, 2, 1, 0]
    assert observed[:, O.DEVICES_24H].tolist() == [0, 1, 2, 2, 2, 2]


def test_networks_are_remembered_by_share_and_the_longest_unseen_goes() -> None:
    rows = [{"time": NOON + i, "network": 1} for i in range(3)]
    rows += [{"time": NOON + 10 + i, "network": 2 + i} for i in range(8)]
    rows += [{"time": NOON + 30, "network": 1}, {"time": NOON + 31, "network": 9}]
    observed, words = folded(rows)
    assert observed[3, [O.NEW_NETWORK, O.NETWORK_EVENTS, O.NETWORK_ALL]].tolist() == [1, 0, 3]
    # Eight slots: the eighth other network took the place of network 1, which is new again.
    assert observed[11, [O.NEW_NETWORK, O.NETWORKS_24H]].tolist() == [1, 8]
    assert observed[12, [O.NEW_NETWORK, O.NETWORK_EVENTS]].tolist() == [0, 1]
    assert set(words[profile.NETWORKS : profile.NETWORKS + 8].tolist()) == {1, *range(3, 10)}


def test_registers_of_lacking_consent_hold_the_last_events() -> None:
    observed, _ = folded([{"lacking": 3}] * 4 + [{"lacking": 1}] * 2 + [{}] * 18)
    assert observed[4, [O.LACKING, O.EU_LACKING]].tolist() == [4, 4]
    assert observed[6, [O.LACKING, O.EU_LACKING]].tolist() == [6, 4]
    assert observed[23, [O.LACKING, O.EU_LACKING]].tolist() == [3, 4]  # 20 events and 32 events


def test_four_hour_counters_and_sketches() -> None:
    card = {"event_class": 5, "refused": 1}
    rows = [{**card, "instrument": 1 << i} for i in range(3)] + [
        {"page": 1, "title": 33},
        {"page": 1, "title": 34},
        {"event_class": 6},
        {"event_class": 6, "failed": 1},
        {},
    ]
    observed, _ = folded(rows)
    last = observed[-1]
    assert last[[O.PAYMENTS_24H, O.REFUSED_24H, O.PAGES_24H, O.CREDENTIALS_24H, O.FAILURES_24H]].tolist() == [
        *(3, 3, 2, 1, 1)
    ]
    assert last[[O.TITLE_BITS, O.INSTRUMENT_BITS]].tolist() == [2, 3]
    assert last[O.EVENTS_1M] == 7


def test_the_hash_is_the_crc_of_the_content() -> None:
    # CRC-32 (ISO 3309) of "123456789" is 0xCBF43926: https://reveng.sourceforge.io/crc-catalogue/17plus.htm
    assert profile.content_hash("123456789") == 0xCBF43926
    assert profile.content_hash("") == 1
