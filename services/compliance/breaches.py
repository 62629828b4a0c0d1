"""Breaches of personal data: who must be told under which law by when, and drafts of what to say. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from services.compliance import duties
from services.compliance.calendars import Period, due_ms
from services.compliance.duties import Deadline, Facts
from services.compliance.requests import invalid
from usher.compliance.v1 import records_pb2
from usher.compliance.v1.records_pb2 import Breach, NoticeDuty

R = records_pb2
REGULATOR, SUBJECTS = R.NOTICE_RECIPIENT_REGULATOR, R.NOTICE_RECIPIENT_SUBJECTS
RECIPIENTS = {"regulator": REGULATOR, "subjects": SUBJECTS}
DUE, NOT_DUE, TO_BE_ASSESSED = "due", "not_due", "to_be_assessed"
SENSITIVE_KINDS = frozenset({"sensitive", "minors", "credentials", "payment", "government_id", "health"})
"""Kinds of data whose loss several laws single out."""
MAX_KINDS = 32
MAX_DESCRIPTION = 8_000


def check(breach: Breach, now_ms: int) -> None:
    """Raises InvalidArgument (FIELD_INVALID) for a breach that cannot be registered."""
    if not breach.description.strip() or len(breach.description) > MAX_DESCRIPTION:
        raise invalid(
            "description", f"say what happened, in 1 to {MAX_DESCRIPTION:,} characters, without names"
        )
    if not breach.HasField("aware_time"):
        raise invalid("aware_time", "say when the controller became aware: the periods begin there")
    for field in ("aware_time", "occurred_time", "assessed_time", "subjects_notified_time"):
        if breach.HasField(field) and getattr(breach, field).ToMilliseconds() > now_ms + 300_000:
            raise invalid(field, "lies in the future")
    if not breach.affected:
        raise invalid("affected", "say how many people in which jurisdiction are concerned, as far as known")
    for jurisdiction, number in breach.affected.items():
        check_jurisdiction("affected", jurisdiction)
        if number < 0:
            raise invalid("affected", f"{jurisdiction}: a number of people is 0 or more")
    if len(breach.data_kinds) > MAX_KINDS or any(not 1 <= len(kind) <= 64 for kind in breach.data_kinds):
        raise invalid("data_kinds", f"at most {MAX_KINDS} words of 1 to 64 characters")


def check_jurisdiction(field: str, text: str) -> None:
    """Raises InvalidArgument (FIELD_INVALID) for what is neither "NL" nor "US-CA"."""
    country, dash, subdivision = text.partition("-")
    good = len(country) == 2 and country.isascii() and country.isalpha() and country.isupper()
    if dash:
        good = good and 1 <= len(subdivision) <= 3 and subdivision.isascii() and subdivision.isalnum()
    if not good:
        raise invalid(field, "a jurisdiction is ISO 3166-1 or 3166-2: NL, US-CA")


def count(breach: Breach, facts: Iterable[Facts], now_ms: int) -> None:
    """Computes the notices anew; what was sent stays."""
    facts = list(facts)
    sent = {
        _key(one): (one.sent_time.ToMilliseconds(), one.sent_note)
        for one in breach.duties
        if one.HasField("sent_time")
    }
    aware = breach.aware_time.ToMilliseconds()
    found: dict[tuple[str, int, str], NoticeDuty] = {}
    for jurisdiction in sorted(breach.affected):
        for one in duties.in_force(facts, jurisdiction, aware):
            for name in RECIPIENTS:
                deadline = duties.breach_deadline(one, name, aware)
                if deadline is not None:
                    for duty in _notices(breach, one, name, deadline, jurisdiction):
                        found.setdefault(_key(duty), duty)
    del breach.duties[:]
    for key in sorted(found, key=lambda key: (_due(found[key]), key)):
        duty = found[key]
        if key in sent:
            when, said = sent.pop(key)
            duty.sent_time.FromMilliseconds(when)
            duty.sent_note = said
        duty.overdue = is_overdue(duty, now_ms)
        breach.duties.append(duty)


def is_overdue(duty: NoticeDuty, now_ms: int) -> bool:
    """Whether a notice that is due was sent late, or is not sent and its time is over."""
    if duty.applies == NOT_DUE or not duty.HasField("due_time"):
        return False
    end = duty.sent_time.ToMilliseconds() if duty.HasField("sent_time") else now_ms
    return end > duty.due_time.ToMilliseconds()


def _key(duty: NoticeDuty) -> tuple[str, int, str]:
    return duty.regulation, duty.recipient, duty.stage


def _due(duty: NoticeDuty) -> int:
    return duty.due_time.ToMilliseconds() if duty.HasField("due_time") else 1 << 62


def _notices(
    breach: Breach, facts: Facts, name: str, deadline: Deadline, jurisdiction: str
) -> list[NoticeDuty]:
    applies, because = _applies(breach, facts, name, jurisdiction)
    stages: list[tuple[str, Period | None, bool]] = [("first", deadline.period, deadline.binding)]
    for stage, (period, binds) in deadline.more.items():
        if stage == "small_agents" or stage.endswith("_ciio"):
            # Periods of kinds of controllers that the caller would have to be; the general one is shorter or equal.
            continue
        if stage == "final_unlawful_purpose" or (stage == "final" and breach.unlawful):
            continue
        stages.append((stage, period, binds))
    if breach.unlawful and "final_unlawful_purpose" in deadline.more:
        stages.append(("final", *deadline.more["final_unlawful_purpose"]))
    return [
        _notice(breach, facts, name, deadline, jurisdiction, (stage, period, binds), applies, because)
        for stage, period, binds in stages
    ]


def _notice(
    breach: Breach,
    facts: Facts,
    name: str,
    deadline: Deadline,
    jurisdiction: str,
    stage: tuple[str, Period | None, bool],
    applies: str,
    because: str,
) -> NoticeDuty:
    which, period, binds = stage
    basis = "law" if binds else "guidance"
    if period is None and deadline.policy is not None:
        period, basis = deadline.policy, "policy"
    duty = NoticeDuty(
        regulation=facts.id,
        recipient=RECIPIENTS[name],
        stage=which,
        authority=facts.regulator if name == "regulator" else "",
        cite=deadline.cite,
        trigger=deadline.trigger,
        applies=applies,
        because=because,
        period="" if period is None else str(period),
        wording=deadline.wording,
        basis=basis,
        verification=deadline.verification,
    )
    start = _start(breach, deadline.start_event if which != "assessment" else "aware_of_breach")
    if start is not None:
        duty.start_time.FromMilliseconds(start)
        if period is not None:
            union = facts.id in duties.UNION_LAW
            duty.due_time.FromMilliseconds(due_ms(start, period, jurisdiction, union_law=union))
    return duty


def _start(breach: Breach, event: str) -> int | None:
    fields = {
        "consumers_notified": "subjects_notified_time",
        "assessed_as_notifiable": "assessed_time",
        "regulator_notified": "",
        "statement_completed": "",
        "affected_persons_identified": "",
    }
    field = fields.get(event, "aware_time")
    if not field:
        # Begins with a notice of our own, which has no count: nothing to compute from.
        return None
    return getattr(breach, field).ToMilliseconds() if breach.HasField(field) else None  # type: ignore[no-any-return]


def _applies(breach: Breach, facts: Facts, name: str, jurisdiction: str) -> tuple[str, str]:
    """Whether a notice is due as far as is known, and why."""
    regulation, risk = facts.id, breach.risk
    people = sum(
        number
        for place, number in breach.affected.items()
        if {place, place.partition("-")[0]} & set(facts.jurisdictions)
    )
    sensitive = sorted(SENSITIVE_KINDS & set(breach.data_kinds))
    if regulation in ("EU_GDPR", "UK_GDPR", "TH_PDPA"):
        if name == "regulator":
            if risk == R.BREACH_RISK_UNLIKELY:
                return NOT_DUE, "assessed as unlikely to result in a risk"
            return DUE, "not assessed as unlikely to result in a risk"
        if breach.encrypted:
            return NOT_DUE, "the data were unintelligible to whoever got them"
        return _by_high_risk(risk)
    if regulation == "US_CA_CCPA":
        if breach.encrypted:
            return NOT_DUE, "only unencrypted personal information counts"
        if name == "regulator":
            residents = breach.affected.get("US-CA", 0)
            if residents > 500:
                return DUE, f"{residents} residents are concerned, more than 500"
            return NOT_DUE, f"{residents} residents are concerned, not more than 500"
        return DUE, "unencrypted personal information was acquired"
    if regulation == "SG_PDPA":
        if name == "regulator" and people >= 500:
            return DUE, f"{people} individuals are concerned, at least 500"
        return _by_risk(risk, "significant harm")
    if regulation == "KR_PIPA" and name == "regulator":
        if people >= 1_000 or sensitive or breach.unlawful:
            return DUE, "1,000 or more people, sensitive data, or illegal access"
        return NOT_DUE, "fewer than 1,000 people, no sensitive data, no illegal access"
    if regulation == "JP_APPI":
        if people > 1_000 or sensitive or breach.unlawful:
            return DUE, "more than 1,000 people, sensitive data, or an unlawful purpose"
        return NOT_DUE, "not more than 1,000 people, no sensitive data, no unlawful purpose"
    if regulation == "BR_LGPD":
        if risk == R.BREACH_RISK_UNLIKELY:
            return NOT_DUE, "no relevant risk or damage"
        if risk == R.BREACH_RISK_UNSPECIFIED:
            return TO_BE_ASSESSED, "whether the risk or damage is relevant is not assessed yet"
        return DUE, "relevant risk or damage"
    if regulation in ("TR_KVKK", "IN_DPDP", "KR_PIPA", "CN_PIPL", "ZA_POPIA"):
        return DUE, "no threshold of risk"
    return _by_risk(risk, "serious or significant harm")


def _by_risk(risk: int, harm: str) -> tuple[str, str]:
    if risk == R.BREACH_RISK_UNSPECIFIED:
        return TO_BE_ASSESSED, f"whether {harm} is likely is not assessed yet"
    if risk == R.BREACH_RISK_UNLIKELY:
        return NOT_DUE, f"{harm} is unlikely"
    return DUE, f"{harm} is likely"


def _by_high_risk(risk: int) -> tuple[str, str]:
    if risk == R.BREACH_RISK_HIGH:
        return DUE, "a high risk is likely"
    if risk == R.BREACH_RISK_UNSPECIFIED:
        return TO_BE_ASSESSED, "whether the risk is high is not assessed yet"
    return NOT_DUE, "no high risk"


def draft(breach: Breach, duty: NoticeDuty, law: str) -> str:
    """A draft of a notice: what GDPR art. 33(3) and 34(2) ask for, which covers what the others do."""
    people = sum(breach.affected.values())
    places = ", ".join(f"{place}: {number}" for place, number in sorted(breach.affected.items()))
    lines = [
        f"DRAFT - to be completed and approved by a person. Reference {breach.breach_id}.",
        "",
    ]
    if duty.recipient == REGULATOR:
        lines += [
            f"To: {duty.authority}",
            f"Notification of a personal data breach under {law} ({duty.cite})",
            "",
            f"1. Nature: {breach.description}",
            f"   Happened: {_told(breach, 'occurred_time')}. Aware since: {_told(breach, 'aware_time')}.",
            f"   People concerned: about {people} ({places}). Records: [number].",
            f"   Kinds of data: {', '.join(breach.data_kinds) or '[kinds of data]'}."
            + (" The data were encrypted." if breach.encrypted else ""),
            "2. Contact: [name and contact of the data protection officer].",
            "3. Likely consequences: [consequences].",
            "4. Measures taken and proposed: [measures].",
        ]
        if duty.overdue:
            lines.append("5. Reasons for the delay: [reasons; they must go with a notice after the period].")
    else:
        lines += [
            "To: [the people concerned]",
            f"About your personal data ({law}, {duty.cite})",
            "",
            f"What happened: {breach.description}",
            f"When: {_told(breach, 'occurred_time')}; we have known since {_told(breach, 'aware_time')}.",
            f"Which of your data: {', '.join(breach.data_kinds) or '[kinds of data]'}.",
            "What it may mean for you: [likely consequences, in plain words].",
            "What we have done: [measures].",
            "What you can do: [advice: change passwords, watch your statements].",
            "Whom to ask: [name and contact of the data protection officer].",
        ]
    lines += [
        "",
        f"Due: {_told(duty, 'due_time') if duty.HasField('due_time') else duty.wording or 'without delay'}.",
    ]
    return "\n".join(lines) + "\n"


def _told(message: Breach | NoticeDuty, field: str) -> str:
    if not message.HasField(field):  # type: ignore[arg-type]
        return "[time]"
    when = datetime.fromtimestamp(getattr(message, field).ToMilliseconds() / 1000, UTC)
    return when.strftime("%Y-%m-%d %H:%M UTC")
