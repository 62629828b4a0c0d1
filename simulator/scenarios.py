"""What must be found, and what must not be mistaken for it.

Each scenario varies (loud and quiet hands, familiar and foreign places): no single fact gives one away.
Abusive: takeover, credential_stuffing, bulk_export, sharing, scraping, ring, card_testing. Innocent look-alikes:
travel, vpn, new_phone (a takeover's steps by the owner), binge (a scraper's pace and an exporter's volume by a
viewer), away (a member of the household who lives elsewhere, as sharers do), hotel (guests sign in on the room's
television, which many accounts have used, as in a ring).
Unlawful processing by the operator, which says nothing of the viewer: consent_missing, consent_withdrawn,
minors.
Named apart, innocent: flight (the Wi-Fi of an aircraft, whose address is a ground station's), handover (a telephone leaves
the Wi-Fi for a carrier whose exit is in another city, and comes back).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import TypeVar

from simulator.places import GROUND_STATIONS, HOSTING_NETWORKS, PLACES, TOR_EXITS, VPN_NETWORKS, Place
from simulator.population import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    Device,
    Trip,
    Viewer,
    draw_place,
    fingerprint,
    make_device,
)
from simulator.sessions import Label, Step, Window, carrier, local_time, pick_content, stream

T = TypeVar("T")

SCENARIOS = (
    "takeover",
    "credential_stuffing",
    "bulk_export",
    "sharing",
    "scraping",
    "ring",
    "card_testing",
    "travel",
    "vpn",
    "new_phone",
    "binge",
    "away",
    "hotel",
    "consent_missing",
    "consent_withdrawn",
    "minors",
)
"""Names of all scenarios that are played unless some are named."""

JOURNEYS = ("flight", "handover")
"""Scenarios that are played only where they are named: the others' traffic is the same with and without them."""

COMPLIANCE_ROLES = ("consent_missing", "consent_withdrawn", "minors")
"""Scenarios that are a property of a viewer's privacy facts."""

# Share of viewers (of attacks or rings, for credential_stuffing and ring) a week; at least one each.
_WEEKLY = {
    "takeover": 0.01,
    "credential_stuffing": 0.0005,
    "bulk_export": 0.006,
    "scraping": 0.003,
    "ring": 0.003,
    "card_testing": 0.004,
    "new_phone": 0.012,
    "binge": 0.012,
    "hotel": 0.015,
}
_SHARE = {
    "sharing": 0.02,
    "travel": 0.03,
    "vpn": 0.03,
    "away": 0.02,
    "flight": 0.03,
    "handover": 0.05,
    "consent_missing": 0.02,
    "consent_withdrawn": 0.015,
    "minors": 0.02,
}
_MOST = 0.06


def instances(scenario: str, users: int, span_ms: int) -> int:
    """Returns how often a scenario happens among `users` viewers within the time, 1 or more."""
    if scenario in _SHARE:
        return max(1, round(_SHARE[scenario] * users))
    weeks = span_ms / (7 * DAY_MS)
    return max(1, round(min(_WEEKLY[scenario] * max(weeks, 1.0), _MOST) * users))


def foreign_place(rng: Random, home: Place) -> Place:
    """Returns a place in another country."""
    others = [place for place in PLACES if place.country != home.country]
    return draw_place(rng, others)


def other_city(rng: Random, home: Place) -> Place:
    """Returns another city of the same country, or a foreign place where the table has no other city."""
    others = [place for place in PLACES if place.country == home.country and place.city != home.city]
    return draw_place(rng, others) if others else foreign_place(rng, home)


def plan_trip(rng: Random, viewer: Viewer, window: Window) -> Trip:
    """Returns a stay abroad of two to six days with 16 hours of travel each way.

    Where the simulated time is shorter than four days, the viewer is abroad through all of it.
    """
    place = foreign_place(rng, viewer.place)
    way = 16 * HOUR_MS
    if window.span_ms < 4 * DAY_MS:
        return Trip(place, window.start_ms - way, window.start_ms, window.end_ms, window.end_ms + way)
    leave = window.start_ms + int(rng.random() * 0.4 * window.span_ms)
    back = leave + way + int((2 + 4 * rng.random()) * DAY_MS)
    return Trip(place, leave, leave + way, back, back + way)


def plan_flight(rng: Random, viewer: Viewer, window: Window) -> Trip:
    """Returns a stay abroad of one to three days with a flight of 9 to 14 hours each way, the first within the time."""
    place = foreign_place(rng, viewer.place)
    way = int((9 + 5 * rng.random()) * HOUR_MS)
    leave = window.start_ms + int((0.1 + 0.4 * rng.random()) * window.span_ms)
    back = leave + way + int((1 + 2 * rng.random()) * DAY_MS)
    return Trip(place, leave, leave + way, back, back + way)


def flight(rng: Random, viewer: Viewer, trip: Trip) -> Iterator[Step]:
    """The viewer watches over the aircraft's Wi-Fi, there and back; ground stations change on the way."""
    label = Label("flight", False, "")
    portable = [device for device in viewer.devices if device.kind != "tv"]
    device = _one_of(rng, portable) if portable else viewer.devices[0]
    for leave_ms, arrive_ms in ((trip.leave_ms, trip.arrive_ms), (trip.return_ms, trip.home_ms)):
        # An hour and more to the gate, and nothing during take-off and landing.
        now = leave_ms + int((1.2 + rng.random()) * HOUR_MS)
        session = _session_id(rng)
        while now < arrive_ms - 3 * HOUR_MS:
            address = _one_of(rng, GROUND_STATIONS).network.address(rng.random())
            base = Step(now, viewer, "play", device, address, label, session_id=session)
            for step in stream(rng, base, int((20 + rng.random() * 70) * MINUTE_MS)):
                now = step.time_ms
                yield step
            now += int((2 + rng.random() * 40) * MINUTE_MS)


def handover(rng: Random, viewer: Viewer, window: Window) -> Iterator[Step]:
    """A telephone goes on over a carrier, whose exit is in another city, when it leaves the Wi-Fi, and comes back to it."""
    label = Label("handover", False, "")
    telephones = [device for device in viewer.devices if device.kind in ("phone", "tablet")]
    device = _one_of(rng, telephones) if telephones else viewer.devices[0]
    cities = [place for place in PLACES if place.country == viewer.place.country]
    exits = carrier(draw_place(rng, [place for place in cities if place != viewer.place] or cities).home)
    day_start = window.start_ms
    while day_start < window.end_ms:
        start = local_time(rng, viewer, day_start)
        base = Step(start, viewer, "access", device, viewer.home_address, label, session_id=_session_id(rng))
        yield base
        mobile = exits.address(rng.random())
        leaves = start + int((5 + rng.random() * 40) * MINUTE_MS)
        returns = leaves + int((5 + rng.random() * 90) * MINUTE_MS)
        base = base._replace(time_ms=start + 30_000)
        last = start
        for step in stream(rng, base, returns + 10 * MINUTE_MS - start):
            last = step.time_ms
            yield step._replace(address=mobile) if leaves <= step.time_ms < returns else step
        day_start = max(day_start + DAY_MS, last)


def vpn_address(rng: Random) -> str:
    """Returns an address of a commercial VPN."""
    return _one_of(rng, VPN_NETWORKS).address(rng.random())


def takeover(rng: Random, viewer: Viewer, window: Window) -> Iterator[Step]:
    """Someone else signs in, makes the account his own, and uses or empties it."""
    label = Label("takeover", True, "")
    now = _begin(rng, window)
    device = make_device(rng, "browser" if rng.random() < 0.6 else "phone")
    address = _intruder_address(rng, viewer)
    session = _session_id(rng)
    base = Step(now, viewer, "login_failed", device, address, label)
    manner = rng.random()
    if manner < 0.55:
        # The password is guessed or tried from a list; the rest has been phished.
        for _ in range(2 + int(rng.random() * 7)):
            yield base._replace(time_ms=now)
            now += 3000 + int(rng.random() * 40_000)
    if manner < 0.15:
        yield base._replace(time_ms=now, event_type="password_reset")
        now += 30_000 + int(rng.random() * 180_000)
    base = base._replace(session_id=session)
    yield base._replace(time_ms=now, event_type="login")
    now += 10_000 + int(rng.random() * 120_000)
    changes = ["email_change", "password_change", "mfa_disable", "profile_change", "device_remove"]
    for _ in range(0 if rng.random() < 0.2 else 1 + int(rng.random() * 3)):
        change = changes.pop(int(rng.random() * len(changes)))
        yield base._replace(time_ms=now, event_type=change)
        now += 15_000 + int(rng.random() * 180_000)
    aim = rng.random()
    if aim < 0.4:
        for _ in range(1 + int(rng.random() * 4)):
            kind = "payment_method_change" if rng.random() < 0.25 else "purchase"
            yield base._replace(
                time_ms=now, event_type=kind, content_id=pick_content(rng), payment=viewer.payment
            )
            now += 20_000 + int(rng.random() * 200_000)
    elif aim < 0.65:
        yield base._replace(time_ms=now, event_type="data_export", volume=int((0.01 + rng.random()) * 1e9))
        now += 60_000
    for _ in range(1 + int(rng.random() * 3)):
        last = now
        for step in stream(rng, base._replace(time_ms=now), int((20 + rng.random() * 70) * MINUTE_MS)):
            last = step.time_ms
            yield step
        now = last + 30_000 + int(rng.random() * 600_000)


def credential_stuffing(rng: Random, viewers: Sequence[Viewer], window: Window) -> Iterator[Step]:
    """Leaked passwords are tried on 40 to 240 accounts from a pool of addresses; one in a hundred fits."""
    label = Label("credential_stuffing", True, "")
    count = min(len(viewers), 40 + int(rng.random() * 200))
    first = int(rng.random() * len(viewers))
    slow = rng.random() < 0.4
    pool: list[str] = []
    for _ in range(3 + int(rng.random() * 28)):
        chance = rng.random()
        if chance < 0.5:
            pool.append(_one_of(rng, HOSTING_NETWORKS).address(rng.random()))
        elif chance < 0.75:
            pool.append(vpn_address(rng))
        else:
            pool.append(draw_place(rng).home.address(rng.random()))
    devices = [make_device(rng, "script" if rng.random() < 0.5 else "browser") for _ in pool]
    now = _begin(rng, window)
    for number in range(count):
        viewer = viewers[(first + number) % len(viewers)]
        way = int(rng.random() * len(pool))
        device = devices[way]
        if rng.random() < 0.3:
            device = make_device(rng, "browser")
        step = Step(now, viewer, "login_failed", device, pool[way], label)
        fits = rng.random() < 0.015
        for _ in range(1 + int(rng.random() * 2) - fits):
            yield step._replace(time_ms=now)
            now += 500 + int(rng.random() * 3000)
        if fits:
            yield step._replace(time_ms=now, event_type="login", session_id=_session_id(rng))
        now += 20_000 + int(rng.random() * 70_000) if slow else 500 + int(rng.random() * 5000)


def bulk_export(rng: Random, viewer: Viewer, window: Window) -> Iterator[Step]:
    """Titles or account data leave in bulk: fast at night, or slowly in large pieces."""
    label = Label("bulk_export", True, "")
    now = _begin(rng, window)
    own = rng.random() < 0.5
    portable = [device for device in viewer.devices if device.kind != "tv"]
    device = _one_of(rng, portable) if own else make_device(rng, "browser")
    chance = rng.random()
    if chance < 0.35:
        address = viewer.home_address
    elif chance < 0.7:
        address = _one_of(rng, TOR_EXITS).address(0.0)
    else:
        address = _one_of(rng, HOSTING_NETWORKS).address(rng.random())
    base = Step(now, viewer, "login", device, address, label, session_id=_session_id(rng))
    yield base
    now += 20_000 + int(rng.random() * 60_000)
    slow = rng.random() < 0.35
    for _ in range(8 + int(rng.random() * 13) if slow else 25 + int(rng.random() * 96)):
        kind = ("bulk_download", "export", "download", "data_export")[int(rng.random() * 4)]
        volume = int((5 + rng.random() * 25 if slow else 0.5 + rng.random() * 11.5) * 1e9)
        yield base._replace(time_ms=now, event_type=kind, content_id=pick_content(rng), volume=volume)
        now += int((300 + rng.random() * 600 if slow else 15 + rng.random() * 135) * 1000)


def sharing(rng: Random, viewer: Viewer, window: Window) -> list[Iterator[Step]]:
    """Two to five people of other households watch on the same account; a life each."""
    lives: list[Iterator[Step]] = []
    for _ in range(2 + int(rng.random() * 4)):
        place = other_city(rng, viewer.place) if rng.random() < 0.7 else foreign_place(rng, viewer.place)
        device = make_device(rng, ("tv", "phone", "browser")[int(rng.random() * 3)])
        lives.append(_outsider(Random(int(rng.random() * (1 << 52))), viewer, place, device, window))
    return lives


def _outsider(rng: Random, viewer: Viewer, place: Place, device: Device, window: Window) -> Iterator[Step]:
    label = Label("sharing", True, "")
    address = place.home.address(rng.random() * 0.99)
    evenings = Viewer(viewer.user_id, place, viewer.household_id, address)
    free_at = window.start_ms
    day_start = window.start_ms
    # Where the whole is shorter than a day, its one session lies inside it.
    while day_start < window.end_ms:
        if rng.random() < 0.75 or day_start == window.start_ms:
            wanted = local_time(rng, evenings, day_start)
            if window.span_ms < DAY_MS:
                wanted = window.start_ms + int(rng.random() * 0.5 * window.span_ms)
            now = max(wanted, free_at)
            base = Step(now, viewer, "play", device, address, label, session_id=_session_id(rng))
            for step in stream(rng, base, int((25 + rng.random() * 100) * MINUTE_MS)):
                free_at = step.time_ms + MINUTE_MS
                yield step
        day_start += DAY_MS


def scraping(rng: Random, viewer: Viewer, window: Window) -> Iterator[Step]:
    """A program reads the catalogue page by page, at its own pace, hardly ever playing anything."""
    label = Label("scraping", True, "")
    now = _begin(rng, window)
    device = make_device(rng, "script" if rng.random() < 0.6 else "browser")
    chance = rng.random()
    if chance < 0.5:
        addresses = [_one_of(rng, HOSTING_NETWORKS).address(rng.random())]
    elif chance < 0.75:
        addresses = [vpn_address(rng) for _ in range(2 + int(rng.random() * 6))]
    else:
        addresses = [viewer.home_address]
    slow = rng.random() < 0.4
    base = Step(now, viewer, "login", device, addresses[0], label, session_id=_session_id(rng))
    yield base
    title = int(rng.random() * 3000)
    stride = 1 if rng.random() < 0.6 else 7
    for number in range(150 + int(rng.random() * 250) if slow else 200 + int(rng.random() * 700)):
        now += int((6 + rng.random() * 19 if slow else 0.8 + rng.random() * 3) * 1000)
        yield base._replace(
            time_ms=now,
            event_type="play" if rng.random() < 0.02 else "access",
            address=addresses[number * len(addresses) // 900 if slow else number % len(addresses)],
            content_id=f"title-{(title + number * stride) % 4000:04d}",
        )


def ring(rng: Random, first_index: int, window: Window) -> tuple[list[Viewer], list[Iterator[Step]]]:
    """Six to twelve accounts of one hand: opened in a burst, tied by devices and payment instruments.

    Returns the accounts, numbered from `first_index`, and a life for each.
    """
    place = draw_place(rng)
    size = 6 + int(rng.random() * 7)
    devices = [make_device(rng, "phone" if rng.random() < 0.5 else "browser") for _ in range(2 + (size > 8))]
    payments = [fingerprint(rng) for _ in range(1 + (rng.random() < 0.5))]
    addresses = [place.home.address(rng.random()) for _ in range(1 + int(rng.random() * 3))]
    domain = ("mailinator.com", "gmail.com", "guerrillamail.com")[int(rng.random() * 3)]
    opened = _begin(rng, window)
    careful = rng.random() < 0.4
    # The burst fits into the first tenth of what is left, two days at most.
    burst = min(2 * DAY_MS, (window.end_ms - opened) // 10)
    members: list[Viewer] = []
    lives: list[Iterator[Step]] = []
    for number in range(size):
        index = first_index + number
        viewer = Viewer(f"viewer-{index:06d}", place, "", _one_of(rng, addresses))
        viewer.created_ms = opened + int(rng.random() * burst)
        viewer.email_domain = domain
        viewer.plan, viewer.stream_limit = "trial", 1
        viewer.payment = payments[number % len(payments)]
        # Neighbours overlap in a device, so that all hang together; in a careful ring each has one of his own too.
        viewer.devices = (devices[number % len(devices)], devices[(number + 1) % len(devices)])
        if careful:
            viewer.devices = (make_device(rng, "phone"), *viewer.devices)
        members.append(viewer)
        lives.append(_member(Random(int(rng.random() * (1 << 52))), viewer, window))
    return members, lives


def _member(rng: Random, viewer: Viewer, window: Window) -> Iterator[Step]:
    label = Label("ring", True, "")
    now = viewer.created_ms
    signup, *others = viewer.devices
    base = Step(now, viewer, "signup", signup, viewer.home_address, label, session_id=_session_id(rng))
    yield base
    now += 20_000 + int(rng.random() * 120_000)
    yield base._replace(time_ms=now, event_type="payment_method_add", payment=viewer.payment)
    while now < window.end_ms:
        device = _one_of(rng, others) if rng.random() < 0.5 else signup
        session = base._replace(device=device, session_id=_session_id(rng))
        now += 20_000 + int(rng.random() * 120_000)
        yield session._replace(time_ms=now, event_type="login")
        if rng.random() < 0.35:
            now += 20_000 + int(rng.random() * 120_000)
            kind = "payment_failed" if rng.random() < 0.4 else "purchase"
            yield session._replace(
                time_ms=now, event_type=kind, content_id=pick_content(rng), payment=viewer.payment
            )
        now += 20_000
        for step in stream(rng, session._replace(time_ms=now), int((5 + rng.random() * 60) * MINUTE_MS)):
            now = step.time_ms
            yield step
        now += int((4 + rng.random() * 20) * HOUR_MS)


def card_testing(rng: Random, viewer: Viewer, window: Window) -> Iterator[Step]:
    """Stolen cards are tried on one account until some work: in one go, or a few an hour over days."""
    label = Label("card_testing", True, "")
    now = _begin(rng, window)
    device = make_device(rng, "script" if rng.random() < 0.3 else "browser")
    chance = rng.random()
    if chance < 0.35:
        addresses = [_one_of(rng, HOSTING_NETWORKS).address(rng.random())]
    elif chance < 0.6:
        addresses = [vpn_address(rng) for _ in range(1 + int(rng.random() * 4))]
    else:
        addresses = [other_city(rng, viewer.place).home.address(rng.random())]
    slow = rng.random() < 0.5
    works = 0.05 + rng.random() * 0.3
    base = Step(now, viewer, "login", device, addresses[0], label, session_id=_session_id(rng))
    yield base
    now += 20_000 + int(rng.random() * 60_000)
    for number in range(6 + int(rng.random() * 15) if slow else 12 + int(rng.random() * 50)):
        card = fingerprint(rng)
        address = addresses[number % len(addresses)]
        if rng.random() < 0.4:
            kind = "payment_method_add" if rng.random() < 0.7 else "payment_method_change"
            yield base._replace(time_ms=now, event_type=kind, address=address, payment=card)
            now += 2_000 + int(rng.random() * 10_000)
        kind = "purchase" if rng.random() < works else "payment_failed"
        content = pick_content(rng)
        yield base._replace(time_ms=now, event_type=kind, address=address, content_id=content, payment=card)
        now += int((600 + rng.random() * 6_000 if slow else 3 + rng.random() * 60) * 1000)


def new_phone(rng: Random, viewer: Viewer, window: Window) -> Iterator[Step]:
    """The viewer has a new telephone and has forgotten the password: a takeover's steps, by the owner."""
    label = Label("new_phone", False, "")
    now = local_time(rng, viewer, _begin(rng, window))
    device = make_device(rng, "phone")
    address = (
        viewer.home_address
        if rng.random() < 0.6
        else other_city(rng, viewer.place).home.address(rng.random())
    )
    base = Step(now, viewer, "login_failed", device, address, label)
    failures = int(rng.random() * 6)
    for _ in range(failures):
        yield base._replace(time_ms=now)
        now += 8000 + int(rng.random() * 50_000)
    if failures > 2 or rng.random() < 0.3:
        yield base._replace(time_ms=now, event_type="password_reset")
        now += 60_000 + int(rng.random() * 240_000)
    base = base._replace(session_id=_session_id(rng))
    yield base._replace(time_ms=now, event_type="login")
    now += 10_000 + int(rng.random() * 60_000)
    for kind in ("device_add", "device_remove", "profile_change", "mfa_enroll"):
        if rng.random() < 0.4:
            yield base._replace(time_ms=now, event_type=kind)
            now += 15_000 + int(rng.random() * 90_000)
    if rng.random() < 0.3:
        yield base._replace(
            time_ms=now, event_type="purchase", content_id=pick_content(rng), payment=viewer.payment
        )
        now += 20_000 + int(rng.random() * 60_000)
    for _ in range(1 + int(rng.random() * 4)):
        last = now
        for step in stream(rng, base._replace(time_ms=now), int((15 + rng.random() * 90) * MINUTE_MS)):
            last = step.time_ms
            yield step
        now = last + int((0.2 + rng.random() * 20) * HOUR_MS)


def binge(rng: Random, viewer: Viewer, window: Window) -> Iterator[Step]:
    """A viewer browses for an hour, takes a season along for the journey, or watches a day and a night through."""
    label = Label("binge", False, "")
    now = _begin(rng, window)
    portable = [device for device in viewer.devices if device.kind != "tv"]
    device = _one_of(rng, portable)
    base = Step(now, viewer, "access", device, viewer.home_address, label, session_id=_session_id(rng))
    chance = rng.random()
    if chance < 0.4:
        for _ in range(40 + int(rng.random() * 120)):
            yield base._replace(time_ms=now, content_id=pick_content(rng))
            now += 2_000 + int(rng.random() * rng.random() * 60_000)
    elif chance < 0.7:
        for _ in range(8 + int(rng.random() * 16)):
            volume = int((0.3 + rng.random() * 2.7) * 1e9)
            yield base._replace(
                time_ms=now, event_type="download", content_id=pick_content(rng), volume=volume
            )
            now += 30_000 + int(rng.random() * 240_000)
        return
    for _ in range(4 + int(rng.random() * 10)):
        last = now
        for step in stream(rng, base._replace(time_ms=now), int((25 + rng.random() * 60) * MINUTE_MS)):
            last = step.time_ms
            yield step
        now = last + 10_000 + int(rng.random() * 300_000)


def away(rng: Random, viewer: Viewer, window: Window) -> Iterator[Step]:
    """A member of the household studies or works in another city: one more person, on a device of the family."""
    label = Label("away", False, "")
    place = other_city(rng, viewer.place) if rng.random() < 0.9 else foreign_place(rng, viewer.place)
    device = make_device(rng, "phone" if rng.random() < 0.6 else "browser")
    there = place.home.address(rng.random() * 0.99)
    person = Viewer(viewer.user_id, place, viewer.household_id, there)
    free_at = window.start_ms
    day_start = window.start_ms
    number = 0
    while day_start < window.end_ms:
        if rng.random() < 0.5 or day_start == window.start_ms:
            now = max(local_time(rng, person, day_start), free_at)
            # Home at the weekend: there the device is one of the family's.
            address = viewer.home_address if number % 7 in (5, 6) else there
            base = Step(now, viewer, "play", device, address, label, session_id=_session_id(rng))
            for step in stream(rng, base, int((20 + rng.random() * 80) * MINUTE_MS)):
                free_at = step.time_ms + MINUTE_MS
                yield step
        day_start += DAY_MS
        number += 1


def hotel(rng: Random, viewers: Sequence[Viewer], window: Window) -> list[Iterator[Step]]:
    """The viewers are guests of one hotel, and watch on one of its few televisions for an evening or three."""
    place = draw_place(rng)
    address = place.home.address(rng.random() * 0.99)
    televisions = [make_device(rng, "tv") for _ in range(max(1, len(viewers) // 8))]
    return [
        _guest(
            Random(int(rng.random() * (1 << 52))), viewer, place, _one_of(rng, televisions), address, window
        )
        for viewer in viewers
    ]


def _guest(
    rng: Random, viewer: Viewer, place: Place, device: Device, address: str, window: Window
) -> Iterator[Step]:
    label = Label("hotel", False, "")
    guest = Viewer(viewer.user_id, place, viewer.household_id, address)
    day_start = _begin(rng, window)
    for _ in range(1 + int(rng.random() * 3)):
        now = local_time(rng, guest, day_start)
        base = Step(now, viewer, "login", device, address, label, session_id=_session_id(rng))
        yield base
        now += 20_000 + int(rng.random() * 60_000)
        for step in stream(rng, base._replace(time_ms=now), int((20 + rng.random() * 100) * MINUTE_MS)):
            now = step.time_ms
            yield step
        yield base._replace(time_ms=now + 5000, event_type="logout")
        # The next evening never begins before the last has ended.
        day_start = max(day_start + DAY_MS, now + MINUTE_MS)


def withdrawal(viewer: Viewer) -> Iterator[Step]:
    """Yields the withdrawal itself: lawful, whatever follows."""
    label = Label("consent_withdrawn", False, "")
    yield Step(
        viewer.withdrawn_ms, viewer, "consent_withdraw", viewer.devices[-1], viewer.home_address, label
    )


ATTACKS: dict[str, Callable[[Random, Viewer, Window], Iterator[Step]]] = {
    "takeover": takeover,
    "bulk_export": bulk_export,
    "scraping": scraping,
    "card_testing": card_testing,
    "new_phone": new_phone,
    "binge": binge,
    "away": away,
    "handover": handover,
}
"""Scenarios that one actor plays on one account."""


def _begin(rng: Random, window: Window) -> int:
    # Not at the very end, so that it has room.
    return window.start_ms + int(rng.random() * 0.6 * window.span_ms)


def _intruder_address(rng: Random, viewer: Viewer) -> str:
    chance = rng.random()
    if chance < 0.45:
        return foreign_place(rng, viewer.place).home.address(rng.random())
    if chance < 0.65:
        return _one_of(rng, HOSTING_NETWORKS).address(rng.random())
    if chance < 0.85:
        return vpn_address(rng)
    return other_city(rng, viewer.place).home.address(rng.random())


def _session_id(rng: Random) -> str:
    return f"session-{int(rng.random() * (1 << 48)):012x}"


def _one_of(rng: Random, items: Sequence[T]) -> T:
    return items[int(rng.random() * len(items))]
