"""What the consent ledger takes, and what it says as of a time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given as given_that
from hypothesis import strategies as st

from services.compliance import ledger
from services.compliance.consent import LedgerFact
from services.compliance.ledger import (
    FIRST_CHAIN,
    GIVEN,
    REFUSED,
    WITHDRAWN,
    Entry,
    fact_for,
    seal,
    states_at,
)
from usher.compliance.v1 import consent_pb2

DAY_MS = 86_400_000
NOW_MS = 1_767_268_800_000


def record(act: int, day: float, purpose: str = "analytics", **fields: Any) -> consent_pb2.ConsentRecord:
    expires = fields.pop("expires", None)
    made = consent_pb2.ConsentRecord(act=act, purpose=purpose, source="cmp", **fields)
    made.effective_time.FromMilliseconds(int(day * DAY_MS))
    if expires is not None:
        made.expires_time.FromMilliseconds(int(expires * DAY_MS))
    return made


def chained(*records: consent_pb2.ConsentRecord, recorded: int | None = None) -> list[Entry]:
    entries: list[Entry] = []
    previous = (0, FIRST_CHAIN)
    for number, one in enumerate(records):
        at = one.effective_time.ToMilliseconds() if recorded is None else recorded + number
        entries.append(seal("acme", previous, one.act, at, "ann", bytes(16), one.SerializeToString()))
        previous = (entries[-1].seq, entries[-1].chain)
    return entries


def status(entries: list[Entry], day: float, known: float | None = None, purpose: str = "analytics") -> str:
    state = states_at(entries, int(day * DAY_MS), None if known is None else int(known * DAY_MS)).get(purpose)
    return state.status if state else ""


def test_the_state_at_every_time() -> None:
    entries = chained(record(GIVEN, 10, expires=40), record(WITHDRAWN, 20), record(GIVEN, 30, expires=35))
    assert [status(entries, day) for day in (9.9, 10, 19.9, 20, 29.9, 30, 34.9, 35, 99)] == [
        "",
        "granted",
        "granted",
        "withdrawn",
        "withdrawn",
        "granted",
        "granted",
        "expired",
        "expired",
    ]


def test_what_was_recorded_late_counts_from_when_it_took_effect_and_only_once_known() -> None:
    entries = chained(record(GIVEN, 10), record(WITHDRAWN, 12), recorded=50 * DAY_MS)
    assert status(entries, 11) == "granted"
    assert status(entries, 13) == "withdrawn"
    assert status(entries, 13, known=49) == ""


def test_of_two_acts_at_one_moment_the_later_recorded_decides() -> None:
    assert status(chained(record(GIVEN, 10), record(WITHDRAWN, 10)), 10) == "withdrawn"
    assert status(chained(record(WITHDRAWN, 10), record(GIVEN, 10)), 10) == "granted"


def test_a_fact_for_an_event() -> None:
    entries = chained(
        record(GIVEN, 10, scope=["third_party_sharing"], given_by="parent", verifiable=True),
        record(GIVEN, 11, "personalisation"),
        record(WITHDRAWN, 12, "personalisation"),
        record(REFUSED, 13, "direct_marketing"),
    )
    states = states_at(entries, 20 * DAY_MS)
    assert fact_for(states, "analytics") == LedgerFact(
        status="granted",
        granted=("analytics", "third_party_sharing"),
        denied=("direct_marketing", "personalisation"),
        obtained=10 * 86_400,
        withdrawn=None,
        expires=None,
        given_by="parent",
        separate=None,
        verifiable=True,
        vppa_separate_form=None,
    )
    withdrawn = fact_for(states, "personalisation")
    assert withdrawn is not None
    assert (withdrawn.status, withdrawn.obtained, withdrawn.withdrawn) == (
        "withdrawn",
        11 * 86_400,
        12 * 86_400,
    )
    refused = fact_for(states, "direct_marketing")
    assert refused is not None
    assert (refused.status, refused.obtained) == ("absent", None)
    for purpose in ("targeted_advertising", ""):
        silent = fact_for(states, purpose)
        assert silent is not None
        assert (silent.status, silent.granted) == ("", ("analytics", "third_party_sharing"))
    assert fact_for({}, "analytics") is None


def test_a_purpose_within_the_scope_of_another_is_covered() -> None:
    fact = fact_for(
        states_at(chained(record(GIVEN, 1, scope=["terminal_access"])), DAY_MS), "terminal_access"
    )
    assert fact is not None
    assert fact.status == "granted"


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"act": 0}, "act", "UNKNOWN_VALUE"),
        ({"act": consent_pb2.CONSENT_ACT_ERASED}, "act", "UNKNOWN_VALUE"),
        ({"purpose": ""}, "purpose", "WORD_INVALID"),
        ({"purpose": "x" * 65}, "purpose", "WORD_INVALID"),
        ({"source": "Call Centre"}, "source", "WORD_INVALID"),
        ({"scope": ["a"] * 33}, "scope", "WORD_INVALID"),
        ({"scope": [""]}, "scope", "WORD_INVALID"),
        ({"given_by": "robot"}, "given_by", "UNKNOWN_VALUE"),
        ({"policy_version": "1" * 65}, "policy_version", "TOO_LONG"),
        ({"effective_time": {"seconds": NOW_MS // 1000 + 301}}, "effective_time", "TIME_IN_FUTURE"),
        ({"effective_time": {"seconds": -1}}, "effective_time", "TIME_INVALID"),
        ({"expires_time": {"seconds": NOW_MS // 1000}}, "expires_time", "TIME_INVALID"),
        ({"act": WITHDRAWN, "expires_time": {"seconds": NOW_MS}}, "expires_time", "UNEXPECTED"),
        ({"proof": {"kind": "A"}}, "proof.kind", "WORD_INVALID"),
        ({"proof": {"reference": "x" * 513}}, "proof.reference", "TOO_LONG"),
        ({"proof": {"sha256": b"1"}}, "proof.sha256", "DIGEST_INVALID"),
        ({"proof": {"consent_string": "2YNN"}}, "proof.consent_string", "VERSION_UNKNOWN"),
    ],
)
def test_what_a_record_must_be(change: dict[str, Any], field: str, reason: str) -> None:
    good = {"act": GIVEN, "purpose": "analytics", "source": "cmp", "proof": {"consent_string": "1YNN"}}
    assert ledger.violations(consent_pb2.ConsentRecord(**good), 0, NOW_MS) == []
    (found,) = ledger.violations(consent_pb2.ConsentRecord(**(good | change)), 3, NOW_MS)
    assert (found.field, found.reason) == (f"records[3].{field}", reason)


def test_a_record_is_kept_with_its_time_and_each_word_once() -> None:
    kept = ledger.completed(consent_pb2.ConsentRecord(scope=["b", "a", "b"]), NOW_MS)
    assert kept.effective_time.ToMilliseconds() == NOW_MS
    assert list(kept.scope) == ["a", "b"]


@given_that(st.integers(0, 4), st.sampled_from(["act", "recorded_ms", "digest", "content", "salt", "tenant"]))
def test_any_alteration_of_an_entry_breaks_the_chain(place: int, field: str) -> None:
    entries = chained(*(record(GIVEN, day) for day in range(5)))
    value = getattr(entries[place], field)
    altered = value + 1 if isinstance(value, int) else value + ("x" if isinstance(value, str) else b"x")
    entries[place] = entries[place]._replace(**{field: altered})
    previous, found = (0, FIRST_CHAIN), []
    for entry in entries:
        if ledger.broken(entry, previous):
            found.append(entry.seq)
        previous = (entry.seq, entry.chain)
    assert found == [place + 1]


def test_taking_an_entry_out_or_changing_its_place_is_found() -> None:
    entries = chained(*(record(GIVEN, day) for day in range(3)))
    assert ledger.broken(entries[2], (1, entries[0].chain)) == "an entry is missing after 1"
    moved = entries[2]._replace(seq=2)
    assert ledger.broken(moved, (1, entries[0].chain)) == "the entry is not the one that was chained"
