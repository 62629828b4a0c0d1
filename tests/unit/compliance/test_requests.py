"""Statutory clocks of subject requests and breaches: expected ends come from the statutes and the fact file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.common.errors import FailedPrecondition, InvalidArgument
from services.compliance import breaches, duties, retention
from services.compliance import requests as rules
from services.compliance.calendars import Period, due_ms
from services.compliance.duties import Facts, read_facts
from usher.compliance.v1 import records_pb2

R = records_pb2
PACKS = Path(__file__).parents[3] / "services" / "compliance" / "packs"
A = {name.removeprefix("SUBJECT_REQUEST_ACTION_"): number for name, number in R.SubjectRequestAction.items()}


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def day(time_ms: int) -> str:
    """The day whose last moment it is."""
    return datetime.fromtimestamp((time_ms + 1) / 1000 - 1, UTC).date().isoformat()


@pytest.fixture(scope="module")
def facts() -> tuple[Facts, ...]:
    return read_facts({path.stem: path.read_bytes() for path in PACKS.glob("*.yaml")})


@pytest.mark.parametrize(
    ("start", "period", "place", "union_law", "end"),
    [
        # Reg. 1182/71 art. 3(1): the day of the event is not counted; 3(2)(c): a month without that day ends on its last.
        (
            "2026-01-31T10:00:00",
            Period(1, "calendar_months"),
            "NL",
            True,
            "2026-03-02",
        ),  # 28 Feb is a Saturday
        ("2025-01-31T10:00:00", Period(1, "calendar_months"), "NL", True, "2025-02-28"),  # a Friday
        # Art. 3(4): 25 and 26 December are holidays in the Netherlands, 27 December 2026 is a Sunday.
        ("2026-11-25T09:00:00", Period(1, "calendar_months"), "NL", True, "2026-12-28"),
        # No such rule in California: 45 days, a Saturday stays one.
        ("2026-01-01T00:00:00", Period(45, "calendar_days"), "US-CA", False, "2026-02-15"),
        # Business days: 26 (Thanksgiving) and 27 November 2026 are state holidays in California.
        ("2026-11-25T12:00:00", Period(10, "business_days"), "US-CA", False, "2026-12-11"),
        # Brazil: 3 business days over a weekend and Republic Day (15 November 2027 is a Monday).
        ("2027-11-11T12:00:00", Period(3, "business_days"), "BR", False, "2027-11-17"),
    ],
)
def test_periods_end_as_the_law_counts(
    start: str, period: Period, place: str, union_law: bool, end: str
) -> None:
    assert day(due_ms(ms(start), period, place, union_law=union_law)) == end


def test_hours_run_exactly() -> None:
    aware = ms("2026-11-27T17:30:00")
    assert due_ms(aware, Period(72, "hours"), "DE", union_law=True) == aware + 72 * 3_600_000


def test_a_short_period_of_union_law_holds_two_working_days() -> None:
    # Art. 3(5): begun on a Friday, two days would be the weekend.
    assert (
        day(due_ms(ms("2026-11-27T10:00:00"), Period(2, "calendar_days"), "DE", union_law=True))
        == "2026-12-01"
    )


def opened(
    facts: tuple[Facts, ...],
    right: int,
    place: str,
    received: str = "2026-11-02T09:00:00",
    confirmed: bool = True,
) -> R.SubjectRequest:
    request = R.SubjectRequest(
        right=right, jurisdiction=place, request_id="sr_1", tenant="acme", subject="00"
    )  # type: ignore[arg-type]
    request.received_time.FromMilliseconds(ms(received))
    if confirmed:
        request.identity = R.IDENTITY_STATE_CONFIRMED
    rules.open_request(request, facts, ms(received), "ann")
    return request


@pytest.mark.parametrize(
    ("right", "place", "regulation", "due", "binding"),
    [
        (R.SUBJECT_RIGHT_ACCESS, "NL", "EU_GDPR", "2026-12-02", True),
        (R.SUBJECT_RIGHT_CONTEST, "DE", "EU_GDPR", "2026-12-02", True),
        (R.SUBJECT_RIGHT_RESTRICTION, "FR", "EU_GDPR", "2026-12-02", True),
        (R.SUBJECT_RIGHT_ACCESS, "GB", "UK_GDPR", "2026-12-02", True),
        (R.SUBJECT_RIGHT_ERASURE, "US-CA", "US_CA_CCPA", "2026-12-17", True),
        (R.SUBJECT_RIGHT_ACCESS, "US-IA", "US_IA_ICDPA", "2027-01-31", True),
        (R.SUBJECT_RIGHT_ACCESS, "BR", "BR_LGPD", "2026-11-17", True),
        (R.SUBJECT_RIGHT_ERASURE, "TH", "TH_PDPA", "2027-01-31", True),
        (R.SUBJECT_RIGHT_ERASURE, "KR", "KR_PIPA", "2026-11-12", True),
        (R.SUBJECT_RIGHT_ACCESS, "TR", "TR_KVKK", "2026-12-02", True),
        # No count in the law: the pack's own rule, called so.
        (R.SUBJECT_RIGHT_ACCESS, "JP", "JP_APPI", "2026-11-16", False),
        (R.SUBJECT_RIGHT_ACCESS, "AU", "AU_PRIVACY_ACT", "2026-12-02", False),
        # Not in force before 2027-05: the house's rule.
        (R.SUBJECT_RIGHT_ACCESS, "IN", "POLICY", "2026-12-02", False),
    ],
)
def test_the_deciding_duty(
    facts: tuple[Facts, ...], right: int, place: str, regulation: str, due: str, binding: bool
) -> None:
    request = opened(facts, right, place)
    first = request.duties[0]
    assert (first.regulation, day(request.due_time.ToMilliseconds()), first.binding) == (
        regulation,
        due,
        binding,
    )
    assert first.cite


def test_california_asks_for_an_acknowledgement_too(facts: tuple[Facts, ...]) -> None:
    request = opened(facts, R.SUBJECT_RIGHT_ERASURE, "US-CA")
    [ack] = [duty for duty in request.duties if duty.what == "acknowledge"]
    # 10 business days; 11 November is Veterans Day.
    assert day(ack.due_time.ToMilliseconds()) == "2026-11-17"
    rules.act(request, A["ACKNOWLEDGE"], "", 0, facts, ms("2026-11-03T09:00:00"), "ann")
    assert request.duties[-1].HasField("met_time")


def test_an_extension_counts_from_the_receipt_and_only_within_the_first_period(
    facts: tuple[Facts, ...],
) -> None:
    request = opened(facts, R.SUBJECT_RIGHT_ACCESS, "NL")
    with pytest.raises(InvalidArgument):
        rules.act(request, A["EXTEND"], " ", 0, facts, ms("2026-11-20T09:00:00"), "ann")
    late = opened(facts, R.SUBJECT_RIGHT_ACCESS, "NL")
    with pytest.raises(FailedPrecondition):
        rules.act(late, A["EXTEND"], "complex", 0, facts, ms("2026-12-03T00:00:00"), "ann")
    rules.act(request, A["EXTEND"], "complex", 0, facts, ms("2026-11-20T09:00:00"), "ann")
    assert day(request.due_time.ToMilliseconds()) == "2027-02-02"  # 1 + 2 months
    with pytest.raises(FailedPrecondition):
        rules.act(request, A["EXTEND"], "again", 0, facts, ms("2026-11-21T09:00:00"), "ann")
    turkey = opened(facts, R.SUBJECT_RIGHT_ACCESS, "TR")
    with pytest.raises(FailedPrecondition, match="no extension"):
        rules.act(turkey, A["EXTEND"], "complex", 0, facts, ms("2026-11-20T09:00:00"), "ann")


@pytest.mark.parametrize(("place", "due"), [("NL", "2026-12-09"), ("US-CA", "2026-12-17")])
def test_the_clock_stands_still_for_the_identity_where_the_law_lets_it(
    facts: tuple[Facts, ...], place: str, due: str
) -> None:
    request = opened(facts, R.SUBJECT_RIGHT_ACCESS, place, confirmed=False)
    rules.act(request, A["ASK_IDENTITY"], "", 0, facts, ms("2026-11-03T09:00:00"), "ann")
    assert rules.is_late(request, ms("2027-06-01T00:00:00")) == (place == "US-CA")
    rules.act(request, A["CONFIRM_IDENTITY"], "", 0, facts, ms("2026-11-10T10:00:00"), "ann")
    assert day(request.due_time.ToMilliseconds()) == due  # 7 whole days later in the Union
    assert request.state == rules.READY


def test_what_a_state_does_not_allow_is_refused_with_what_it_does(facts: tuple[Facts, ...]) -> None:
    request = opened(facts, R.SUBJECT_RIGHT_ERASURE, "NL", confirmed=False)
    with pytest.raises(FailedPrecondition, match="confirm_identity"):
        rules.act(request, A["FULFIL"], "", 0, facts, ms("2026-11-03T09:00:00"), "ann")
    rules.act(request, A["REJECT_IDENTITY"], "", 0, facts, ms("2026-11-03T09:00:00"), "ann")
    assert request.state == rules.REFUSED
    with pytest.raises(FailedPrecondition, match="nothing more"):
        rules.act(request, A["FULFIL"], "", 0, facts, ms("2026-11-03T09:00:00"), "ann")


def test_a_contest_is_answered_by_a_person(facts: tuple[Facts, ...]) -> None:
    request = opened(facts, R.SUBJECT_RIGHT_CONTEST, "NL")
    now = ms("2026-12-03T00:00:00")
    with pytest.raises(InvalidArgument):
        rules.act(request, A["ANSWER"], "it was them", 0, facts, now, "ann")
    assert rules.is_late(request, now)
    rules.act(request, A["ANSWER"], "it was them", R.CONTEST_OUTCOME_OVERTURNED, facts, now, "ann")
    assert (request.state, request.contest, request.overdue) == (
        rules.COMPLETED,
        R.CONTEST_OUTCOME_OVERTURNED,
        True,
    )


def registered(facts: tuple[Facts, ...], **fields: object) -> R.Breach:
    breach = R.Breach(breach_id="br_1", tenant="acme", description="a list was published", **fields)  # type: ignore[arg-type]
    breach.aware_time.FromMilliseconds(ms("2026-11-25T08:00:00"))
    breaches.check(breach, ms("2026-11-25T09:00:00"))
    breaches.count(breach, facts, ms("2026-11-25T09:00:00"))
    return breach


def notice(
    breach: R.Breach, regulation: str, recipient: int = breaches.REGULATOR, stage: str = "first"
) -> R.NoticeDuty:
    [found] = [
        d for d in breach.duties if (d.regulation, d.recipient, d.stage) == (regulation, recipient, stage)
    ]
    return found


def test_who_must_be_told_by_when(facts: tuple[Facts, ...]) -> None:
    breach = registered(
        facts, affected={"NL": 1200, "BR": 40, "US-CA": 501, "TR": 3}, risk=R.BREACH_RISK_LIKELY
    )
    gdpr = notice(breach, "EU_GDPR")
    assert gdpr.due_time.ToMilliseconds() == ms("2026-11-28T08:00:00")
    assert (gdpr.applies, gdpr.basis, gdpr.cite) == ("due", "law", "GDPR art. 33(1)")
    assert notice(breach, "EU_GDPR", breaches.SUBJECTS).applies == "not_due"
    assert not notice(breach, "EU_GDPR", breaches.SUBJECTS).HasField("due_time")
    assert day(notice(breach, "BR_LGPD").due_time.ToMilliseconds()) == "2026-11-30"
    assert day(notice(breach, "BR_LGPD", stage="supplement").due_time.ToMilliseconds()) > "2026-12-20"
    assert notice(breach, "TR_KVKK").due_time.ToMilliseconds() == ms("2026-11-28T08:00:00")
    california = notice(breach, "US_CA_CCPA")
    assert (california.applies, california.HasField("due_time")) == ("due", False)
    assert day(notice(breach, "US_CA_CCPA", breaches.SUBJECTS).due_time.ToMilliseconds()) == "2026-12-25"
    breach.subjects_notified_time.FromMilliseconds(ms("2026-11-30T08:00:00"))
    breaches.count(breach, facts, ms("2026-12-01T00:00:00"))
    assert day(notice(breach, "US_CA_CCPA").due_time.ToMilliseconds()) == "2026-12-15"


def test_a_notice_that_was_not_sent_in_time_is_overdue_and_stays_recorded(facts: tuple[Facts, ...]) -> None:
    breach = registered(facts, affected={"DE": 10}, risk=R.BREACH_RISK_HIGH)
    breaches.count(breach, facts, ms("2026-11-28T08:00:01"))
    duty = notice(breach, "EU_GDPR")
    assert duty.overdue
    assert "Reasons for the delay" in breaches.draft(breach, duty, "GDPR")
    duty.sent_time.FromMilliseconds(ms("2026-11-27T08:00:00"))
    duty.sent_note = "ref. 1"
    breaches.count(breach, facts, ms("2026-12-28T08:00:01"))
    again = notice(breach, "EU_GDPR")
    assert (again.overdue, again.sent_note) == (False, "ref. 1")


def test_a_risk_that_is_unlikely_asks_for_no_notice(facts: tuple[Facts, ...]) -> None:
    breach = registered(facts, affected={"DE": 10}, risk=R.BREACH_RISK_UNLIKELY)
    assert {duty.applies for duty in breach.duties if duty.regulation == "EU_GDPR"} == {"not_due"}


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"affected": {"nl": 1}}, "affected"), ({"affected": {"NL": -1}}, "affected"), ({}, "affected")],
)
def test_a_breach_that_says_too_little_is_refused(
    facts: tuple[Facts, ...], fields: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        registered(facts, **fields)
    assert refused.value.violations[0].field == field


def test_retention_names_the_law_or_says_that_there_is_none(facts: tuple[Facts, ...]) -> None:
    found = retention.policies(facts, ms("2026-11-25T00:00:00"))
    assert retention.days_for(found, "decisions", "NL").basis == "principle"
    assert retention.days_for(found, "decisions", "NL").days == 760
    assert retention.days_for(found, "decisions", "ZZ").basis == "policy"
    brazil = retention.days_for(found, "decisions", "BR")
    assert (brazil.minimum_days, "art. 15" in brazil.minimum_cite) == (183, True)
    assert retention.minimum(facts, "IN", ms("2026-11-25T00:00:00")) is None
    india = retention.minimum(facts, "IN", ms("2027-06-01T00:00:00"))
    assert india is not None
    assert india.days == 365
    assert duties.in_force(facts, "IN", ms("2027-05-13T00:00:00")) == []
