"""What several sources say of one viewer's consent, as one answer: the most protective wins, and conflicts are told. Pure.

Sources, in the order in which they are named: the event's own facts, its TC string, its GPP string by section, its US
Privacy string, its signals, and the consent ledger as of the event's time.

* **Status**: withdrawn before expired, absent, granted, not_required.
* **Scope**: what any source grants and none denies. A list in the event is whole: what it leaves out it denies. A TC
  string speaks of the purposes in TCF_PURPOSES and denies those to which it holds no consent; the ledger denies what
  was refused, withdrawn or has expired, and is silent on the rest.
* **Opt-out, Global Privacy Control**: true wins; **opt-out offered** and what a TC string says of a vendor: false wins.
* A string that cannot be read, or is of a retired version, proves nothing: what would be granted, or not opted out of,
  on other grounds alone becomes unknown, so that rules that need it answer a gap.

Of a GPP string the sections in `signals.gpp_sids` count, all where that is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from services.common.consent_strings import (
    MAX_LENGTH,
    ConsentStringError,
    GppString,
    TcString,
    UsPrivacy,
)
from services.common.consent_strings.gpp import (
    TCF_EU,
    US_PRIVACY,
    CanadaTcf,
    Section,
    UnreadSection,
    decode_gpp,
)
from services.common.consent_strings.tcf import decode_tcf
from services.common.consent_strings.us_privacy import decode_us_privacy
from usher.event.v1 import event_pb2

TCF_PURPOSES: dict[str, tuple[int, ...]] = {
    "terminal_access": (1,),
    "contextual_advertising": (2,),
    "targeted_advertising": (3, 4),
    "personalisation": (5, 6),
    "analytics": (8, 9),
}
"""Words of the facts -> TCF purposes that must all have consent (Global Vendor List 3: 1 store or access, 2 limited
data, 3 and 4 profiles for advertising, 5 and 6 profiles for content, 8 content performance, 9 audiences)."""

TCF_VERSIONS = {2: "2.0", 3: "2.1", 4: "2.2", 5: "2.3"}
"""Policy version of a TC string -> version of the framework."""

_PROTECTIVE = ("withdrawn", "expired", "absent", "granted", "not_required")
_OPT_OUTS = ("SaleOptOut", "SharingOptOut", "TargetedAdvertisingOptOut")
_NOTICES = ("SaleOptOutNotice", "SharingOptOutNotice", "TargetedAdvertisingOptOutNotice")
_NOT_ALLOWED, _LEGITIMATE_INTEREST = 0, 2


class LedgerFact(NamedTuple):
    """What the ledger says for one event; equal facts are equal, whoever the viewer is."""

    status: str
    """"granted", "expired", "withdrawn" or "absent", of the event's purpose; empty: it does not speak of it."""
    granted: tuple[str, ...]
    """Purposes and further scope agreed to, without `denied`."""
    denied: tuple[str, ...]
    """Purposes refused, withdrawn or expired."""
    obtained: int | None
    """Seconds since 1970 UTC, as are the next two."""
    withdrawn: int | None
    expires: int | None
    given_by: str
    separate: bool | None
    verifiable: bool | None
    vppa_separate_form: bool | None
    opted_out: int | None = None
    """Since when an opt-out of sale, sharing and targeted advertising is in force, in seconds; None: it is not."""
    objected: int | None = None
    """Since when an objection is."""
    restricted: int | None = None
    """Since when the restriction of processing is."""


class Problem(NamedTuple):
    """A consent string that could not be relied on."""

    field: str
    """Path in the event."""
    reason: str
    message: str


class Conflict(NamedTuple):
    """Sources that disagreed about a fact."""

    fact: str
    """Path in the event."""
    value: str
    decided_by: str
    overruled: tuple[str, ...]
    """"source=value"."""


class Own(NamedTuple):
    """The event's own facts, as of its time."""

    status: str | None
    scope: tuple[str, ...] | None
    opt_out: bool | None
    gpc: bool | None
    opt_out_offered: bool | None


class Resolution(NamedTuple):
    """One answer; None is unknown."""

    status: str | None
    scope: tuple[str, ...] | None
    opt_out: bool | None
    gpc: bool | None
    opt_out_offered: bool | None
    tcf: dict[str, Any]
    """Facts under `consent.tcf.`; empty where there is no TC string."""
    obtained: int | None
    """When the TC strings were last updated, in seconds since 1970 UTC: the earliest."""
    moments: tuple[int, ...]
    """Times at which this answer may change, in seconds."""
    conflicts: tuple[Conflict, ...]
    problems: tuple[Problem, ...]


class _Claim(NamedTuple):
    """What one source says of consent."""

    source: str
    status: str = ""
    granted: frozenset[str] = frozenset()
    denied: frozenset[str] = frozenset()


class _Strings:
    """What the strings of one event hold."""

    def __init__(self) -> None:
        self.tcs: list[tuple[str, TcString]] = []
        self.claims: list[_Claim] = []
        self.opt_outs: list[tuple[str, bool]] = []
        self.gpcs: list[tuple[str, bool]] = []
        self.offers: list[tuple[str, bool]] = []
        self.problems: list[Problem] = []
        self.consent_unreliable = False
        self.opt_out_unreliable = False
        self.gpc_unreliable = False


# Viewers send the same strings again and again. One of a thousand vendors takes some 40 KB decoded.
_decoded_tcf = lru_cache(maxsize=1_024)(decode_tcf)
_decoded_gpp = lru_cache(maxsize=1_024)(decode_gpp)


def has_strings(consent: event_pb2.Consent) -> bool:
    """Whether an event's consent holds a string."""
    return bool(consent.tcf_string or consent.gpp_string or consent.us_privacy_string)


def resolve(
    privacy: event_pb2.PrivacyFacts, own: Own, purpose: str | None, time: int, ledger: LedgerFact | None
) -> Resolution:
    """One answer from the event's own facts, its strings and the ledger.

    Args:
        privacy: for its strings, signals and TCF record.
        own: what the event says by itself.
        purpose: the declared purpose, None where there is none.
        time: the event's time in seconds since 1970 UTC.
        ledger: what the ledger says; None: nothing.
    """
    strings = _read_strings(privacy, time)
    vendor = privacy.consent.tcf.vendor_id if privacy.consent.tcf.HasField("vendor_id") else None
    claims = [_own_claim(own)]
    claims += [_tcf_claim(source, tc, purpose, vendor) for source, tc in strings.tcs if _given(tc, time)]
    claims += [
        claim._replace(status=_status_of(claim.granted, claim.denied, purpose)) for claim in strings.claims
    ]
    if ledger is not None:
        claims.append(_Claim("ledger", ledger.status, frozenset(ledger.granted), frozenset(ledger.denied)))
    conflicts: list[Conflict] = []
    status = _most_protective("privacy.consent.status", claims, conflicts)
    scope = _scope(own, claims, conflicts)
    if strings.consent_unreliable and status == "granted":
        status = scope = None
    elif status != "granted":
        scope = ()
    said = strings.opt_outs
    if ledger is not None and ledger.opted_out is not None:
        said = [*said, ("ledger", True)]
    opt_out = _either("privacy.explicit_opt_out", own.opt_out, said, True, conflicts)
    gpc = _either("privacy.signals.gpc", own.gpc, strings.gpcs, True, conflicts)
    if strings.opt_out_unreliable:
        opt_out = opt_out or None
    if strings.gpc_unreliable:
        gpc = gpc or None
    updated = [tc.last_updated // 10 for _, tc in strings.tcs]
    return Resolution(
        status,
        scope,
        opt_out,
        gpc,
        _either("privacy.opt_out_offered", own.opt_out_offered, strings.offers, False, conflicts),
        _tcf_facts(privacy.consent.tcf, strings.tcs, vendor, conflicts),
        min(updated, default=None),
        tuple(updated),
        tuple(conflicts),
        tuple(strings.problems),
    )


# -- strings -------------------------------------------------------------------------------------------------------


def _read_strings(privacy: event_pb2.PrivacyFacts, time: int) -> _Strings:
    found = _Strings()
    consent = privacy.consent
    if consent.tcf_string:
        source = "tcf_string"
        try:
            _check_length(consent.tcf_string)
            _take_tcf(found, source, _decoded_tcf(consent.tcf_string), time)
        except ConsentStringError as error:
            found.problems.append(Problem(f"privacy.consent.{source}", error.reason, str(error)))
            found.consent_unreliable = True
    if consent.gpp_string:
        _read_gpp(found, consent.gpp_string, frozenset(privacy.signals.gpp_sids), time)
    if consent.us_privacy_string:
        source = "us_privacy_string"
        try:
            _take_us_privacy(found, source, decode_us_privacy(consent.us_privacy_string))
        except ConsentStringError as error:
            found.problems.append(Problem(f"privacy.consent.{source}", error.reason, str(error)))
            found.opt_out_unreliable = True
    return found


def _check_length(text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise ConsentStringError("STRING_TOO_LONG", "string", f"takes more than {MAX_LENGTH:,} characters")


def _read_gpp(found: _Strings, text: str, in_scope: frozenset[int], time: int) -> None:
    try:
        _check_length(text)
        decoded: GppString = _decoded_gpp(text)
    except ConsentStringError as error:
        found.problems.append(Problem("privacy.consent.gpp_string", error.reason, str(error)))
        found.consent_unreliable = found.opt_out_unreliable = found.gpc_unreliable = True
        return
    for number, section in decoded.sections.items():
        if not in_scope or number in in_scope:
            _take_section(found, number, section, time)


def _take_section(found: _Strings, number: int, section: Section, time: int) -> None:
    source = f"gpp_string:{number}"
    if isinstance(section, TcString):
        _take_tcf(found, source, section, time)
    elif isinstance(section, CanadaTcf):
        # Implied consent is no agreement of the viewer's: only what was expressed counts.
        granted = frozenset(_agreed(section.purposes_express_consent))
        found.claims.append(_Claim(source, "", granted, frozenset(TCF_PURPOSES) - granted))
    elif isinstance(section, UsPrivacy):
        _take_us_privacy(found, source, section)
    elif isinstance(section, UnreadSection):
        found.problems.append(
            Problem("privacy.consent.gpp_string", section.reason, f"section {number}: {section.message}")
        )
        if number in (TCF_EU, 5):
            found.consent_unreliable = True
        elif number == US_PRIVACY:
            found.opt_out_unreliable = True
        else:
            found.opt_out_unreliable = found.gpc_unreliable = True
    else:
        _take_us(found, source, section)


def _take_tcf(found: _Strings, source: str, tc: TcString, time: int) -> None:
    field = f"privacy.consent.{source.partition(':')[0]}"
    if tc.version != 2:
        message = "TCF version 1 was retired on 15 August 2020 and is taken for no consent"
        found.problems.append(Problem(field, "TCF_RETIRED", message))
        found.consent_unreliable = True
    elif tc.cmp_id < 2:
        found.problems.append(Problem(field, "CMP_ID_INVALID", f"cmpId {tc.cmp_id} is assigned to nobody"))
        found.consent_unreliable = True
    else:
        found.tcs.append((source, tc))
        if not _given(tc, time):
            found.problems.append(Problem(field, "UPDATED_AFTER_EVENT", "it was made after the event"))


def _given(tc: TcString, time: int) -> bool:
    return tc.last_updated // 10 <= time


def _take_us_privacy(found: _Strings, source: str, consent: UsPrivacy) -> None:
    if consent.opt_out_sale != "-":
        found.opt_outs.append((source, consent.opt_out_sale == "Y"))
    if consent.notice != "-":
        found.offers.append((source, consent.notice == "Y"))


def _take_us(found: _Strings, source: str, fields: dict[str, Any]) -> None:
    choices = [fields[name] for name in _OPT_OUTS if name in fields]
    if any(choices):
        found.opt_outs.append((source, 1 in choices))
    notices = [fields[name] for name in _NOTICES if name in fields]
    if any(notices):
        found.offers.append((source, 2 not in notices))
    if fields.get("GpcSegmentIncluded"):
        found.gpcs.append((source, fields["Gpc"]))


def _agreed(purposes: Iterable[int]) -> list[str]:
    held = frozenset(purposes)
    return [word for word, needed in TCF_PURPOSES.items() if held.issuperset(needed)]


def _tcf_claim(source: str, tc: TcString, purpose: str | None, vendor: int | None) -> _Claim:
    consents = set(tc.purpose_consents)
    if vendor is not None:
        if vendor not in tc.vendor_consents:
            consents.clear()
        consents -= {
            one.purpose_id
            for one in tc.restrictions
            if one.restriction_type in (_NOT_ALLOWED, _LEGITIMATE_INTEREST) and vendor in one.vendors
        }
    granted = frozenset(_agreed(consents))
    denied = frozenset(TCF_PURPOSES) - granted
    return _Claim(source, _status_of(granted, denied, purpose), granted, denied)


def _status_of(granted: frozenset[str], denied: frozenset[str], purpose: str | None) -> str:
    """Of the declared purpose, or, without one, where it is all or nothing; empty: silent."""
    if purpose is not None:
        return "granted" if purpose in granted else "absent" if purpose in denied else ""
    return "" if granted and denied else "granted" if granted else "absent"


def _tcf_facts(
    own: event_pb2.TcfRecord,
    tcs: Sequence[tuple[str, TcString]],
    vendor: int | None,
    conflicts: list[Conflict],
) -> dict[str, Any]:
    if not tcs:
        return {}
    records: list[tuple[str, dict[str, Any]]] = [
        (
            source,
            {
                "version": TCF_VERSIONS.get(tc.policy_version),
                "disclosed_vendors_segment": tc.vendors_disclosed is not None,
                "purpose_consents": frozenset(tc.purpose_consents),
                "purpose_legitimate_interests": frozenset(tc.purpose_legitimate_interests),
                "vendor_consent": None if vendor is None else vendor in tc.vendor_consents,
                "vendor_disclosed": None
                if vendor is None or tc.vendors_disclosed is None
                else vendor in tc.vendors_disclosed,
            },
        )
        for source, tc in tcs
    ]
    facts: dict[str, Any] = {"version": records[0][1]["version"]}
    for name in ("disclosed_vendors_segment", "vendor_consent", "vendor_disclosed"):
        told = getattr(own, name) if own.HasField(name) else None  # type: ignore[arg-type]
        said = [(source, record[name]) for source, record in records if record[name] is not None]
        facts[name] = _either(f"privacy.consent.tcf.{name}", told, said, False, conflicts)
    for name in ("purpose_consents", "purpose_legitimate_interests"):
        told = frozenset(getattr(own, name))
        lists = [record[name] for _, record in records] + ([told] if told else [])
        common = frozenset.intersection(*lists)
        facts[name] = tuple(sorted(common))
        if len(set(lists)) > 1:
            text = ",".join(map(str, sorted(common)))
            others = tuple(
                f"{source}={','.join(map(str, sorted(found)))}"
                for source, found in [
                    *((s, r[name]) for s, r in records),
                    *([("event", told)] if told else []),
                ]
                if found != common
            )
            conflicts.append(Conflict(f"privacy.consent.tcf.{name}", text, "all", others))
    return facts


# -- merging -------------------------------------------------------------------------------------------------------


def _own_claim(own: Own) -> _Claim:
    return _Claim(
        "event", own.status or "", frozenset(own.scope or ()) if own.status == "granted" else frozenset()
    )


def _most_protective(fact: str, claims: Sequence[_Claim], conflicts: list[Conflict]) -> str | None:
    said = [(claim.source, claim.status) for claim in claims if claim.status in _PROTECTIVE]
    if not said:
        return None
    source, value = min(said, key=lambda one: _PROTECTIVE.index(one[1]))
    # An agreement that the sender does not need contradicts nobody.
    alike = {"granted", "not_required"} if value in ("granted", "not_required") else {value}
    others = tuple(f"{who}={what}" for who, what in said if what not in alike)
    if others:
        conflicts.append(Conflict(fact, value, source, others))
    return value


def _scope(own: Own, claims: Sequence[_Claim], conflicts: list[Conflict]) -> tuple[str, ...] | None:
    listed = own.scope is not None and own.status == "granted"
    granted = {word for claim in claims for word in claim.granted}
    scope = []
    for word in sorted(granted):
        denying = [claim.source for claim in claims if word in claim.denied]
        if listed and word not in (own.scope or ()):
            denying.insert(0, "event")
        if not denying:
            scope.append(word)
            continue
        grants = tuple(f"{claim.source}={word}" for claim in claims if word in claim.granted)
        conflicts.append(Conflict("privacy.consent.scope", f"without {word}", denying[0], grants))
    speaking = listed or any(claim.granted or claim.denied for claim in claims)
    return tuple(scope) if speaking else None


def _either(
    fact: str, own: bool | None, said: Sequence[tuple[str, bool]], protective: bool, conflicts: list[Conflict]
) -> bool | None:
    everyone = [*([("event", own)] if own is not None else []), *said]
    if not everyone:
        return None
    source, value = next((one for one in everyone if one[1] is protective), everyone[0])
    others = tuple(f"{who}={str(what).lower()}" for who, what in everyone if what is not value)
    if others:
        conflicts.append(Conflict(fact, str(value).lower(), source, others))
    return value
