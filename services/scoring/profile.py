"""The profile: what is remembered of one viewer, as 400 little-endian 32-bit words (1,600 bytes).

Everything is a bounded integer, so that folding is exact and two implementations can agree to the bit:
`fold_few` (memoryview, for a few events) and `fold_round` (numpy, one event of each of many viewers).
`fold` chooses between them. Only event time is used, never the clock of the machine.

Layout (word: meaning; times are Unix seconds, 0 means never):

====  =====================================================================================
0     magic and version: 0x55530000 | version
1     events folded
2     last event time
3     first event time
4-11  events by class (usher.event.v1.EventClass as the position)
12    time of a success from an unknown device after failures (see `TAKEOVER_FAILURES`)
13    next slot of the devices; 14 of the countries; 15 of the incidents
16    KiB moved in total; 17 events that moved data
18    day (time // 86,400) of the address sketch; 19-22 its 128 bits
24-31 events by three-hour block of the viewer's local day, all halved when one reaches `HOUR_LIMIT`
32-67  12 buckets of 5 min: tags (time // 300), events, failed sign-ins
68-187 24 buckets of 1 h: tags (time // 3,600), events, errors, exports, KiB moved
188-203 8 buckets of 1 d: tags (time // 86,400), events
204-219 recent devices (CRC-32 of the id, 0 read as 1), oldest replaced first
220-227 recent countries ((first letter << 8) | second), oldest replaced first
228-235 hours (time // 3,600) with an incident, oldest replaced first
236-251 first event times of the devices in 204-219
256-263 4 buckets of 15 s: tags (time // 15), events
264-299 6 buckets of 4 h: tags (time // 14,400), payments, failed payments, pages, changes of credentials, failed
        sign-ins
300-331 events by kind (`KINDS`)
332-347 last event times of the devices in 204-219; 348-363 their last playback, 0 once stopped
364-371 recent networks (hash of the address's /24 or /48), the longest unseen replaced; 372-379 their last event
        times; 380-387 events from them
388   day of the titles' sketch; 389-390 its 64 bits
391   day of the payment instruments' sketch; 392 its 32 bits
393   whether consent was lacking, a bit an event, the last 20; 394 the same under the law of the EU, the last 32
====  =====================================================================================

A bucket's tag says which stretch of time it counts. An event older than the tag finds its bucket taken over and
is not counted there; so a late event enters its own time and nothing else.

Version 1 had the words 0 to 255 alone. `load` widens it: what it did not count begins at nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

VERSION = 2
MAGIC = 0x55530000
WORDS = 400
SIZE = WORDS * 4
_SIZES = {1: 1024, 2: SIZE}
"""Bytes of a profile by version."""

TOTAL, LAST, FIRST, CLASSES, TAKEOVER_AT = 1, 2, 3, 4, 12
DEVICE_NEXT, COUNTRY_NEXT, INCIDENT_NEXT = 13, 14, 15
VOLUME, VOLUME_EVENTS, SKETCH_DAY, SKETCH = 16, 17, 18, 19
HOURS = 24
M5_TAG, M5_EVENTS, M5_FAILURES = 32, 44, 56
H1_TAG, H1_EVENTS, H1_ERRORS, H1_EXPORTS, H1_VOLUME = 68, 92, 116, 140, 164
D1_TAG, D1_EVENTS = 188, 196
DEVICES, COUNTRIES, INCIDENTS, DEVICE_SINCE = 204, 220, 228, 236
S15_TAG, S15_EVENTS = 256, 260
H4_TAG, H4_PAYMENTS, H4_REFUSED, H4_PAGES, H4_CREDENTIALS, H4_FAILURES = range(264, 300, 6)
KIND_EVENTS, DEVICE_LAST, DEVICE_PLAYED = 300, 332, 348
NETWORKS, NETWORK_LAST, NETWORK_EVENTS = 364, 372, 380
TITLE_DAY, TITLES, INSTRUMENT_DAY, INSTRUMENTS, LACKING, EU_LACKING = 388, 389, 391, 392, 393, 394
M5_SLOTS, H1_SLOTS, D1_SLOTS, S15_SLOTS, H4_SLOTS, NETWORK_SLOTS, KIND_SLOTS = 12, 24, 8, 4, 6, 8, 32
WEEK_DAYS = 7
DEVICE_SLOTS, COUNTRY_SLOTS, INCIDENT_SLOTS = 16, 8, 8
HOUR_LIMIT = 1024
FULL = 0xFFFFFFFF

LOGIN, EXPORT, PAYMENT, CREDENTIAL = 3, 4, 5, 6
STREAM_SECONDS = 600
"""A stream that was not heard of for so long has ended; heartbeats are five minutes apart."""
LAST_EVENTS = 20
"""Events that the register of lacking consent holds."""
KINDS = (
    *(
        "unknown",
        "play",
        "pause",
        "stop",
        "seek",
        "heartbeat",
        "error",
        "access",
        "logout",
        "login",
        "login_failed",
    ),
    *(
        "token_refresh",
        "signup",
        "download",
        "export",
        "purchase",
        "payment_failed",
        "payment_method",
        "refund",
    ),
    *(
        "password",
        "contact",
        "profile_change",
        "device",
        "mfa",
        "mfa_failed",
        "consent",
        "rights",
        "subscription",
    ),
    *("takeover_report", "chargeback"),
)
"""Kinds of events that rarity is counted by, at their number; at most `KIND_SLOTS`. Numbers never change."""
TAKEOVER_FAILURES = 3
"""Failed sign-ins within the hour before a success from an unknown device that make it suspect."""
TAKEOVER_SECONDS = 86_400
"""How long after such a success a change, payment or export completes the sequence."""
INCIDENT_FAILURES = 5
"""Failed sign-ins within an hour, this one included, that make an incident."""
INCIDENT_EXPORTS = 10
"""Exports within 24 hours, this one included, that make an incident."""
INCIDENT_HOURS = 720
"""Incidents count for 30 days; hours are counted, not events."""
FEW = 16
"""Up to so many events the memoryview is as fast as numpy or faster (measured)."""

# What is done with an event: bits of the `handling` column.
READ = 1
FOLD = 2
LATE = 4

Ints = NDArray[np.int64]
Words = NDArray[np.uint32]


class Columns(NamedTuple):
    """What the profile needs of each event, one entry an event.

    Attributes:
        time: event time, Unix seconds, 0 to 2**32 - 1.
        event_class: usher.event.v1.EventClass, 0 to 7.
        failed: 1 for a failed sign-in.
        error: 1 where an error is reported.
        device: hash of the device, 1 to 2**32 - 1.
        address: hash of the address, 0 to 2**32 - 1.
        country: (first letter << 8) | second, 0 unknown.
        hour: local hour 0 to 23, -1 unknown.
        volume: KiB moved, -1 not told.
        network: hash of the address's network, 1 to 2**32 - 1.
        title: hash of the title, 0 none.
        instrument: hash of the payment instrument, 0 none.
        kind: position in `KINDS`.
        playing: 1 where a stream is heard of, -1 where it ends, 0 otherwise.
        refused: 1 for a failed payment.
        page: 1 for a page of the catalogue or of the account.
        lacking: 1 where consent is relied upon and is not there, 3 where that is so under the law of the EU.
        handling: READ, FOLD and LATE bits. Without READ an empty profile is observed.
    """

    time: Ints
    event_class: Ints
    failed: Ints
    error: Ints
    device: Ints
    address: Ints
    country: Ints
    hour: Ints
    volume: Ints
    network: Ints
    title: Ints
    instrument: Ints
    kind: Ints
    playing: Ints
    refused: Ints
    page: Ints
    lacking: Ints
    handling: Ints


class O:  # noqa: E742  short: it is the index of every observation
    """Positions of an observation: what the profile said before the event.

    Counts are events; GAP, AGE and BEHIND are seconds, -1 where there is no profile; DEVICE_AGE is
    seconds since the device was first seen, -1 where it is unknown; VOLUME_* are KiB. DEVICES_24H, NETWORKS_24H and
    STREAMS count others than the event's own.
    """

    TOTAL, EVENTS_1H, EVENTS_24H, EVENTS_7D, GAP, AGE, BEHIND = range(7)
    FAILURES_1H, ERRORS_24H, EXPORTS_24H, VOLUME_24H, VOLUME_ALL, VOLUME_EVENTS = range(7, 13)
    NEW_DEVICE, DEVICES, NEW_COUNTRY, COUNTRIES, ADDRESS_BITS = range(13, 18)
    HOUR_EVENTS, HOUR_ALL, TAKEOVER, INCIDENTS, DEVICE_AGE = range(18, 23)
    EVENTS_1M, PAYMENTS_24H, REFUSED_24H, PAGES_24H, CREDENTIALS_24H, FAILURES_24H = range(23, 29)
    DEVICES_24H, STREAMS, NEW_NETWORK, NETWORKS_24H, NETWORK_EVENTS, NETWORK_ALL = range(29, 35)
    TITLE_BITS, INSTRUMENT_BITS, KIND_EVENTS, LACKING, EU_LACKING = range(35, 40)
    WIDTH = 40


def content_hash(text: str) -> int:
    """CRC-32 of the text's UTF-8 form, 1 to 2**32 - 1; equal in every process and on every machine."""
    return zlib.crc32(text.encode()) or 1


def check(profile: bytes) -> str:
    """Says what is wrong with a profile; empty where nothing is. Empty bytes are a profile that is not there yet."""
    if not profile:
        return ""
    head = int.from_bytes(profile[:4], "little")
    if len(profile) < 4 or head & 0xFFFF0000 != MAGIC:
        return "the profile does not begin with the magic word"
    size = _SIZES.get(head & 0xFFFF)
    if size is None:
        return f"the profile has version {head & 0xFFFF}; this service reads versions 1 to {VERSION}"
    if len(profile) != size:
        return f"a profile of version {head & 0xFFFF} has {size} bytes, not {len(profile)}"
    return ""


def broken(profiles: Sequence[bytes]) -> dict[int, str]:
    """What is wrong with profiles, by position; those in order are not in it."""
    head, size = _EMPTY[:4], SIZE
    return {
        i: why
        for i, profile in enumerate(profiles)
        if not (len(profile) == size and profile.startswith(head)) and (why := check(profile))
    }


def migrate(profile: bytes) -> bytes:
    """A profile of an older version, which passed `check`, as one of this version; one of this version as it is."""
    if len(profile) == SIZE:
        return profile
    return _EMPTY[:4] + profile[4:] + _EMPTY[len(profile) :]


def load(profiles: Sequence[bytes]) -> Words:
    """Profiles as rows of words, a copy, migrated to this version. Each must have passed `check`."""
    empty, size = _EMPTY, SIZE
    joined = bytearray().join([p if len(p) == size else migrate(p) if p else empty for p in profiles])
    return np.frombuffer(joined, "<u4").reshape(-1, WORDS)


_EMPTY = (MAGIC | VERSION).to_bytes(4, "little") + bytes(SIZE - 4)


def rounds(profile_of: Sequence[int]) -> list[NDArray[np.intp]]:
    """Positions of the events by turn: the n-th array holds the n-th event of each viewer, in order."""
    viewers = np.array(profile_of)
    order = np.argsort(viewers, kind="stable")
    first = np.ones(len(order), bool)
    first[1:] = viewers[order[1:]] != viewers[order[:-1]]
    place = np.arange(len(order))
    turn = np.empty(len(order), np.intp)
    turn[order] = place - np.maximum.accumulate(np.where(first, place, 0))
    return [np.nonzero(turn == number)[0] for number in range(int(turn.max(initial=-1)) + 1)]


def fold(words: Words, profile_of: Sequence[int], columns: Columns) -> Ints:
    """Observes each event against its viewer's profile and folds it in, in the order of the list.

    `words` is changed in place. Returns one row of `O.WIDTH` numbers an event.
    """
    observed = np.zeros((len(profile_of), O.WIDTH), np.int64)
    table = np.empty((len(columns), len(profile_of)), np.int64)
    for number, column in enumerate(columns):
        table[number] = column
    if len(profile_of) <= FEW:
        fold_few(words, profile_of, table, range(len(profile_of)), observed)
        return observed
    few: list[int] = []
    for turn in rounds(profile_of):
        if len(turn) > FEW:
            fold_round(words, profile_of, table, turn, observed)
        else:  # turns never grow, so all that follow are small as well
            few += turn.tolist()
    if few:
        fold_few(words, profile_of, table, few, observed)
    return observed


def fold_few(
    words: Words, profile_of: Sequence[int], table: Ints, positions: Sequence[int], observed: Ints
) -> None:
    """Observes and folds the events at `positions`, one after the other, with a memoryview.

    `table` holds the columns as rows, in the order of `Columns`.
    """
    buffer: Any = words
    view = memoryview(buffer).cast("B").cast("I")
    chosen = list(positions)
    rows = table[:, chosen].T.tolist()
    seen = []
    for i, row in zip(chosen, rows, strict=True):
        handling = row[-1]
        if handling & READ:
            seen.append(_fold_one(view, profile_of[i] * WORDS, *row))
        else:
            seen.append(_fold_one(memoryview(bytearray(_EMPTY)).cast("I"), 0, *row))
    observed[chosen] = seen


def _fold_one(
    w: memoryview[int],
    b: int,
    time: int,
    event_class: int,
    failed: int,
    error: int,
    device: int,
    address: int,
    country: int,
    hour: int,
    volume: int,
    network: int,
    title: int,
    instrument: int,
    kind: int,
    playing: int,
    refused: int,
    page: int,
    lacking: int,
    handling: int,
) -> tuple[int, ...]:
    # Plain integers in, plain integers out; `fold_round` does the same by columns. Keep the two in step.
    m5, h1, d1, s15, h4 = time // 300, time // 3600, time // 86400, time // 15, time // 14400
    r = w[b : b + WORDS].tolist()
    events_1m = payments = refusals = pages = credentials = failures_24h = 0
    events_1h = failures = events_24h = errors = exports = volume_24h = events_7d = 0
    # Tags from above the shortest stretch that no longer counts; a tag of 0 is empty.
    oldest = m5 - M5_SLOTS
    for s, tag in enumerate(r[M5_TAG : M5_TAG + M5_SLOTS], M5_TAG):
        if oldest < tag <= m5:
            events_1h += r[s + M5_SLOTS]
            failures += r[s + 2 * M5_SLOTS]
    oldest = h1 - H1_SLOTS
    for s, tag in enumerate(r[H1_TAG : H1_TAG + H1_SLOTS], H1_TAG):
        if oldest < tag <= h1:
            events_24h += r[s + H1_SLOTS]
            errors += r[s + 2 * H1_SLOTS]
            exports += r[s + 3 * H1_SLOTS]
            volume_24h += r[s + 4 * H1_SLOTS]
    oldest = d1 - WEEK_DAYS
    for s, tag in enumerate(r[D1_TAG : D1_TAG + D1_SLOTS], D1_TAG):
        if oldest < tag <= d1:
            events_7d += r[s + D1_SLOTS]
    oldest = s15 - S15_SLOTS
    for s, tag in enumerate(r[S15_TAG : S15_TAG + S15_SLOTS], S15_TAG):
        if oldest < tag <= s15:
            events_1m += r[s + S15_SLOTS]
    oldest = h4 - H4_SLOTS
    for s, tag in enumerate(r[H4_TAG : H4_TAG + H4_SLOTS], H4_TAG):
        if oldest < tag <= h4:
            payments += r[s + H4_SLOTS]
            refusals += r[s + 2 * H4_SLOTS]
            pages += r[s + 3 * H4_SLOTS]
            credentials += r[s + 4 * H4_SLOTS]
            failures_24h += r[s + 5 * H4_SLOTS]
    total, last = r[TOTAL], r[LAST]
    seen = last > 0
    device_words = r[DEVICES : DEVICES + DEVICE_SLOTS]
    devices = DEVICE_SLOTS - device_words.count(0)
    known_device = device in device_words
    device_age = max(time - r[DEVICE_SINCE + device_words.index(device)], 0) if known_device else -1
    new_device = int(devices > 0 and not known_device)
    country_words = r[COUNTRIES : COUNTRIES + COUNTRY_SLOTS]
    countries = COUNTRY_SLOTS - country_words.count(0)
    known_country = country in country_words
    new_country = int(countries > 0 and country > 0 and not known_country)
    sketch_today = r[SKETCH_DAY] == d1
    bits = sum([word.bit_count() for word in r[SKETCH : SKETCH + 4]]) if sketch_today else 0
    yesterday, heard = time - 86400, time - STREAM_SECONDS
    devices_24h = streams = 0
    for s, other in enumerate(device_words):
        if other and other != device:
            devices_24h += r[DEVICE_LAST + s] > yesterday
            streams += r[DEVICE_PLAYED + s] > max(heard, 0)
    network_words = r[NETWORKS : NETWORKS + NETWORK_SLOTS]
    known_network = network in network_words
    network_slot = network_words.index(network) if known_network else -1
    networks_24h = 0
    for s, other in enumerate(network_words):
        if other and other != network:
            networks_24h += r[NETWORK_LAST + s] > yesterday
    titles_today, instruments_today = r[TITLE_DAY] == d1, r[INSTRUMENT_DAY] == d1
    hour_words = r[HOURS : HOURS + 8]
    incident_words = r[INCIDENTS : INCIDENTS + INCIDENT_SLOTS]
    oldest = h1 - INCIDENT_HOURS
    incidents = sum([oldest < word <= h1 for word in incident_words])
    takeover = 0
    if event_class == LOGIN and not failed and new_device and failures >= TAKEOVER_FAILURES:
        takeover = 1
    elif event_class in (EXPORT, PAYMENT, CREDENTIAL) and 0 <= time - r[TAKEOVER_AT] < TAKEOVER_SECONDS:
        takeover = 2
    observed = (
        total,
        events_1h,
        events_24h,
        events_7d,
        max(time - last, 0) if seen else -1,
        max(time - r[FIRST], 0) if seen else -1,
        max(last - time, 0) if seen else -1,
        failures,
        errors,
        exports,
        volume_24h,
        r[VOLUME],
        r[VOLUME_EVENTS],
        new_device,
        devices,
        new_country,
        countries,
        bits,
        hour_words[hour // 3] if hour >= 0 else 0,
        sum(hour_words) if hour >= 0 else 0,
        takeover,
        incidents,
        device_age,
        events_1m,
        payments,
        refusals,
        pages,
        credentials,
        failures_24h,
        devices_24h,
        streams,
        int(any(network_words) and not known_network),
        networks_24h,
        r[NETWORK_EVENTS + network_slot] if known_network else 0,
        sum(r[NETWORK_EVENTS : NETWORK_EVENTS + NETWORK_SLOTS]),
        r[TITLES].bit_count() + r[TITLES + 1].bit_count() if titles_today else 0,
        r[INSTRUMENTS].bit_count() if instruments_today else 0,
        r[KIND_EVENTS + kind],
        r[LACKING].bit_count(),
        r[EU_LACKING].bit_count(),
    )
    if not handling & FOLD:
        return observed
    moved = max(volume, 0)
    exported = int(event_class == EXPORT)
    w[b + TOTAL] = min(total + 1, FULL)
    w[b + CLASSES + event_class] = min(w[b + CLASSES + event_class] + 1, FULL)
    _count(w, b + M5_TAG, M5_SLOTS, m5, (1, failed))
    _count(w, b + H1_TAG, H1_SLOTS, h1, (1, error, exported, moved))
    _count(w, b + D1_TAG, D1_SLOTS, d1, (1,))
    _count(w, b + S15_TAG, S15_SLOTS, s15, (1,))
    paid = int(event_class == PAYMENT)
    changed = int(event_class == CREDENTIAL and not failed)
    _count(w, b + H4_TAG, H4_SLOTS, h4, (paid, refused, page, changed, failed))
    w[b + KIND_EVENTS + kind] = min(w[b + KIND_EVENTS + kind] + 1, FULL)
    if handling & LATE:
        return observed
    w[b + LACKING] = (w[b + LACKING] << 1 | lacking & 1) & ((1 << LAST_EVENTS) - 1)
    w[b + EU_LACKING] = (w[b + EU_LACKING] << 1 | lacking >> 1) & FULL
    if not seen or time < w[b + FIRST]:
        w[b + FIRST] = time
    if time > last:
        w[b + LAST] = time
    if volume >= 0:
        w[b + VOLUME] = min(w[b + VOLUME] + moved, FULL)
        w[b + VOLUME_EVENTS] = min(w[b + VOLUME_EVENTS] + 1, FULL)
    if takeover == 1:
        w[b + TAKEOVER_AT] = time
    # A failed sign-in makes neither its device nor its country the viewer's own.
    if not failed:
        if known_device:
            slot = device_words.index(device)
        else:
            slot = w[b + DEVICE_NEXT]
            w[b + DEVICES + slot] = device
            w[b + DEVICE_SINCE + slot] = time
            w[b + DEVICE_NEXT] = (slot + 1) % DEVICE_SLOTS
            w[b + DEVICE_LAST + slot] = w[b + DEVICE_PLAYED + slot] = 0
        w[b + DEVICE_LAST + slot] = max(w[b + DEVICE_LAST + slot], time)
        if playing > 0:
            w[b + DEVICE_PLAYED + slot] = max(w[b + DEVICE_PLAYED + slot], time)
        elif playing < 0:
            w[b + DEVICE_PLAYED + slot] = 0
        if known_network:
            slot = network_slot
        else:
            times = r[NETWORK_LAST : NETWORK_LAST + NETWORK_SLOTS]
            slot = times.index(min(times))
            w[b + NETWORKS + slot] = network
            w[b + NETWORK_LAST + slot] = w[b + NETWORK_EVENTS + slot] = 0
        w[b + NETWORK_LAST + slot] = max(w[b + NETWORK_LAST + slot], time)
        w[b + NETWORK_EVENTS + slot] = min(w[b + NETWORK_EVENTS + slot] + 1, FULL)
    if title and d1 >= w[b + TITLE_DAY]:
        if not titles_today:
            w[b + TITLE_DAY] = d1
            w[b + TITLES] = w[b + TITLES + 1] = 0
        w[b + TITLES + (title >> 5) % 2] |= 1 << (title & 31)
    if instrument and d1 >= w[b + INSTRUMENT_DAY]:
        if not instruments_today:
            w[b + INSTRUMENT_DAY] = d1
            w[b + INSTRUMENTS] = 0
        w[b + INSTRUMENTS] |= 1 << (instrument & 31)
    if not failed and country > 0 and not known_country:
        slot = w[b + COUNTRY_NEXT]
        w[b + COUNTRIES + slot] = country
        w[b + COUNTRY_NEXT] = (slot + 1) % COUNTRY_SLOTS
    if d1 >= w[b + SKETCH_DAY]:
        if not sketch_today:
            w[b + SKETCH_DAY] = d1
            for s in range(b + SKETCH, b + SKETCH + 4):
                w[s] = 0
        w[b + SKETCH + (address >> 5) % 4] |= 1 << (address & 31)
    if hour >= 0:
        s = b + HOURS + hour // 3
        w[s] += 1
        if w[s] >= HOUR_LIMIT:
            for s in range(b + HOURS, b + HOURS + 8):
                w[s] >>= 1
    incident = (failed and failures + 1 >= INCIDENT_FAILURES) or (
        exported and exports + 1 >= INCIDENT_EXPORTS
    )
    if (incident or takeover == 2) and h1 not in incident_words:
        slot = w[b + INCIDENT_NEXT]
        w[b + INCIDENTS + slot] = h1
        w[b + INCIDENT_NEXT] = (slot + 1) % INCIDENT_SLOTS
    return observed


def _count(w: memoryview[int], base: int, slots: int, stretch: int, amounts: tuple[int, ...]) -> None:
    # The counters of a bucket lie `slots` words apart, after its tag.
    at = base + stretch % slots
    tag = w[at]
    if tag > stretch:
        return
    if tag < stretch:
        w[at] = stretch
        for amount in amounts:
            at += slots
            w[at] = min(amount, FULL)
    else:
        for amount in amounts:
            at += slots
            w[at] = min(w[at] + amount, FULL)


# The buckets that an event is counted in, and of each of their counters which bucket it belongs to.
_BUCKETS = ((M5_TAG, M5_SLOTS, 300, 2), (H1_TAG, H1_SLOTS, 3_600, 4), (D1_TAG, D1_SLOTS, 86_400, 1),
            (S15_TAG, S15_SLOTS, 15, 1), (H4_TAG, H4_SLOTS, 14_400, 5))  # fmt: skip
_TAGS, _SLOTS, _LENGTHS = (np.array(column)[:, None] for column in list(zip(*_BUCKETS, strict=True))[:3])
_BUCKET_OF = np.repeat(np.arange(len(_BUCKETS)), [counters for *_, counters in _BUCKETS])
_COUNTER_AT = np.array([slots * n for _, slots, _, counters in _BUCKETS for n in range(1, counters + 1)])[
    :, None
]


def fold_round(
    words: Words, profile_of: Sequence[int], table: Ints, positions: NDArray[np.intp], observed: Ints
) -> None:
    """Observes and folds the events at `positions`, of which each is another viewer's, by columns.

    Works on the profiles laid on their side, one row a word: NumPy adds up rows several times faster than it adds up
    along them.
    """
    at = positions
    rows = np.array(profile_of)[at]
    table = table.take(at, axis=1)
    time, event_class, failed, error, device, address, country, hour, volume = table[:9]
    network, title, instrument, kind, playing, refused, page, lacking, handling = table[9:]
    n = len(at)
    every = np.arange(n)
    v = np.ascontiguousarray(words.take(rows, axis=0).T)
    unread = (handling & READ) == 0
    if unread.any():
        v[:, unread] = np.frombuffer(_EMPTY, "<u4")[:, None]
    flat = v.reshape(-1)
    stretches = time // _LENGTHS
    m5, h1, d1, s15, h4 = stretches.astype(np.uint32)

    def inside(base: int, slots: int, stretch: Words, length: int) -> NDArray[np.bool_]:
        # What lies ahead wraps round to more than any length.
        return (stretch - v[base : base + slots]) < length

    def window(mask: NDArray[np.bool_], base: int, slots: int) -> Ints:
        return np.add.reduce(v[base : base + slots] * mask, axis=0, dtype=np.int64)

    def count(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
        return np.add.reduce(mask, axis=0, dtype=np.uint8)

    in_hour = inside(M5_TAG, M5_SLOTS, m5, M5_SLOTS)
    in_day = inside(H1_TAG, H1_SLOTS, h1, H1_SLOTS)
    in_fours = inside(H4_TAG, H4_SLOTS, h4, H4_SLOTS)
    failures = window(in_hour, M5_FAILURES, M5_SLOTS)
    exports = window(in_day, H1_EXPORTS, H1_SLOTS)
    head = v[:24].astype(np.int64)
    total, last, first = head[TOTAL], head[LAST], head[FIRST]
    seen = last > 0
    device_words = v[DEVICES : DEVICES + DEVICE_SLOTS]
    held = device_words != 0
    devices = count(held)
    same_device = device_words == device.astype(np.uint32)
    known_device = np.logical_or.reduce(same_device, axis=0)
    device_slot = same_device.argmax(axis=0)
    since_device = flat.take((DEVICE_SINCE + device_slot) * n + every).astype(np.int64)
    new_device = (devices > 0) & ~known_device
    country_words = v[COUNTRIES : COUNTRIES + COUNTRY_SLOTS]
    countries = count(country_words != 0)
    known_country = np.logical_or.reduce(country_words == country.astype(np.uint32), axis=0)
    placed = country > 0
    sketch_today = head[SKETCH_DAY] == stretches[2]
    bits = count(np.bitwise_count(v[SKETCH : SKETCH + 4])) * sketch_today
    hour_words = v[HOURS : HOURS + 8]
    timed = hour >= 0
    block = np.maximum(hour, 0) // 3
    hour_at = (HOURS + block) * n + every
    incidents = count((h1 - v[INCIDENTS : INCIDENTS + INCIDENT_SLOTS]) < INCIDENT_HOURS)
    success = (event_class == LOGIN) & (failed == 0)
    takeover = (success & new_device & (failures >= TAKEOVER_FAILURES)).astype(np.int64)
    since = time - head[TAKEOVER_AT]
    grave = (event_class >= EXPORT) & (event_class <= CREDENTIAL)
    takeover[grave & (since >= 0) & (since < TAKEOVER_SECONDS)] = 2
    exported = event_class == EXPORT
    others = held & ~same_device
    yesterday = time - 86400
    network_words = v[NETWORKS : NETWORKS + NETWORK_SLOTS]
    held = network_words != 0
    same_network = network_words == network.astype(np.uint32)
    known_network = np.logical_or.reduce(same_network, axis=0)
    network_slot = same_network.argmax(axis=0)
    network_events = v[NETWORK_EVENTS : NETWORK_EVENTS + NETWORK_SLOTS]
    title_today, instrument_today = v[TITLE_DAY] == d1, v[INSTRUMENT_DAY] == d1
    kind_at = (KIND_EVENTS + kind) * n + every
    of_kind = flat.take(kind_at).astype(np.int64)

    out = np.empty((O.WIDTH, n), np.int64)
    out[O.TOTAL] = total
    out[O.EVENTS_1H] = window(in_hour, M5_EVENTS, M5_SLOTS)
    out[O.EVENTS_24H] = window(in_day, H1_EVENTS, H1_SLOTS)
    out[O.EVENTS_7D] = window(inside(D1_TAG, D1_SLOTS, d1, WEEK_DAYS), D1_EVENTS, D1_SLOTS)
    out[O.GAP] = time - last
    out[O.AGE] = time - first
    out[O.BEHIND] = last - time
    times = out[O.GAP : O.BEHIND + 1]
    np.maximum(times, 0, out=times)
    times[:, ~seen] = -1
    out[O.FAILURES_1H] = failures
    out[O.ERRORS_24H] = window(in_day, H1_ERRORS, H1_SLOTS)
    out[O.EXPORTS_24H] = exports
    out[O.VOLUME_24H] = window(in_day, H1_VOLUME, H1_SLOTS)
    out[O.VOLUME_ALL] = head[VOLUME]
    out[O.VOLUME_EVENTS] = head[VOLUME_EVENTS]
    out[O.NEW_DEVICE] = new_device
    out[O.DEVICES] = devices
    out[O.NEW_COUNTRY] = (countries > 0) & placed & ~known_country
    out[O.COUNTRIES] = countries
    out[O.ADDRESS_BITS] = bits
    out[O.HOUR_EVENTS] = flat.take(hour_at) * timed
    out[O.HOUR_ALL] = np.add.reduce(hour_words, axis=0, dtype=np.int64) * timed
    out[O.TAKEOVER] = takeover
    out[O.INCIDENTS] = incidents
    out[O.DEVICE_AGE] = np.where(known_device, np.maximum(time - since_device, 0), -1)
    out[O.EVENTS_1M] = window(inside(S15_TAG, S15_SLOTS, s15, S15_SLOTS), S15_EVENTS, S15_SLOTS)
    fours = v[H4_PAYMENTS : H4_FAILURES + H4_SLOTS].reshape(5, H4_SLOTS, n) * in_fours
    np.add.reduce(fours, axis=1, dtype=np.int64, out=out[O.PAYMENTS_24H : O.FAILURES_24H + 1])
    out[O.DEVICES_24H] = count(others & (v[DEVICE_LAST : DEVICE_LAST + DEVICE_SLOTS] > yesterday))
    heard = np.maximum(time - STREAM_SECONDS, 0).astype(np.uint32)
    out[O.STREAMS] = count(others & (v[DEVICE_PLAYED : DEVICE_PLAYED + DEVICE_SLOTS] > heard))
    out[O.NEW_NETWORK] = np.logical_or.reduce(held, axis=0) & ~known_network
    recent = v[NETWORK_LAST : NETWORK_LAST + NETWORK_SLOTS] > yesterday
    out[O.NETWORKS_24H] = count(held & ~same_network & recent)
    out[O.NETWORK_EVENTS] = flat.take((NETWORK_EVENTS + network_slot) * n + every) * known_network
    out[O.NETWORK_ALL] = np.add.reduce(network_events, axis=0, dtype=np.int64)
    out[O.TITLE_BITS] = count(np.bitwise_count(v[TITLES : TITLES + 2])) * title_today
    out[O.INSTRUMENT_BITS] = np.bitwise_count(v[INSTRUMENTS]) * instrument_today
    out[O.KIND_EVENTS] = of_kind
    np.bitwise_count(v[LACKING : EU_LACKING + 1], out=out[O.LACKING : O.EU_LACKING + 1], casting="unsafe")
    observed[at] = out.T

    # What is not folded is worked out like the rest and not written back.
    folded = (handling & FOLD) != 0
    live = folded & ((handling & LATE) == 0)
    slots = _TAGS + stretches % _SLOTS
    tags_at = slots * n + every
    tags = flat.take(tags_at).astype(np.int64)
    same, due = tags == stretches, tags <= stretches
    flat[tags_at] = np.where(due, stretches, tags)
    moved = np.maximum(volume, 0)
    amounts = np.empty((len(_BUCKET_OF), n), np.int64)
    amounts[:] = 1
    amounts[1], amounts[3], amounts[4], amounts[5] = failed, error, exported, moved
    amounts[8], amounts[9], amounts[10] = event_class == PAYMENT, refused, page
    amounts[11], amounts[12] = (event_class == CREDENTIAL) & (failed == 0), failed
    counters_at = tags_at[_BUCKET_OF] + _COUNTER_AT * n
    old = flat.take(counters_at).astype(np.int64)
    amounts += old * same[_BUCKET_OF]
    np.minimum(amounts, FULL, out=amounts)
    flat[counters_at] = np.where(due[_BUCKET_OF], amounts, old)
    v[TOTAL] = np.minimum(total + 1, FULL)
    class_at = (CLASSES + event_class) * n + every
    flat[class_at] = np.minimum(flat.take(class_at).astype(np.int64) + 1, FULL)
    flat[kind_at] = np.minimum(of_kind + 1, FULL)

    v[FIRST] = np.where(live & (~seen | (time < first)), time, first)
    v[LAST] = np.where(live & (time > last), time, last)
    told = live & (volume >= 0)
    v[VOLUME] = np.minimum(head[VOLUME] + moved * told, FULL)
    v[VOLUME_EVENTS] = np.minimum(head[VOLUME_EVENTS] + told, FULL)
    v[TAKEOVER_AT] = np.where(live & (takeover == 1), time, head[TAKEOVER_AT])
    for register_at, bit, kept in (
        (LACKING, lacking & 1, (1 << LAST_EVENTS) - 1),
        (EU_LACKING, lacking >> 1, FULL),
    ):
        register = v[register_at].astype(np.int64)
        v[register_at] = np.where(live, (register << 1 | bit) & kept, register)
    own = live & (failed == 0)
    arrived = np.nonzero(own & ~known_device)[0]
    at_own = np.nonzero(own)[0]
    own_time, own_playing = time[at_own], playing[at_own]
    new = ~known_device[at_own]
    slots = np.where(new, head[DEVICE_NEXT, at_own], device_slot[at_own]) * n + at_own
    last_at, played_at = slots + DEVICE_LAST * n, slots + DEVICE_PLAYED * n
    flat[last_at] = np.maximum(np.where(new, 0, flat.take(last_at)), own_time)
    played = np.where(new, 0, flat.take(played_at))
    flat[played_at] = np.where(
        own_playing > 0, np.maximum(played, own_time), np.where(own_playing < 0, 0, played)
    )
    new = ~known_network[at_own]
    oldest = v[NETWORK_LAST : NETWORK_LAST + NETWORK_SLOTS].argmin(axis=0)[at_own]
    slots = np.where(new, oldest, network_slot[at_own]) * n + at_own
    last_at, events_at = slots + NETWORK_LAST * n, slots + NETWORK_EVENTS * n
    flat[slots + NETWORKS * n] = network[at_own]
    flat[last_at] = np.maximum(np.where(new, 0, flat.take(last_at)), own_time)
    events = np.where(new, 0, flat.take(events_at).astype(np.int64)) + 1
    flat[events_at] = np.minimum(events, FULL)
    v[DEVICE_SINCE + head[DEVICE_NEXT, arrived], arrived] = time[arrived]
    _push(v, arrived, DEVICES, DEVICE_NEXT, DEVICE_SLOTS, device)
    _push(v, np.nonzero(own & placed & ~known_country)[0], COUNTRIES, COUNTRY_NEXT, COUNTRY_SLOTS, country)
    for day, base, words_of, today, value, said in (
        (SKETCH_DAY, SKETCH, 4, sketch_today, address, live),
        (TITLE_DAY, TITLES, 2, title_today, title, live & (title != 0)),
        (INSTRUMENT_DAY, INSTRUMENTS, 1, instrument_today, instrument, live & (instrument != 0)),
    ):
        said = said & (d1 >= v[day])
        begun = np.nonzero(said & ~today)[0]
        if len(begun):
            v[day, begun] = d1[begun]
            v[base : base + words_of, begun] = 0
        bit_at = (base + (value >> 5) % words_of) * n + every
        flat[bit_at] |= (said.astype(np.int64) << (value & 31)).astype(np.uint32)
    by_hour = flat.take(hour_at) + (live & timed)
    flat[hour_at] = by_hour
    high = np.nonzero(live & timed & (by_hour >= HOUR_LIMIT))[0]
    if len(high):
        v[HOURS : HOURS + 8, high] >>= 1
    incident = (failed != 0) & (failures + 1 >= INCIDENT_FAILURES)
    incident |= exported & (exports + 1 >= INCIDENT_EXPORTS)
    incident |= takeover == 2
    found = np.nonzero(live & incident)[0]
    if len(found):
        known = (v[INCIDENTS : INCIDENTS + INCIDENT_SLOTS, found] == h1[found]).any(axis=0)
        _push(v, found[~known], INCIDENTS, INCIDENT_NEXT, INCIDENT_SLOTS, stretches[1])
    if folded.all():
        words[rows] = v.T
    else:
        words[rows[folded]] = v.T[folded]


def _push(v: Words, found: NDArray[np.intp], base: int, cursor: int, slots: int, values: Ints) -> None:
    if len(found):
        slot = v[cursor, found].astype(np.int64)
        v[base + slot, found] = values[found]
        v[cursor, found] = (slot + 1) % slots
