"""A cached verdict is the verdict: whatever the order of events, their times, and how they were encoded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from services.compliance.cache import MAX_CACHED_BYTES, CacheStatistics, VerdictCache
from services.compliance.evaluate import Law
from services.compliance.facts import country_of, is_own_right, read_facts
from tests.unit.compliance.cases import FURTHER_FILE, event_of, load_cases
from usher.event.v1 import event_pb2

DE = ord("D") << 8 | ord("E")
CASES = [*load_cases(), *load_cases(FURTHER_FILE)]


def fresh(law: Law, serialised: bytes, country: int) -> bytes:
    event = event_pb2.Event.FromString(serialised)
    facts = read_facts(event, country_of(country), own_right=is_own_right(event.event_type))
    return law.evaluate(facts).verdict


def cached(cache: VerdictCache, serialised: bytes, country: int = 0) -> bytes:
    answer = cache.answer(serialised, country)
    assert answer is not None
    return answer.verdict


def event(**fields: Any) -> event_pb2.Event:
    made = event_pb2.Event(event_id="e", user_id="u", event_type="play", region="NL")
    made.event_time.FromJsonString("2026-11-22T12:00:00Z")
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def day(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


# Around every moment at which an answer may change, and anywhere.
TIMES = st.integers(day("1970-01-01"), day("2099-12-31")) | st.builds(
    lambda base, offset: base + offset,
    st.sampled_from(
        [
            day(text)
            for text in ("2018-05-25", "2026-01-26", "2026-04-22", "2026-11-01", "2026-11-18", "2026-11-20")
        ]
    )
    | st.just(day("2026-11-19T08:00:00")),
    st.integers(-200_000, 200_000) | st.integers(-2, 2),
)
EVENTS = st.builds(
    lambda case, time, region, is_eu, has_consent, kind: (
        event_of(case),
        time,
        region,
        is_eu,
        has_consent,
        kind,
    ),
    st.sampled_from(CASES)
    | st.none().map(lambda _: {"id": "bare", "event": {"event_time": "2026-11-22T12:00:00Z"}}),
    TIMES,
    st.sampled_from(["NL", "US-CA", "US", "BR", "ZZ"]),
    st.sampled_from([None, False, True]),
    st.sampled_from([None, False, True]),
    st.sampled_from(["play", "erasure_request"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(EVENTS, st.sampled_from([0, DE])), min_size=2, max_size=12))
def test_cached_is_fresh(law: Law, rows: list[tuple[Any, int]]) -> None:
    cache = VerdictCache(law, 1_000)
    for (made, time, region, is_eu, has_consent, kind), country in rows:
        made.event_time.seconds = time
        made.region = region
        made.event_type = kind
        if is_eu is not None:
            made.is_eu = is_eu
        if has_consent is not None:
            made.has_consent = has_consent
        serialised = made.SerializeToString()

        assert cached(cache, serialised, country) == fresh(law, serialised, country)


def test_equal_legal_facts_share_an_answer(law: Law) -> None:
    cache = VerdictCache(law, 10)
    first = cache.answer(event(event_id="a", user_id="x").SerializeToString(), 0)
    later = event(event_id="b", user_id="y")
    later.event_time.seconds += 3_600

    assert cache.answer(later.SerializeToString(), 0) is first
    assert cache.statistics == CacheStatistics(hits=1, misses=1, alike=0)


def test_whatever_the_law_reads_tells_signatures_apart(law: Law) -> None:
    cache = VerdictCache(law, 100)
    events = [
        event(),
        event(region="BE"),
        event(is_eu=False),
        event(is_eu=True),
        event(has_consent=False),
        event(has_consent=True),
        event(event_type="opt_out"),
        event_of(CASES[0]),
    ]
    for made in events:
        cache.answer(made.SerializeToString(), 0)
    cache.answer(events[0].SerializeToString(), DE)

    # "Not in the EU" says no more than saying nothing: the law looks at the same facts.
    assert cache.statistics == CacheStatistics(hits=0, misses=len(events) + 1, alike=1)


def test_a_deadline_makes_a_new_answer(law: Law) -> None:
    cache = VerdictCache(law, 10)
    made = event()
    made.privacy.rights_request.type = "access"
    made.privacy.rights_request.received_time.FromJsonString("2026-10-01T09:00:00Z")
    found = []
    for text in ("2026-11-01T23:59:59", "2026-11-02T00:00:00", "2026-11-01T12:00:00", "2026-12-01T00:00:00"):
        made.event_time.seconds = day(text)
        found.append(cached(cache, made.SerializeToString()))

    assert found[0] == found[2] != found[1] == found[3]
    assert cache.statistics == CacheStatistics(hits=2, misses=2, alike=0)


def test_split_privacy_facts_are_merged(law: Law) -> None:
    """A sender may write a message field in parts; protobuf merges them."""
    first, second = event(), event_pb2.Event()
    first.privacy.purpose = "basic_service"
    second.privacy.legal_basis_claimed = "contract"
    cache = VerdictCache(law, 10)
    cached(cache, first.SerializeToString())
    split = first.SerializeToString() + second.SerializeToString()

    assert cached(cache, split) == fresh(law, split, 0) != cached(cache, first.SerializeToString())


def test_the_least_recently_used_go_first(law: Law) -> None:
    cache = VerdictCache(law, 2)

    def misses(region: str) -> bool:
        before = cache.statistics.misses
        cached(cache, event(region=region).SerializeToString())
        return cache.statistics.misses > before

    assert [misses(region) for region in ("NL", "BE", "FR", "NL", "NL")] == [True, True, True, False, False]
    # NL was asked for again and is young; BE was not, and went when the young generation filled up.
    assert misses("DE")
    assert [misses("NL"), misses("BE")] == [False, True]


def test_no_time_and_no_event(law: Law) -> None:
    cache = VerdictCache(law, 2)

    assert cache.answer(event_pb2.Event(region="NL").SerializeToString(), 0) is None
    # Field 25 (privacy) of one byte, which begins a field that does not follow.
    for broken in (b"\xff", event().SerializeToString() + b"\xca\x01\x01\x0a"):
        with pytest.raises(DecodeError):
            cache.answer(broken, 0)
    with pytest.raises(ValueError, match="1 signature or more"):
        VerdictCache(law, 0)


def test_long_facts_are_answered_and_not_kept(law: Law) -> None:
    cache = VerdictCache(law, 10)
    made = event()
    made.privacy.consent.tcf_string = "C" * (MAX_CACHED_BYTES + 1)
    serialised = made.SerializeToString()

    assert cached(cache, serialised) == cached(cache, serialised) == fresh(law, serialised, 0)
    assert cache.statistics == CacheStatistics(hits=0, misses=2, alike=0)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(CASES),
            st.integers(0, 40),
            st.integers(-800, 3).map(lambda days: days * 86_400) | st.integers(-2, 2),
            st.integers(0, 2_000_000) | st.sampled_from([9_999, 10_000, 99_999, 100_000, 999_999, 1_000_000]),
            st.integers(-3, 3),
        ),
        min_size=4,
        max_size=12,
    )
)
def test_what_is_alike_has_the_same_answer(
    law: Law, rows: list[tuple[dict[str, Any], int, int, int, int]]
) -> None:
    cache = VerdictCache(law, 1_000)
    for case, age, given_before, outbound, seconds in rows:
        made = event_of(case)
        made.event_time.seconds += seconds
        if made.privacy.HasField("user_age"):
            made.privacy.user_age = age
        made.privacy.consent.obtained_time.seconds = made.event_time.seconds + given_before
        made.privacy.annual_outbound_individuals = outbound
        serialised = made.SerializeToString()

        assert cached(cache, serialised) == fresh(law, serialised, 0)


def test_another_age_or_date_of_consent_is_mostly_alike(law: Law) -> None:
    cache = VerdictCache(law, 100)
    for age, day_given in ((34, "2026-03-01"), (35, "2026-03-02"), (16, "2026-03-03")):
        made = event()
        made.privacy.user_age = age
        made.privacy.purpose = "personalisation"
        made.privacy.legal_basis_claimed = "consent"
        made.privacy.consent.status = "granted"
        made.privacy.consent.scope.append("personalisation")
        made.privacy.consent.obtained_time.seconds = day(day_given)
        cache.answer(made.SerializeToString(), 0)

    # 34 and 35 lie between the same numbers, 16 does not; the law of the Netherlands looks at no date of consent.
    assert cache.statistics == CacheStatistics(hits=0, misses=3, alike=1)
