"""The rules of an event: each of them, all at once, and their boundaries."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from services.ingest import check, security
from usher.event.v1 import event_pb2

NOW_MS = 1_795_348_800_000  # 2026-11-22T12:00:00Z
MINUTE_MS = 60_000


def event(**fields: Any) -> event_pb2.Event:
    values: dict[str, Any] = {
        "event_id": "e1",
        "user_id": "u1",
        "device_id": "d1",
        "event_type": "play",
        "region": "DE",
        "ip_address": "192.0.2.1",
        **fields,
    }
    built = event_pb2.Event(**{name: value for name, value in values.items() if value is not None})
    if not built.HasField("event_time"):
        built.event_time.FromMilliseconds(NOW_MS)
    return built


def found(one: event_pb2.Event, now_ms: int = NOW_MS) -> list[tuple[str, str]]:
    return [(v.field, v.reason) for v in check.violations(one, now_ms)]


def test_a_well_formed_event_has_none() -> None:
    assert found(event()) == []


@pytest.mark.parametrize("name", ["event_id", "user_id", "device_id", "event_type", "region", "ip_address"])
def test_required_fields(name: str) -> None:
    assert found(event(**{name: None})) == [(name, "MISSING")]


def test_the_time_is_required() -> None:
    one = event()
    one.ClearField("event_time")
    assert found(one) == [("event_time", "MISSING")]


IDENTIFIERS = [
    "event_id", "user_id", "device_id", "content_id", "session_id", "stream_id", "payment_fingerprint",
    "intent_event_id", "import_id",
]  # fmt: skip


@pytest.mark.parametrize("name", IDENTIFIERS)
def test_identifiers(name: str) -> None:
    assert found(event(**{name: "Az09._:@+/=~-"})) == []
    assert found(event(**{name: "x" * 255})) == []
    assert found(event(**{name: "x" * 256})) == [(name, "TOO_LONG")]
    for bad in ("a b", "a'b", "<a>", "a\nb", "a\x00", "é", "a;b", "a\\b", "x\n", "\n", "a%00"):
        assert found(event(**{name: bad})) == [(name, "IDENTIFIER_INVALID")], repr(bad)


def test_all_errors_are_told_at_once_in_order_of_the_fields() -> None:
    bad = event(
        event_id="", user_id="a b", device_id="x" * 300, event_type="", region="de", ip_address="1.2.3",
        user_agent="x" * 1025, metadata_json=b"[]",
    )  # fmt: skip
    bad.event_time.FromMilliseconds(NOW_MS + 3_600_000)
    assert found(bad) == [
        ("event_id", "MISSING"),
        ("user_id", "IDENTIFIER_INVALID"),
        ("device_id", "TOO_LONG"),
        ("event_type", "MISSING"),
        ("event_time", "IN_THE_FUTURE"),
        ("region", "REGION_INVALID"),
        ("ip_address", "IP_ADDRESS_INVALID"),
        ("user_agent", "TOO_LONG"),
        ("metadata", "WRONG_TYPE"),
    ]


def test_no_message_quotes_the_value() -> None:
    bad = event(user_id="secret value", device_id="secret'", ip_address="secret", region="secret")
    assert all("secret" not in v.message for v in check.violations(bad, NOW_MS))


@pytest.mark.parametrize(
    ("kind", "reasons"), [("x" * 50, []), ("x" * 51, ["EVENT_TYPE_INVALID"]), ("a b", ["EVENT_TYPE_INVALID"])]
)
def test_event_type(kind: str, reasons: list[str]) -> None:
    assert [reason for _, reason in found(event(event_type=kind))] == reasons


@pytest.mark.parametrize(
    ("ahead_ms", "failed"),
    [(0, False), (5 * MINUTE_MS - 1, False), (5 * MINUTE_MS, False), (5 * MINUTE_MS + 1, True)],
)
@pytest.mark.parametrize("now_ms", [NOW_MS, NOW_MS + 999])
def test_more_than_five_minutes_ahead_is_the_future(now_ms: int, ahead_ms: int, failed: bool) -> None:
    one = event()
    one.event_time.FromMilliseconds(now_ms + ahead_ms)
    assert found(one, now_ms) == ([("event_time", "IN_THE_FUTURE")] if failed else [])


@pytest.mark.parametrize(
    ("seconds", "nanos", "reason"),
    [
        (0, 0, None),
        (-1, 0, "TIME_OUT_OF_RANGE"),
        (1, -1, "TIME_OUT_OF_RANGE"),
        (1, 999_999_999, None),
        (1, 1_000_000_000, "TIME_OUT_OF_RANGE"),
        (253_402_300_799, 0, "TIME_OUT_OF_RANGE"),  # 9999-12-31T23:59:59Z
        (2**63 - 1, 0, "TIME_OUT_OF_RANGE"),
        (-(2**63), 0, "TIME_OUT_OF_RANGE"),
    ],
)
def test_times_out_of_range(seconds: int, nanos: int, reason: str | None) -> None:
    one = event()
    one.event_time.seconds, one.event_time.nanos = seconds, nanos
    assert found(one) == ([] if reason is None else [("event_time", reason)])


@pytest.mark.parametrize("good", ["DE", "US-CA", "GB-ENG", "EU", "ZZ", "FR-2A"])
def test_regions(good: str) -> None:
    assert found(event(region=good)) == []


@pytest.mark.parametrize("bad", ["D", "DEU", "de", "US-", "US-CALI", "US_CA", "DE\n", "12"])
def test_no_regions(bad: str) -> None:
    assert found(event(region=bad)) == [("region", "REGION_INVALID")]


@pytest.mark.parametrize(
    "good",
    [
        "0.0.0.0",
        "255.255.255.255",
        "2001:db8::1",
        "::",
        "2001:0db8:0000:0000:0000:0000:0000:0001",
        "64:ff9b::192.0.2.1",
    ],
)
def test_addresses(good: str) -> None:
    assert found(event(ip_address=good)) == []


@pytest.mark.parametrize(
    "bad",
    ["1.2.3", "256.1.1.1", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4\n", "1.2.3.4\x00", "0x7f.0.0.1", "1", "localhost",
     "fe80::1%eth0", "[::1]", ":::", "2001:db8::1::2", "1.2.3.4:80", "1.2.3.4/32", "١.2.3.4", "x" * 60_000],
)  # fmt: skip
def test_no_addresses(bad: str) -> None:
    assert found(event(ip_address=bad)) == [("ip_address", "IP_ADDRESS_INVALID")]


@pytest.mark.parametrize("mapped", ["::ffff:192.0.2.1", "::FFFF:c000:201", "0:0:0:0:0:ffff:192.0.2.1"])
def test_ipv4_mapped_addresses_are_named(mapped: str) -> None:
    assert found(event(ip_address=mapped)) == [("ip_address", "IP_ADDRESS_IPV4_MAPPED")]
    assert found(event(account={"signup_ip_address": mapped})) == [
        ("account.signup_ip_address", "IP_ADDRESS_IPV4_MAPPED")
    ]


@pytest.mark.parametrize(
    ("name", "limit"), [("subscription_plan", 20), ("error_code", 50), ("user_agent", 1024)]
)
def test_texts(name: str, limit: int) -> None:
    assert found(event(**{name: "é" * limit})) == []
    assert found(event(**{name: "x" * (limit + 1)})) == [(name, "TOO_LONG")]
    assert found(event(**{name: "a\x00b"})) == [(name, "CONTROL_CHARACTER")]
    assert found(event(user_agent="' OR 1=1 -- <script>")) == []


def test_the_time_zone_and_the_volume() -> None:
    assert found(event(time_zone="America/Argentina/Buenos_Aires", data_volume_bytes=2**53)) == []
    assert found(event(time_zone="Berlin; DROP", data_volume_bytes=2**53 + 1)) == [
        ("time_zone", "TIME_ZONE_INVALID"),
        ("data_volume_bytes", "OUT_OF_RANGE"),
    ]


def nested(depth: int, kind: str) -> bytes:
    """An object that is the first of `depth` levels."""
    inner = "1"
    for _ in range(depth - 1):
        inner = f'{{"a":{inner}}}' if kind == "object" else f"[{inner}]"
    return f'{{"a":{inner}}}'.encode()


@pytest.mark.parametrize("kind", ["object", "array"])
def test_metadata_is_eight_levels_deep_at_most(kind: str) -> None:
    assert found(event(metadata_json=nested(8, kind))) == []
    assert found(event(metadata_json=nested(9, kind))) == [("metadata", "TOO_DEEP")]
    assert found(event(unknown_json=nested(9, kind))) == [("unknown_json", "TOO_DEEP")]
    reasons = found(event(metadata_json=nested(1500, kind)))
    assert [field for field, _ in reasons] == ["metadata"]


@pytest.mark.parametrize("size", [16_383, 16_384, 16_385])
def test_metadata_has_16384_bytes_at_most(size: int) -> None:
    content = b'{"a":"' + b"x" * (size - 8) + b'"}'
    assert len(content) == size
    assert found(event(metadata_json=content)) == ([] if size <= 16_384 else [("metadata", "TOO_LONG")])


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"{", "MALFORMED_JSON"), (b"\xff", "MALFORMED_JSON"), (b'{"a":"\\ud800"}', "MALFORMED_JSON"),
     (b"{'a':1}", "MALFORMED_JSON"), (b"NaN", "MALFORMED_JSON"), (b"1", "WRONG_TYPE"), (b"null", "WRONG_TYPE")],
)  # fmt: skip
def test_metadata_is_a_json_object(content: bytes, reason: str) -> None:
    assert found(event(metadata_json=content)) == [("metadata", reason)]


def test_account_facts() -> None:
    good = event_pb2.AccountFacts(email_domain="example.org", stream_limit=100, household_id="h1")
    assert found(event(account=good)) == []
    bad = event_pb2.AccountFacts(
        email_domain="Example.org", stream_limit=0, household_id="h 1", signup_ip_address="nowhere"
    )
    bad.created_time.seconds = -1
    assert set(found(event(account=bad))) == {
        ("account.household_id", "IDENTIFIER_INVALID"),
        ("account.email_domain", "DOMAIN_INVALID"),
        ("account.signup_ip_address", "IP_ADDRESS_INVALID"),
        ("account.created_time", "TIME_OUT_OF_RANGE"),
        ("account.stream_limit", "OUT_OF_RANGE"),
    }


def test_privacy_facts() -> None:
    good = event_pb2.PrivacyFacts(user_residence="US-CA", user_age=150, purpose="basic_service")
    good.consent.tcf_string = "C" * 8192
    assert found(event(privacy=good)) == []
    bad = event_pb2.PrivacyFacts(
        user_residence="california",
        user_age=151,
        purpose="<b>",
        data_categories=["x"] * 65,
        storage_country="de",
    )
    bad.consent.tcf_string = "C" * 8193
    bad.consent.obtained_time.seconds = 2**40
    bad.consent.tcf.purpose_consents.extend([1] * 65)
    assert set(found(event(privacy=bad))) == {
        ("privacy.user_residence", "REGION_INVALID"),
        ("privacy.storage_country", "REGION_INVALID"),
        ("privacy.user_age", "OUT_OF_RANGE"),
        ("privacy.purpose", "WORD_INVALID"),
        ("privacy.data_categories", "TOO_MANY"),
        ("privacy.consent.tcf_string", "TOO_LONG"),
        ("privacy.consent.obtained_time", "TIME_OUT_OF_RANGE"),
        ("privacy.consent.tcf.purpose_consents", "TOO_MANY"),
    }


def test_an_unmapped_event_tells_the_edges_errors_once() -> None:
    one = event(region=None)
    one.ClearField("event_time")
    one.unmapped.violations.add(field="timestamp", reason="TIME_INVALID", message="m")
    assert found(one) == [("timestamp", "TIME_INVALID"), ("region", "MISSING")]


def test_an_unmapped_event_is_never_well_formed() -> None:
    assert found(event(unmapped=event_pb2.Unmapped(payload=b"x"))) == [("", "UNMAPPED")]


@pytest.mark.parametrize("tenant", ["a", "0", "acme", "a-b", "a" * 63, "a-"])
def test_tenants(tenant: str) -> None:
    assert check.valid_tenant(tenant)


@pytest.mark.parametrize("tenant", ["", "-a", "A", "a" * 64, "a_b", "a.b", "a\n", "ä"])
def test_no_tenants(tenant: str) -> None:
    assert not check.valid_tenant(tenant)


def test_equal_events_have_equal_bytes() -> None:
    one = event(event_type="PLAY", metadata_json=b'{ "b": [1, {"d": 1, "c": 2}], "a": null }')
    two = event(event_type="play", metadata_json=b'{"a":null,"b":[1,{"c":2,"d":1}]}')
    check.normalise(one)
    check.normalise(two)
    assert one.event_type == "play"
    assert one.SerializeToString(deterministic=True) == two.SerializeToString(deterministic=True)


def test_the_order_of_a_list_is_content() -> None:
    one, two = event(metadata_json=b'{"a":[1,2]}'), event(metadata_json=b'{"a":[2,1]}')
    check.normalise(one)
    check.normalise(two)
    assert one != two


def test_normalising_twice_changes_nothing() -> None:
    one = event(
        event_type="Streaming-Start", metadata_json=b'{"b":1.50,"a":"\\u00e9"}', unknown_json=b'{"z":1,"y":2}'
    )
    check.normalise(one)
    first = one.SerializeToString(deterministic=True)
    check.normalise(one)
    assert one.SerializeToString(deterministic=True) == first


@given(st.binary(max_size=300))
def test_whatever_parses_can_be_checked(content: bytes) -> None:
    try:
        one = event_pb2.Event.FromString(content)
    except DecodeError:
        return
    if not check.violations(one, NOW_MS):
        check.normalise(one)


_text = st.text(max_size=12)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(
                [*IDENTIFIERS, "event_type", "region", "ip_address", "user_agent", "time_zone"], _text
            ),
            "metadata_json": st.binary(max_size=30),
            "unknown_json": st.sampled_from(
                [b"{}", b'{"a":1e400}', b'{"a":123456789012345678901234567890}', b"[" * 2000]
            ),
            "data_volume_bytes": st.integers(0, 2**64 - 1),
            "event_time": st.builds(
                lambda s, n: {"seconds": s, "nanos": n},
                st.integers(-(2**63), 2**63 - 1),
                st.integers(-(2**31), 2**31 - 1),
            ),
            "privacy": st.builds(
                lambda word, age: {"purpose": word, "user_age": age, "consent": {"status": word}},
                _text,
                st.integers(0, 2**32 - 1),
            ),
            "account": st.builds(lambda word: {"email_domain": word, "signup_ip_address": word}, _text),
        },
    )
)
def test_whatever_the_fields_hold_can_be_checked(fields: dict[str, Any]) -> None:
    one = event_pb2.Event(**fields)
    for violation in check.violations(one, NOW_MS):
        assert violation.reason.isupper()
        assert violation.message


_TEXTS = st.sampled_from(
    ["", "ok", "DE", "US-CA", "a b", "x\n", "x" * 300, "é", "\x00", "192.0.2.1", "::ffff:1.2.3.4"]
)
_OBJECTS = st.sampled_from([b"", b"{}", b"[]", b"{", b'{"a":{"b":[1]}}', b'{"a":' * 9 + b"1" + b"}" * 9])
_FACTS = st.builds(
    event_pb2.PrivacyFacts,
    user_residence=_TEXTS,
    purpose=_TEXTS,
    user_age=st.sampled_from([None, 0, 150, 151]),
    data_categories=st.lists(_TEXTS, max_size=3),
)
_ACCOUNTS = st.builds(
    event_pb2.AccountFacts,
    household_id=_TEXTS,
    plan=_TEXTS,
    email_domain=st.sampled_from(["", "example.org", "Example.org"]),
    signup_ip_address=_TEXTS,
    stream_limit=st.sampled_from([None, 0, 1, 100, 101]),
)
_SECONDS = st.sampled_from([-1, 0, 1, NOW_MS // 1000, NOW_MS // 1000 + 301, 4_133_980_799, 4_133_980_800])


@given(st.data())
def test_the_quick_check_passes_what_the_full_one_finds_nothing_wrong_with(data: st.DataObject) -> None:
    one = event()
    texts = [
        *IDENTIFIERS,
        "region",
        "ip_address",
        "time_zone",
        "user_agent",
        "subscription_plan",
        "error_code",
    ]
    for name in data.draw(st.sets(st.sampled_from([*texts, "event_type"]), max_size=3)):
        setattr(one, name, data.draw(_TEXTS))
    for name in data.draw(st.sets(st.sampled_from(["metadata_json", "unknown_json"]))):
        setattr(one, name, data.draw(_OBJECTS))
    if data.draw(st.booleans()):
        one.privacy.CopyFrom(data.draw(_FACTS))
    if data.draw(st.booleans()):
        one.account.CopyFrom(data.draw(_ACCOUNTS))
    if data.draw(st.booleans()):
        one.event_time.seconds = data.draw(_SECONDS)
        one.event_time.nanos = data.draw(st.sampled_from([0, 999_999_999, -1, 1_000_000_000]))
    one.origin = data.draw(st.sampled_from([0, 1, 2]))
    one.data_volume_bytes = data.draw(st.sampled_from([0, 2**53, 2**53 + 1]))
    if data.draw(st.integers(0, 9)) == 0:
        one.unmapped.payload = b"x"

    quick = check._well_formed(one, NOW_MS, check._identifiers(one), check._texts(one))
    assert quick == (not check._every_error(one, NOW_MS))
    one.ClearField("metadata_json")
    one.ClearField("unknown_json")
    assert check.attacks_of(one) == security.attacks_in(one)


@pytest.mark.parametrize("name", ["household_id", "plan"])
@pytest.mark.parametrize("attack", ["h1' OR '1'='1", "<script>alert(1)</script>", "../../etc/passwd"])
def test_an_attack_in_the_account_is_found_beside_harmless_identifiers(name: str, attack: str) -> None:
    one = event()
    setattr(one.account, name, attack)
    found = check.examine(one, NOW_MS).attacks
    assert [one.field for one in found] == [f"account.{name}"]
