"""Attacks by the policy of their field: machine words fail the event, free text is marked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import FieldViolation
from services.ingest import check, security
from services.ingest.assembly import _marks
from services.ingest.security import FIELD_GROUPS
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

NOW_MS = 1_764_000_000_000


def event(**fields: object) -> event_pb2.Event:
    one = event_pb2.Event(
        event_id="evt_1", user_id="user_42", device_id="tv_lg_abc123", event_type="play", region="NL",
        ip_address="203.0.113.10",
    )  # fmt: skip
    one.event_time.FromMilliseconds(NOW_MS)
    for name, value in fields.items():
        setattr(one, name, value)
    return one


def reasons(one: event_pb2.Event, failing: frozenset[str] = security.FAILING) -> list[tuple[str, str]]:
    return [(v.field, v.reason) for v in check.examine(one, NOW_MS, failing).violations]


@pytest.mark.parametrize(
    "name", ["event_id", "user_id", "device_id", "content_id", "session_id", "import_id"]
)
@pytest.mark.parametrize(
    ("value", "found"),
    [
        # Within the grammar of identifiers, and an attack all the same.
        ("../../etc/passwd", "ATTACK_TRAVERSAL"),
        ("/proc/self/environ", "ATTACK_TRAVERSAL"),
        ("file:///etc/hosts", "ATTACK_TRAVERSAL"),
    ],
)
def test_an_attack_in_an_identifier_fails_the_event(name: str, value: str, found: str) -> None:
    assert reasons(event(**{name: value})) == [(name, found)]


def test_outside_the_grammar_both_stages_tell() -> None:
    assert reasons(event(user_id="x' or '1'='1")) == [
        ("user_id", "IDENTIFIER_INVALID"),
        ("user_id", "ATTACK_SQLI"),
    ]


@pytest.mark.parametrize(
    "identifier",
    ["evt_1", "0190c2f4-6f6e-7bb8-8a0e-3c7b6f6d3a11", "a.b.c", "urn:uuid:1", "john+or@var.es",
     "Zm9vYmFy=", "a/b/c", "v1.2~3", "GET:/x", "or", "select"],
)  # fmt: skip
def test_ordinary_identifiers_pass(identifier: str) -> None:
    one = event(event_id=identifier, user_id=identifier, content_id=identifier)
    assert check.examine(one, NOW_MS) == check.Examined([], ())


METADATA = b'{"title":"x\' or 1=1 --","tags":["ok",{"note":"<script>alert(1)</script>"}]}'


def test_attacks_in_free_text_are_marked_not_failed() -> None:
    found = check.examine(event(metadata_json=METADATA, user_agent="${jndi:ldap://198.51.100.7/a}"), NOW_MS)
    assert found.violations == []
    assert [(a.field, a.group, a.finding.attack) for a in found.attacks] == [
        ("user_agent", "user_agent", "code"),
        ("metadata.title", "metadata_value", "sqli"),
        ("metadata.tags[1].note", "metadata_value", "xss"),
    ]


def test_the_policy_can_let_free_text_fail() -> None:
    one = event(metadata_json=METADATA)
    assert reasons(one, frozenset(FIELD_GROUPS)) == [
        ("metadata.title", "ATTACK_SQLI"),
        ("metadata.tags[1].note", "ATTACK_XSS"),
    ]


def test_names_of_metadata_and_codes_fail() -> None:
    assert reasons(event(metadata_json=b'{"a":{"<img src=x onerror=alert(1)>":1}}')) == [
        ("metadata.a.<img src=x onerror=alert(1)>", "ATTACK_XSS")
    ]
    assert reasons(event(error_code="%27%20or%201=1--")) == [("error_code", "ATTACK_SQLI")]
    assert reasons(event(subscription_plan="{{7*7}}")) == [("subscription_plan", "ATTACK_TEMPLATE")]
    assert reasons(event(unknown_json=b'{"__proto__":{"admin":true}}')) == [
        ("metadata.__proto__", "ATTACK_CODE")
    ]


def test_free_text_is_stored_as_sent() -> None:
    one = event(metadata_json=METADATA, user_agent="<b>TV & Co</b>")
    check.normalise(one)
    assert one.user_agent == "<b>TV & Co</b>"
    assert b"<script>alert(1)</script>" in one.metadata_json


def test_a_marked_event_carries_a_reason_for_each_attack() -> None:
    class ItemOf:
        payload = event(metadata_json=METADATA).SerializeToString()

    part = decision_pb2.Decision.FromString(_marks(ItemOf()))  # type: ignore[arg-type]
    assert [(r.code, list(r.words)) for r in part.reasons] == [
        (decision_pb2.REASON_CODE_ATTACK_IN_TEXT, ["metadata.title", "sqli", part.reasons[0].words[2]]),
        (decision_pb2.REASON_CODE_ATTACK_IN_TEXT, ["metadata.tags[1].note", "xss", part.reasons[1].words[2]]),
    ]
    assert all(reason.points == 0 for reason in part.reasons)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"user_agent": "a\x00b"}, ("user_agent", "CONTROL_CHARACTER")),
        ({"error_code": "a\x1bb"}, ("error_code", "CONTROL_CHARACTER")),
        ({"subscription_plan": "a\x85"}, ("subscription_plan", "CONTROL_CHARACTER")),
        ({"user_agent": "a\uffff"}, ("user_agent", "CONTROL_CHARACTER")),
        ({"metadata_json": b'{"a":["b\\u0000"]}'}, ("metadata", "CONTROL_CHARACTER")),
        ({"metadata_json": b'{"a\\u0007":1}'}, ("metadata", "CONTROL_CHARACTER")),
        ({"metadata_json": '{"a":"\ufdd0"}'.encode()}, ("metadata", "CONTROL_CHARACTER")),
    ],
)  # fmt: skip
def test_what_no_text_may_hold(fields: dict[str, object], found: tuple[str, str]) -> None:
    assert reasons(event(**fields)) == [found]
    assert check.stage_of(*found) == event_pb2.CHECK_STAGE_SANITISING


@pytest.mark.parametrize("text", ["a\tb\nc\r\n", "日本語", "e\u0301", "\U0001f600", "\\u0000 as text"])
def test_what_texts_may_hold(text: str) -> None:
    import orjson

    assert reasons(event(user_agent=text, metadata_json=orjson.dumps({"a": text}))) == []


def test_codes_are_composed_so_that_equal_ones_are_equal() -> None:
    # UAX 15: e and U+0301 compose to U+00E9.
    one, other = event(error_code="cafe\u0301"), event(error_code="caf\u00e9")
    check.normalise(one)
    check.normalise(other)
    assert one == other


@pytest.mark.parametrize(
    ("field", "reason", "stage"),
    [
        ("user_id", "IDENTIFIER_INVALID", event_pb2.CHECK_STAGE_SCHEMA),
        ("user_agent", "TOO_LONG", event_pb2.CHECK_STAGE_SCHEMA),
        ("metadata", "TOO_LONG", event_pb2.CHECK_STAGE_SANITISING),
        ("metadata", "TOO_DEEP", event_pb2.CHECK_STAGE_SANITISING),
        ("user_id", "ATTACK_SQLI", event_pb2.CHECK_STAGE_SECURITY),
    ],
)
def test_each_violation_has_its_stage(field: str, reason: str, stage: int) -> None:
    assert check.stage_of(field, reason) == stage


@pytest.mark.parametrize(
    ("violations", "reason"),
    [
        ([("user_id", "MISSING")], "INVALID_EVENT"),
        ([("user_id", "ATTACK_SQLI"), ("user_id", "IDENTIFIER_INVALID")], "SECURITY"),
        ([("user_agent", "CONTROL_CHARACTER")], "UNCLEAN"),
        ([("user_agent", "CONTROL_CHARACTER"), ("user_id", "MISSING")], "INVALID_EVENT"),
        ([("event_time", "IN_THE_FUTURE")], "IN_THE_FUTURE"),
    ],
)
def test_each_stage_fails_under_a_reason_of_its_own(violations: list[tuple[str, str]], reason: str) -> None:
    from services.ingest.ledger import failed_event

    found = [FieldViolation(field, why, "") for field, why in violations]
    failed = failed_event("dev", "evt_1", b"", found, NOW_MS)
    assert failed.failure.reason == reason
    assert [v.stage for v in failed.failure.violations] == [check.stage_of(*v) for v in violations]


@given(
    st.recursive(
        st.text(max_size=20) | st.integers() | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=12,
    )
)
def test_any_object_is_looked_through(value: object) -> None:
    assert len(security.attacks_in_object(value, "metadata")) <= 32


def test_what_is_harmless_at_first_sight_is_harmless_to_the_patterns() -> None:
    assert security.harmless_object(b'{"app_version":"4.2.0","bitrate":1200,"net":["wifi",null,true]}')
    assert not security.harmless_object(b'{"a":"../x"}')
    assert not security.harmless_object(b'{"a b":1}')
    assert not security.harmless_object(b'{"a":"0x2e0x2e0x2f"}')


def test_a_look_at_numbers_takes_no_longer_than_they_are_long() -> None:
    """Found by bench.fuzz: a backtracking expression never ended here. The test's own time limit is the measure."""
    assert not security.harmless_object(b'{"a":' + b"1" * 5_000 + b"!}")
    assert not security.harmless_object(b"{" + b'"1":"1",' * 1_000 + b"!}")
