"""Which list entry holds for an event, and what it does to the decision. Pure.

Precedence: the most specific thing first (account, payment instrument, device, address; of addresses the longest
prefix), and on one thing BLOCK before ALLOW before LIMIT. So a customer who is known to be good is let in from a blocked
address, and a blocked account is not let in from an allowed one. Leaving and a viewer's rights are never touched.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any, NamedTuple, cast

from services.common.errors import FieldViolation
from services.ingest.items import Item
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import lists_pb2

BLOCK, ALLOW, LIMIT = lists_pb2.LIST_KIND_BLOCK, lists_pb2.LIST_KIND_ALLOW, lists_pb2.LIST_KIND_LIMIT
USER, DEVICE = lists_pb2.LISTED_ENTITY_USER, lists_pb2.LISTED_ENTITY_DEVICE
ADDRESS, PAYMENT = lists_pb2.LISTED_ENTITY_ADDRESS, lists_pb2.LISTED_ENTITY_PAYMENT

MAX_IN_FORCE = 100_000
"""Entries in force a tenant: 100 MB at most, in every process."""
AUTOMATIC_SECONDS = 86_400
"""How long an address stays listed that the mesh listed by itself."""
AUTOMATIC_LIMIT = 10
"""Acts of one account within an hour on an address that many share, while it is listed."""
AUTOMATIC_ACTOR = "usher"
MOST_WATCHING = 3
"""Accounts that may have watched through an address that the mesh blocks by itself; beyond them it is limited instead."""
MAX_REASON_CHARS = 1_024
MAX_ACTOR_CHARS = 128
_MAX_ENTITY_CHARS = 255
_MAX_LIMIT = 10_000
_MOST_SECONDS_AHEAD = 3_660 * 86_400
_LEAST_PREFIX = {4: 8, 6: 19}
_IPV6_HOUSEHOLD = 64

_C = event_pb2.EventClass
_UNTOUCHED = 1 << _C.EVENT_CLASS_LOGOUT | 1 << _C.EVENT_CLASS_RIGHTS
_ALL = ~_UNTOUCHED
_ADDRESS_CLASSES = (_C.EVENT_CLASS_LOGIN, _C.EVENT_CLASS_EXPORT)
_NAMES = {
    value: name.removeprefix("LISTED_ENTITY_").lower() for name, value in lists_pb2.ListedEntity.items()
}
_HIDING = sum(
    1 << flag
    for flag in (
        event_pb2.PLACE_FLAG_HOSTING,
        event_pb2.PLACE_FLAG_TOR,
        event_pb2.PLACE_FLAG_VPN,
        event_pb2.PLACE_FLAG_PROXY,
    )
)
_FORBIDS_ACT = 1 << decision_pb2.VERDICT_FLAG_FORBIDS_ACT
_MANY_PEOPLE = 1 << event_pb2.PLACE_FLAG_SHARED | 1 << event_pb2.PLACE_FLAG_RELAY
_LIST_ADDRESS = decision_pb2.Action(
    kind=decision_pb2.ACTION_KIND_LIST_ADDRESS, enforced_by=decision_pb2.ENFORCED_BY_USHER
).SerializeToString()

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class InForce(NamedTuple):
    """An entry as the look-up keeps it."""

    entry_id: str
    kind: int
    entity_kind: int
    classes: int
    """Bits of EventClass: 1 << value."""
    limit: int
    expires_ms: int
    """0: never."""


def network_of(text: str) -> Network:
    """The network that an address or a network's text names; host bits are cut off. Raises ValueError."""
    return ipaddress.ip_network(text, strict=False)


def canonical_entity(entity_kind: int, entity: str) -> str:
    """The one spelling under which a thing is listed; an address becomes its network ("203.0.113.7/32")."""
    return str(network_of(entity)) if entity_kind == ADDRESS else entity


def violations(entry: lists_pb2.ListEntry, now_ms: int) -> list[FieldViolation]:
    """Everything that is wrong with an entry to set; empty where nothing is."""
    found = []

    def wrong(field: str, reason: str, message: str) -> None:
        found.append(FieldViolation(f"entry.{field}", reason, message))

    if entry.entry_id and not _is_entry_id(entry.entry_id):
        wrong("entry_id", "IDENTIFIER_INVALID", '"list_" and 32 hexadecimal digits, or leave it out')
    if entry.kind not in (BLOCK, ALLOW, LIMIT):
        wrong("kind", "UNKNOWN_VALUE", "BLOCK, ALLOW or LIMIT")
    if entry.entity_kind not in (USER, DEVICE, ADDRESS, PAYMENT):
        wrong("entity_kind", "UNKNOWN_VALUE", "USER, DEVICE, ADDRESS or PAYMENT")
    if not entry.entity:
        wrong("entity", "MISSING", "name what is to be listed")
    elif len(entry.entity) > _MAX_ENTITY_CHARS:
        wrong("entity", "TOO_LONG", f"{_MAX_ENTITY_CHARS} characters or fewer")
    elif entry.entity_kind == ADDRESS:
        found += _address_violations(entry.entity)
    if any(one not in _C.values() or one == 0 for one in entry.event_classes):
        wrong("event_classes", "UNKNOWN_VALUE", "classes of usher.event.v1.EventClass")
    elif any(_UNTOUCHED >> one & 1 for one in entry.event_classes):
        wrong("event_classes", "UNKNOWN_VALUE", "leaving and a viewer's rights cannot be listed")
    if entry.kind == LIMIT:
        if not 1 <= entry.limit_per_hour <= _MAX_LIMIT:
            wrong("limit_per_hour", "OUT_OF_RANGE", f"1 to {_MAX_LIMIT} acts an hour")
    elif entry.limit_per_hour:
        wrong("limit_per_hour", "OUT_OF_RANGE", "only for LIMIT")
    for name, most in (("reason", MAX_REASON_CHARS), ("actor", MAX_ACTOR_CHARS)):
        text = getattr(entry, name).strip()
        if not text:
            wrong(name, "MISSING", "say why" if name == "reason" else "say who sets it")
        elif len(text) > most:
            wrong(name, "TOO_LONG", f"{most} characters or fewer")
    if entry.HasField("expires_time"):
        ahead = entry.expires_time.seconds - now_ms // 1000
        if not 0 < ahead <= _MOST_SECONDS_AHEAD:
            wrong("expires_time", "TIME_OUT_OF_RANGE", "in the future, at most 10 years ahead")
    return found


def _is_entry_id(text: str) -> bool:
    digits = text.removeprefix("list_")
    return len(text) == 37 and len(digits) == 32 and all(one in "0123456789abcdef" for one in digits)


def _address_violations(text: str) -> list[FieldViolation]:
    try:
        network = network_of(text)
    except ValueError:
        return [
            FieldViolation(
                "entry.entity", "IP_ADDRESS_INVALID", "an IP address or a network (203.0.113.0/24)"
            )
        ]
    least = _LEAST_PREFIX[network.version]
    if network.prefixlen < least:
        return [
            FieldViolation(
                "entry.entity", "OUT_OF_RANGE", f"a network of IPv{network.version} is /{least} or longer"
            )
        ]
    return []


def in_force(entry: lists_pb2.ListEntry) -> InForce:
    """The entry as the look-up keeps it."""
    named = tuple(entry.event_classes) or (_ADDRESS_CLASSES if entry.entity_kind == ADDRESS else ())
    classes = sum(1 << one for one in set(named)) if named else _ALL
    expires_ms = entry.expires_time.ToMilliseconds() if entry.HasField("expires_time") else 0
    return InForce(entry.entry_id, entry.kind, entry.entity_kind, classes, entry.limit_per_hour, expires_ms)


class TenantLists:
    """The entries in force of one tenant, found by what an event shows."""

    def __init__(self) -> None:
        self._exact: dict[tuple[int, str], dict[int, InForce]] = {}
        self._networks: dict[int, dict[int, dict[int, dict[int, InForce]]]] = {4: {}, 6: {}}
        self._kept: dict[str, tuple[int, str]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def put(self, entry: lists_pb2.ListEntry) -> None:
        """Takes an entry in force; one on the same list for the same thing makes room."""
        self.drop(entry.entry_id)
        place = self._place(entry.entity_kind, entry.entity, make=True)
        before = place.get(entry.kind)
        if before is not None:
            self._kept.pop(before.entry_id, None)
        place[entry.kind] = in_force(entry)
        self._kept[entry.entry_id] = (entry.entity_kind, entry.entity)

    def drop(self, entry_id: str) -> None:
        """Forgets an entry that was lifted, replaced or has expired."""
        known = self._kept.pop(entry_id, None)
        if known is None:
            return
        place = self._place(*known, make=False)
        for kind, one in list(place.items()):
            if one.entry_id == entry_id:
                del place[kind]
        if not place:
            self._remove(*known)

    def holds(self, entry: lists_pb2.ListEntry, now_ms: int) -> bool:
        """Whether the same thing is on the same list, and has not expired."""
        one = self._place(entry.entity_kind, entry.entity, make=False).get(entry.kind)
        return one is not None and (not one.expires_ms or now_ms < one.expires_ms)

    def find(self, item: Item, now_ms: int) -> InForce | None:
        """The entry that holds for an event; None where none does."""
        if _UNTOUCHED >> item.event_class & 1:
            return None
        bit = 1 << item.event_class
        for kind, entity in ((USER, item.user_id), (PAYMENT, item.payment), (DEVICE, item.device_id)):
            if entity:
                found = _first(self._exact.get((kind, entity)), bit, now_ms)
                if found is not None:
                    return found
        return self._of_address(item.address, bit, now_ms)

    def _of_address(self, text: str, bit: int, now_ms: int) -> InForce | None:
        if not (self._networks[4] or self._networks[6]):
            return None
        # inet_pton costs a tenth of ipaddress.
        version, family, width = (6, socket.AF_INET6, 128) if ":" in text else (4, socket.AF_INET, 32)
        by_prefix = self._networks[version]
        if not by_prefix:
            return None
        value = int.from_bytes(socket.inet_pton(family, text), "big")
        for prefix in sorted(by_prefix, reverse=True):
            found = _first(by_prefix[prefix].get(value >> (width - prefix)), bit, now_ms)
            if found is not None:
                return found
        return None

    def _place(self, entity_kind: int, entity: str, *, make: bool) -> dict[int, InForce]:
        if entity_kind != ADDRESS:
            if make:
                return self._exact.setdefault((entity_kind, entity), {})
            return self._exact.get((entity_kind, entity), {})
        network = network_of(entity)
        number = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
        by_prefix = self._networks[network.version]
        if make:
            return by_prefix.setdefault(network.prefixlen, {}).setdefault(number, {})
        return by_prefix.get(network.prefixlen, {}).get(number, {})

    def _remove(self, entity_kind: int, entity: str) -> None:
        if entity_kind != ADDRESS:
            self._exact.pop((entity_kind, entity), None)
            return
        network = network_of(entity)
        by_prefix = self._networks[network.version]
        numbers = by_prefix.get(network.prefixlen, {})
        numbers.pop(int(network.network_address) >> (network.max_prefixlen - network.prefixlen), None)
        if not numbers:
            by_prefix.pop(network.prefixlen, None)


def _first(place: dict[int, InForce] | None, bit: int, now_ms: int) -> InForce | None:
    if not place:
        return None
    for kind in (BLOCK, ALLOW, LIMIT):
        one = place.get(kind)
        if one is not None and one.classes & bit and (not one.expires_ms or now_ms < one.expires_ms):
            return one
    return None


class Hit(NamedTuple):
    """An entry that holds for an event."""

    entry: InForce
    acts: int
    """Under LIMIT: the account's acts within the hour, this one included, which are too many; else 0."""


def lawful(hit: Hit | None, verdict_flags: int) -> Hit | None:
    """The hit, unless it would allow what the law forbids."""
    if hit is not None and hit.entry.kind == ALLOW and verdict_flags & _FORBIDS_ACT:
        return None
    return hit


def apply(part: bytes, hit: Hit, mode: int) -> tuple[bytes, int]:
    """Scoring's part of a decision (or what stood in for it) with what the list says; and the outcome.

    The reason comes first, as the most decisive one.
    """
    decision = decision_pb2.Decision.FromString(part)
    entry = hit.entry
    would_be = decision.would_be or decision_pb2.OUTCOME_ALLOW
    reason = decision_pb2.Reason(words=[_NAMES[entry.entity_kind], entry.entry_id])
    if entry.kind == ALLOW:
        reason.code = decision_pb2.REASON_CODE_LISTED_ALLOW
        would_be = decision_pb2.OUTCOME_ALLOW
        del decision.actions[:]
        del decision.counterfactual[:]
    else:
        floor = decision_pb2.OUTCOME_BLOCK
        reason.code = decision_pb2.REASON_CODE_LISTED_BLOCK
        action = decision_pb2.ACTION_KIND_BLOCK
        if entry.kind == LIMIT:
            reason.code, floor = decision_pb2.REASON_CODE_LISTED_LIMIT, decision_pb2.OUTCOME_REVIEW
            reason.values[:] = [float(hit.acts), float(entry.limit)]
            action = decision_pb2.ACTION_KIND_LIMIT_RATE
        if would_be < decision_pb2.OUTCOME_REVIEW:
            # Without the entry nothing would hold the act up.
            del decision.counterfactual[:]
        decision.counterfactual.append(reason.code)
        would_be = max(would_be, floor)
        if mode == decision_pb2.MODE_ENFORCE and all(one.kind != action for one in decision.actions):
            decision.actions.add(kind=action, enforced_by=decision_pb2.ENFORCED_BY_CALLER)
    decision.would_be = cast(Any, would_be)
    decision.mode = cast(Any, mode)
    decision.outcome = cast(
        Any, would_be if mode == decision_pb2.MODE_ENFORCE else decision_pb2.OUTCOME_ALLOW
    )
    reasons = [reason, *decision.reasons]
    del decision.reasons[:]
    decision.reasons.extend(reasons)
    return decision.SerializeToString(), decision.outcome


def asks_to_list(part: bytes) -> bool:
    """Whether a serialised decision says that the mesh is to list the address."""
    # The bytes first: they spare the parsing where they are not there, which is nearly always.
    return _LIST_ADDRESS in part and any(
        action.kind == decision_pb2.ACTION_KIND_LIST_ADDRESS
        and action.enforced_by == decision_pb2.ENFORCED_BY_USHER
        for action in decision_pb2.Decision.FromString(part).actions
    )


def automatic_entry(item: Item, place_flags: int, now_ms: int, entry_id: str) -> lists_pb2.ListEntry:
    """What to list when a decision says LIST_ADDRESS: for a day, on sign-in (with sign-up) and export, never on playback.

    A hosting provider's, Tor's, VPN's or proxy's address that is not shared by many is blocked; on any other, behind which a
    household, a campus or a carrier's customers may be, each account is limited. IPv6 is listed by its /64, which is
    one subscriber's.
    """
    address = ipaddress.ip_address(item.address)
    entity = f"{address}/{_IPV6_HOUSEHOLD if address.version == 6 else 32}"
    blocked = bool(place_flags & _HIDING) and not place_flags & _MANY_PEOPLE
    entry = lists_pb2.ListEntry(
        entry_id=entry_id,
        kind=BLOCK if blocked else LIMIT,
        entity_kind=ADDRESS,
        entity=canonical_entity(ADDRESS, entity),
        event_classes=_ADDRESS_CLASSES,
        limit_per_hour=0 if blocked else AUTOMATIC_LIMIT,
        reason="Failed sign-ins over many accounts came from this address",
        actor=AUTOMATIC_ACTOR,
        automatic=True,
        reference=item.event_id,
        proposed=True,
    )
    entry.created_time.FromMilliseconds(now_ms)
    entry.expires_time.FromMilliseconds(now_ms + AUTOMATIC_SECONDS * 1000)
    return entry


def judged(entry: lists_pb2.ListEntry, affected: lists_pb2.AffectedAccounts) -> lists_pb2.ListEntry:
    """A proposed entry as it is put into force, with whom it affects.

    An address through which several accounts watch is shared, whatever its flags say: it is limited, not blocked.
    """
    found = lists_pb2.ListEntry()
    found.CopyFrom(entry)
    found.proposed = False
    found.affected.CopyFrom(affected)
    if found.kind == BLOCK and affected.watching > MOST_WATCHING:
        found.kind, found.limit_per_hour = LIMIT, AUTOMATIC_LIMIT
        found.reason += f"; {affected.watching} accounts watch from it, so it is not blocked"
    return found


def shows(event: event_pb2.Event, entity_kind: int, entity: str, network: Network | None) -> bool:
    """Whether an event shows the thing; `network` is the address's."""
    if entity_kind == USER:
        return event.user_id == entity
    if entity_kind == DEVICE:
        return event.device_id == entity
    if entity_kind == PAYMENT:
        return event.payment_fingerprint == entity
    assert network is not None
    return ipaddress.ip_address(event.ip_address) in network
