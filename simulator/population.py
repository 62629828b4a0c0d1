"""Who watches: households, viewers, devices, plans, and the privacy facts that the platform knows of them."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import NamedTuple

from simulator.places import EU_COUNTRIES, OPT_IN_COUNTRIES, PLACES, Place
from usher.event.v1 import event_pb2

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000

BASIC, PERSONALISED, CONSENT_MISSING, CONSENT_WITHDRAWN, MINOR_PROFILED = range(5)
"""What the data of an event are processed for, and on what basis; see `Viewer.template`."""

_FAMILY_SIZES = (1, 1, 1, 2, 2, 2, 3, 3, 4)
_PLANS = (
    ("basic", 1),
    ("standard", 2),
    ("premium", 4),
    ("standard", 2),
    ("basic", 1),
    ("vip", 4),
    ("trial", 1),
)
_EMAIL_DOMAINS = (
    "gmail.com",
    "outlook.com",
    "yahoo.com",
    "icloud.com",
    "web.de",
    "orange.fr",
    "uol.com.br",
    "proton.me",
)
# Sessions a day: most watch in the evening, some all day, many hardly ever.
_ACTIVITY = (0.05, 0.3, 0.6, 0.9, 1.2, 1.2, 1.5, 2.0, 3.0, 4.5)
MEAN_SESSIONS_PER_DAY = sum(_ACTIVITY) / len(_ACTIVITY)
"""Sessions of a viewer and day, on average, at the natural rhythm."""

_BLINK = "AppleWebKit/537.36 (KHTML, like Gecko)"
_APPLE = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
_USER_AGENTS: dict[str, tuple[str, ...]] = {
    "tv": (
        f"Mozilla/5.0 (SMART-TV; LINUX; Tizen 7.0) {_BLINK} 94.0.4606.31/7.0 TV Safari/537.36",
        f"Mozilla/5.0 (Web0S; Linux/SmartTV) {_BLINK} Chrome/108.0.5359.211 Safari/537.36 WebAppManager",
        "Roku/DVP-12.5 (12.5.0.4178-46)",
        "Dalvik/2.1.0 (Linux; U; Android 11; BRAVIA 4K UR2 Build/RTT1.230105.003)",
    ),
    "phone": (
        f"Mozilla/5.0 (Linux; Android 15; SM-S921B) {_BLINK} Chrome/141.0.0.0 Mobile Safari/537.36",
        f"Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) {_APPLE} Version/18.6 Mobile/15E148",
        f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {_BLINK} Chrome/140.0.0.0 Mobile Safari/537.36",
    ),
    "tablet": (
        f"Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) {_APPLE} Version/18.5 Mobile/15E148 Safari/604.1",
        f"Mozilla/5.0 (Linux; Android 14; SM-X710) {_BLINK} Chrome/141.0.0.0 Safari/537.36",
    ),
    "browser": (
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_BLINK} Chrome/142.0.0.0 Safari/537.36",
        f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_APPLE} Version/18.6 Safari/605.1.15",
        "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
    ),
    "script": (
        "python-requests/2.32.5",
        "okhttp/4.12.0",
        f"Mozilla/5.0 (X11; Linux x86_64) {_BLINK} HeadlessChrome/131.0.0.0 Safari/537.36",
    ),
}


class Device(NamedTuple):
    """A device as the platform sees it."""

    device_id: str
    kind: str
    """"tv", "phone", "tablet", "browser" or "script"."""
    user_agent: str
    metadata_json: bytes


def make_device(rng: Random, kind: str) -> Device:
    """Returns a device of the kind with an id that no other has."""
    agents = _USER_AGENTS[kind]
    identity = int(rng.random() * (1 << 52))
    version = 40 + int(rng.random() * 8)
    return Device(
        f"{kind}-{identity:013x}",
        kind,
        agents[int(rng.random() * len(agents))],
        b'{"app_version":"7.%d.0"}' % version,
    )


class Trip(NamedTuple):
    """A stay away from home; nothing is watched on the way."""

    place: Place
    leave_ms: int
    arrive_ms: int
    return_ms: int
    home_ms: int


class Viewer:
    """One account. Everything that stays the same over the simulated time."""

    __slots__ = (
        "age",
        "cache",
        "created_ms",
        "devices",
        "email_domain",
        "home_address",
        "household_id",
        "night_hours",
        "payment",
        "place",
        "plan",
        "role",
        "second_factor",
        "sessions_per_day",
        "signup_address",
        "stream_limit",
        "trip",
        "user_id",
        "vpn",
        "withdrawn_ms",
    )

    def __init__(self, user_id: str, place: Place, household_id: str, home_address: str) -> None:
        self.user_id = user_id
        self.place = place
        self.household_id = household_id
        self.home_address = home_address
        self.signup_address = home_address
        self.role = ""
        self.age = 35
        self.created_ms = 0
        self.devices: tuple[Device, ...] = ()
        self.email_domain = _EMAIL_DOMAINS[0]
        self.night_hours = 0
        self.payment = ""
        self.plan = "standard"
        self.stream_limit = 2
        self.second_factor = False
        self.sessions_per_day = 0.0
        self.trip: Trip | None = None
        self.vpn = ""
        self.withdrawn_ms = 0
        self.cache: dict[int, bytes] = {}

    def template(self, variant: int) -> bytes:
        """Returns the fields that all events of the viewer and variant share, as a serialised Event."""
        known = self.cache.get(variant)
        if known is None:
            known = self.cache[variant] = _template(self, variant).SerializeToString(deterministic=True)
        return known


def _template(viewer: Viewer, variant: int) -> event_pb2.Event:
    place = viewer.place
    event = event_pb2.Event(
        user_id=viewer.user_id,
        region=place.region,
        subscription_plan=viewer.plan,
        phase=event_pb2.PHASE_OCCURRED,
        origin=event_pb2.ORIGIN_LIVE,
        time_zone=place.time_zone,
        is_eu=place.country in EU_COUNTRIES,
        has_consent=variant not in (CONSENT_MISSING, CONSENT_WITHDRAWN),
    )
    account = event.account
    account.created_time.FromMilliseconds(viewer.created_ms)
    account.email_domain = viewer.email_domain
    account.email_verified = viewer.plan != "trial"
    account.signup_ip_address = viewer.signup_address
    account.trial = viewer.plan == "trial"
    account.chargebacks = 0
    account.stream_limit = viewer.stream_limit
    account.household_id = viewer.household_id
    account.registered_devices = len(viewer.devices)
    account.second_factor_enrolled = viewer.second_factor
    _privacy(event.privacy, viewer, variant)
    return event


def _privacy(facts: event_pb2.PrivacyFacts, viewer: Viewer, variant: int) -> None:
    country = viewer.place.country
    facts.user_residence = viewer.place.region
    facts.user_location = viewer.place.region
    facts.user_age = viewer.age
    facts.age_assured = viewer.age < 18
    facts.subject_type = "consumer"
    facts.service_type = "svod"
    facts.operator_meets_thresholds = True
    facts.controller_established_in.append("IE" if country in EU_COUNTRIES else country)
    facts.terminal_storage_access = False
    facts.third_party.shared = False
    facts.transfer.cross_border = False
    facts.signals.gpc = False
    if country == "CN":
        facts.storage_country = "CN"
    facts.data_categories.extend(("account_id", "viewing_history"))
    consent = facts.consent
    consent.parental = False
    if variant == BASIC:
        facts.purpose = "basic_service"
        facts.legal_basis_claimed = _BASIC_BASIS.get(country, "contract")
        consent.status = "not_required"
        if country == "CA":
            _grant(consent, viewer, ("basic_service",), "adult")
        if viewer.age < 18:
            _grant(consent, viewer, ("collection", "use"), "parent")
            consent.parental = True
            consent.verifiable = True
            facts.guardian_account_linked = True
        return
    if variant == PERSONALISED:
        facts.purpose = "personalisation"
        facts.legal_basis_claimed = "none_required" if country == "US" else "consent"
        facts.data_categories.append("inferred_interests")
        _grant(consent, viewer, ("personalisation",), "adult")
        consent.separate = True
        return
    facts.purpose = "targeted_advertising"
    facts.legal_basis_claimed = "consent"
    facts.data_categories.append("inferred_interests")
    if variant == CONSENT_MISSING:
        consent.status = "absent"
    elif variant == CONSENT_WITHDRAWN:
        _grant(consent, viewer, ("targeted_advertising",), "adult")
        consent.status = "withdrawn"
        consent.withdrawn_time.FromMilliseconds(viewer.withdrawn_ms)
    elif variant == MINOR_PROFILED:
        _grant(consent, viewer, ("targeted_advertising",), "child")
    else:
        raise ValueError(f"no variant {variant}")


_BASIC_BASIS = {"US": "none_required", "JP": "notified_purpose", "AU": "notified_purpose", "CA": "consent"}


def _grant(consent: event_pb2.Consent, viewer: Viewer, scope: tuple[str, ...], given_by: str) -> None:
    consent.status = "granted"
    consent.scope.extend(scope)
    consent.given_by = given_by
    consent.obtained_time.FromMilliseconds(viewer.created_ms)


_ALL_WEIGHTS = [place.weight for place in PLACES]
_OPT_IN = [place for place in PLACES if place.country in OPT_IN_COUNTRIES]


def draw_place(rng: Random, places: list[Place] | None = None) -> Place:
    """Returns a place by weight, out of all or of the given ones."""
    chosen = PLACES if places is None else places
    weights = _ALL_WEIGHTS if places is None else [place.weight for place in chosen]
    left = rng.random() * sum(weights)
    for place, weight in zip(chosen, weights, strict=True):
        left -= weight
        if left < 0:
            return place
    return chosen[-1]


def fingerprint(rng: Random) -> str:
    """Returns the keyed hash of a payment instrument, as a platform would send it."""
    return f"pay-{int(rng.random() * (1 << 52)):013x}"


def make_population(rng: Random, users: int, start_ms: int, roles: Mapping[int, str]) -> list[Viewer]:
    """Returns `users` viewers in households of one to four.

    `roles` gives the compliance scenario of a viewer by index: those live where the scenario's law holds.
    """
    viewers: list[Viewer] = []
    household = 0
    while len(viewers) < users:
        size = min(_FAMILY_SIZES[int(rng.random() * len(_FAMILY_SIZES))], users - len(viewers))
        indices = range(len(viewers), len(viewers) + size)
        lawful = [_OPT_IN] if any(index in roles for index in indices) else []
        place = draw_place(rng, *lawful)
        shared = [make_device(rng, "tv")] if rng.random() < 0.8 else []
        address = place.home.address(rng.random() * 0.99)
        payment = fingerprint(rng)
        plan, stream_limit = _PLANS[int(rng.random() * len(_PLANS))]
        for index in indices:
            viewer = Viewer(f"viewer-{index:06d}", place, f"household-{household:06d}", address)
            viewers.append(viewer)
            viewer.role = roles.get(index, "")
            own = [make_device(rng, "phone")]
            if rng.random() < 0.3:
                own.append(make_device(rng, "tablet"))
            if rng.random() < 0.4:
                own.append(make_device(rng, "browser"))
            viewer.devices = (*shared, *own)
            viewer.email_domain = _EMAIL_DOMAINS[int(rng.random() * len(_EMAIL_DOMAINS))]
            # Accounts are from a month to six years old, a few were opened last week.
            age_days = 1 + rng.random() * 6 if rng.random() < 0.04 else 30 + rng.random() * 2160
            viewer.created_ms = max(0, start_ms - int(age_days * DAY_MS))
            viewer.night_hours = 6 if rng.random() < 0.06 else 0
            viewer.payment = payment
            viewer.plan, viewer.stream_limit = plan, stream_limit
            viewer.second_factor = rng.random() < 0.2
            viewer.sessions_per_day = _ACTIVITY[int(rng.random() * len(_ACTIVITY))]
            viewer.age = 18 + int(rng.random() * 62)
            if viewer.role == "minors":
                viewer.age = 8 + int(rng.random() * 5)
            elif size > 1 and index > indices[0] and rng.random() < 0.12:
                viewer.age = 6 + int(rng.random() * 7)
            if viewer.role:
                viewer.sessions_per_day = max(viewer.sessions_per_day, 1.2)
        household += 1
    return viewers
