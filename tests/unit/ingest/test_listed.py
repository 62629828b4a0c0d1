"""Which list entry holds, and what it does to a decision."""

from __future__ import annotations

from typing import Any

import pytest

from services.ingest import listed, receipts
from services.ingest.items import Item
from services.ingest.listed import ADDRESS, ALLOW, BLOCK, DEVICE, LIMIT, PAYMENT, USER, Hit, TenantLists
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.ingest.v1 import lists_pb2

NOW = 1_795_000_000_000
D = decision_pb2
PLAYBACK, LOGOUT = event_pb2.EVENT_CLASS_PLAYBACK, event_pb2.EVENT_CLASS_LOGOUT
LOGIN, EXPORT = event_pb2.EVENT_CLASS_LOGIN, event_pb2.EVENT_CLASS_EXPORT
HOSTING, TOR, VPN, PROXY, RELAY, SHARED = (
    1 << getattr(event_pb2, f"PLACE_FLAG_{name}")
    for name in ("HOSTING", "TOR", "VPN", "PROXY", "RELAY", "SHARED")
)


def entry(kind: int, entity_kind: int, entity: str, number: int = 1, **fields: Any) -> lists_pb2.ListEntry:
    return lists_pb2.ListEntry(
        entry_id=f"list_{number:032x}",
        kind=kind,
        entity_kind=entity_kind,
        entity=listed.canonical_entity(entity_kind, entity),
        reason="r",
        actor="ann",
        **fields,
    )


def item(event_class: int = LOGIN, **fields: Any) -> Item:
    values: dict[str, Any] = {
        "tenant": "acme",
        "event_id": "e1",
        "user_id": "u1",
        "device_id": "d1",
        "payment": "p1",
        "address": "203.0.113.7",
        "flags": 0,
        **fields,
    }
    return Item(
        key=receipts.event_key("acme", values["event_id"]),
        user_key=receipts.user_key("acme", values["user_id"]),
        device=b"",
        fingerprint=b"",
        payload=b"",
        event_ms=NOW,
        event_class=event_class,
        import_id="",
        started=0.0,
        deadline=None,
        trace=None,
        answer=None,
        **values,
    )


def found(*entries: lists_pb2.ListEntry, event: Item | None = None, now_ms: int = NOW) -> str | None:
    lists = TenantLists()
    for one in entries:
        lists.put(one)
    hit = lists.find(event or item(), now_ms)
    return None if hit is None else hit.entry_id[-1]


def test_the_most_specific_thing_decides_and_block_comes_first_on_one_thing() -> None:
    blocked_address = entry(BLOCK, ADDRESS, "203.0.113.7", 1)
    allowed_device = entry(ALLOW, DEVICE, "d1", 2)
    blocked_payment = entry(BLOCK, PAYMENT, "p1", 3)
    allowed_user = entry(ALLOW, USER, "u1", 4)
    blocked_user = entry(BLOCK, USER, "u1", 5)
    assert found(blocked_address) == "1"
    assert found(blocked_address, allowed_device) == "2"
    assert found(blocked_address, allowed_device, blocked_payment) == "3"
    assert found(blocked_address, allowed_device, blocked_payment, allowed_user) == "4"
    assert found(allowed_user, blocked_user) == "5"


@pytest.mark.parametrize(
    ("network", "address", "holds"),
    [
        ("203.0.113.0/24", "203.0.113.255", True),
        ("203.0.113.0/24", "203.0.114.0", False),
        ("203.0.113.9/24", "203.0.113.1", True),
        ("2001:db8:0:1::/64", "2001:DB8:0:1:ffff::1", True),
        ("2001:db8:0:1::/64", "2001:db8:0:2::1", False),
        ("2001:db8::1", "2001:0db8:0000:0000:0000:0000:0000:0001", True),
    ],
)
def test_networks_hold_their_addresses_however_they_are_spelt(
    network: str, address: str, holds: bool
) -> None:
    assert (found(entry(BLOCK, ADDRESS, network), event=item(address=address)) == "1") is holds


def test_of_networks_the_longest_prefix_decides() -> None:
    wide, narrow = entry(BLOCK, ADDRESS, "203.0.0.0/16", 1), entry(ALLOW, ADDRESS, "203.0.113.0/24", 2)
    assert found(wide, narrow) == "2"
    assert found(wide, narrow, event=item(address="203.0.1.1")) == "1"


@pytest.mark.parametrize(
    ("classes", "event_class", "holds"),
    [((), LOGIN, True), ((), EXPORT, True), ((), PLAYBACK, False), ((PLAYBACK,), PLAYBACK, True)],
)
def test_an_address_is_listed_for_sign_in_and_export_unless_said_otherwise(
    classes: tuple[int, ...], event_class: int, holds: bool
) -> None:
    one = entry(BLOCK, ADDRESS, "203.0.113.7", event_classes=classes)
    assert (found(one, event=item(event_class)) is not None) is holds


def test_an_account_is_listed_for_all_but_leaving_and_rights() -> None:
    one = entry(BLOCK, USER, "u1")
    holds = {c for c in event_pb2.EventClass.values() if found(one, event=item(c)) is not None}
    assert set(event_pb2.EventClass.values()) - holds == {LOGOUT, event_pb2.EVENT_CLASS_RIGHTS}


def test_an_entry_ends_with_its_time_and_when_it_is_dropped() -> None:
    one = entry(BLOCK, USER, "u1")
    one.expires_time.FromMilliseconds(NOW + 1)
    assert found(one) == "1"
    assert found(one, now_ms=NOW + 1) is None
    lists = TenantLists()
    for two in (entry(BLOCK, USER, "u1", 1), entry(BLOCK, ADDRESS, "203.0.113.0/24", 2)):
        lists.put(two)
        lists.drop(two.entry_id)
    assert lists.find(item(), NOW) is None
    assert len(lists) == 0


def test_a_new_entry_takes_the_place_of_the_one_before_in_either_order_of_news() -> None:
    old, new = entry(BLOCK, USER, "u1", 1), entry(BLOCK, USER, "u1", 2)
    lists = TenantLists()
    lists.put(old)
    lists.put(new)
    lists.drop(old.entry_id)
    hit = lists.find(item(), NOW)
    assert hit is not None
    assert hit.entry_id == new.entry_id
    assert len(lists) == 1


def decision(would_be: int, **fields: Any) -> bytes:
    return D.Decision(outcome=would_be, would_be=would_be, mode=D.MODE_ENFORCE, **fields).SerializeToString()  # type: ignore[arg-type]


def applied(kind: int, part: bytes, mode: int = D.MODE_ENFORCE, acts: int = 0) -> D.Decision:
    fields = {"limit_per_hour": 3} if kind == LIMIT else {}
    hit = Hit(listed.in_force(entry(kind, USER, "u1", **fields)), acts)
    serialised, outcome = listed.apply(part, hit, mode)
    answer = D.Decision.FromString(serialised)
    assert answer.outcome == outcome
    return answer


def test_block_blocks_and_says_why_first() -> None:
    reasons = [D.Reason(code=D.REASON_CODE_NEW_DEVICE)]
    answer = applied(BLOCK, decision(D.OUTCOME_ALLOW_WITH_CAUTION, reasons=reasons))
    assert (answer.outcome, answer.would_be) == (D.OUTCOME_BLOCK, D.OUTCOME_BLOCK)
    assert [one.code for one in answer.reasons] == [D.REASON_CODE_LISTED_BLOCK, D.REASON_CODE_NEW_DEVICE]
    assert list(answer.reasons[0].words) == ["user", "list_" + "0" * 31 + "1"]
    assert [one.kind for one in answer.actions] == [D.ACTION_KIND_BLOCK]
    assert list(answer.counterfactual) == [D.REASON_CODE_LISTED_BLOCK]


def test_where_the_tenant_observes_a_block_binds_nobody() -> None:
    answer = applied(BLOCK, decision(D.OUTCOME_ALLOW), mode=D.MODE_OBSERVE)
    assert (answer.outcome, answer.would_be) == (D.OUTCOME_ALLOW, D.OUTCOME_BLOCK)
    assert not answer.actions


def test_allow_takes_back_what_was_scored() -> None:
    actions = [D.Action(kind=D.ACTION_KIND_REVIEW, enforced_by=D.ENFORCED_BY_CALLER)]
    answer = applied(ALLOW, decision(D.OUTCOME_REVIEW, actions=actions))
    assert (answer.outcome, answer.would_be) == (D.OUTCOME_ALLOW, D.OUTCOME_ALLOW)
    assert not answer.actions
    assert not answer.counterfactual
    assert answer.reasons[0].code == D.REASON_CODE_LISTED_ALLOW


def test_allow_does_not_lift_what_the_law_forbids() -> None:
    hit = Hit(listed.in_force(entry(ALLOW, USER, "u1")), 0)
    assert listed.lawful(hit, 1 << D.VERDICT_FLAG_FORBIDS_ACT) is None
    assert listed.lawful(hit, 0) is hit


def test_beyond_a_limit_an_act_waits_for_review() -> None:
    answer = applied(LIMIT, decision(D.OUTCOME_ALLOW), acts=4)
    assert answer.outcome == D.OUTCOME_REVIEW
    assert list(answer.reasons[0].values) == [4.0, 3.0]
    assert [one.kind for one in answer.actions] == [D.ACTION_KIND_LIMIT_RATE]
    assert applied(LIMIT, decision(D.OUTCOME_BLOCK), acts=4).outcome == D.OUTCOME_BLOCK


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        (HOSTING, BLOCK),
        (TOR, BLOCK),
        (VPN, BLOCK),
        (PROXY, BLOCK),
        (PROXY | SHARED, LIMIT),
        (0, LIMIT),
        (SHARED, LIMIT),
        (HOSTING | SHARED, LIMIT),
        (VPN | RELAY, LIMIT),
    ],
)
def test_by_itself_the_mesh_blocks_only_addresses_that_hide_and_are_not_shared(flags: int, kind: int) -> None:
    one = listed.automatic_entry(item(), flags, NOW, "list_" + "0" * 32)
    assert one.kind == kind
    assert one.expires_time.ToMilliseconds() == NOW + 86_400_000
    assert set(one.event_classes) == {LOGIN, EXPORT}
    assert listed.violations(one, NOW) == []


def test_ipv6_is_listed_by_its_64() -> None:
    one = listed.automatic_entry(item(address="2001:db8:1:2:3:4:5:6"), TOR, NOW, "list_" + "0" * 32)
    assert one.entity == "2001:db8:1:2::/64"


def test_only_an_action_of_the_mesh_lists_an_address() -> None:
    usher = D.Action(kind=D.ACTION_KIND_LIST_ADDRESS, enforced_by=D.ENFORCED_BY_USHER)
    usher.until_time.seconds = 1_795_000_000
    caller = D.Action(kind=D.ACTION_KIND_LIST_ADDRESS, enforced_by=D.ENFORCED_BY_CALLER)
    assert listed.asks_to_list(decision(D.OUTCOME_REVIEW, actions=[usher]))
    assert not listed.asks_to_list(decision(D.OUTCOME_REVIEW, actions=[caller]))
    assert not listed.asks_to_list(decision(D.OUTCOME_REVIEW))


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("kind", 0, "UNKNOWN_VALUE"),
        ("kind", 9, "UNKNOWN_VALUE"),
        ("entity_kind", 0, "UNKNOWN_VALUE"),
        ("entity", "", "MISSING"),
        ("entity", "x" * 256, "TOO_LONG"),
        ("reason", " ", "MISSING"),
        ("reason", "x" * 1_025, "TOO_LONG"),
        ("actor", "", "MISSING"),
        ("entry_id", "mine", "IDENTIFIER_INVALID"),
        ("limit_per_hour", 5, "OUT_OF_RANGE"),
    ],
)
def test_what_is_wrong_is_named(field: str, value: Any, reason: str) -> None:
    one = entry(BLOCK, USER, "u1")
    setattr(one, field, value)
    assert (f"entry.{field}", reason) in {(f.field, f.reason) for f in listed.violations(one, NOW)}


@pytest.mark.parametrize(
    ("entity", "reason"),
    [
        ("300.1.1.1", "IP_ADDRESS_INVALID"),
        ("10.0.0.0/7", "OUT_OF_RANGE"),
        ("0.0.0.0/0", "OUT_OF_RANGE"),
        ("2001::/16", "OUT_OF_RANGE"),
        ("example.org", "IP_ADDRESS_INVALID"),
    ],
)
def test_a_network_that_is_none_or_too_wide_is_refused(entity: str, reason: str) -> None:
    one = entry(BLOCK, USER, "u1")
    one.entity_kind, one.entity = ADDRESS, entity
    assert [f.reason for f in listed.violations(one, NOW)] == [reason]


@pytest.mark.parametrize("ahead_s", [0, -1, 3_661 * 86_400])
def test_an_entry_ends_in_the_future_and_within_ten_years(ahead_s: int) -> None:
    one = entry(BLOCK, USER, "u1")
    one.expires_time.FromMilliseconds(NOW + ahead_s * 1000)
    assert [f.field for f in listed.violations(one, NOW)] == ["entry.expires_time"]


def test_leaving_and_rights_cannot_be_listed() -> None:
    one = entry(BLOCK, USER, "u1", event_classes=[LOGIN, LOGOUT])
    assert [f.field for f in listed.violations(one, NOW)] == ["entry.event_classes"]
