"""Decisions as JSON, and their codes as sentences, for whoever reads them.

What is stored is codes and numbers (`usher.decision.v1.Decision`); this is where they become words. The JSON
holds the original pipeline's response as a subset, under its names (`risk_level`, `compliance.is_compliant`,
`anomaly.ensemble_score`, ...), and everything else that a decision carries beside it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from services.common.event_json import event_to_json, time_to_json
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2


def _names(enum: Any, prefix: str, *, lower: bool) -> dict[int, str]:
    names = {number: name.removeprefix(prefix) for name, number in enum.items()}
    return {number: name.lower() if lower else name for number, name in names.items()}


_OUTCOMES: Final = _names(decision_pb2.Outcome, "OUTCOME_", lower=False)
_MODES: Final = _names(decision_pb2.Mode, "MODE_", lower=True)
_LEVELS: Final = _names(decision_pb2.RiskLevel, "RISK_LEVEL_", lower=True)
_SEGMENTS: Final = _names(decision_pb2.Segment, "SEGMENT_", lower=True)
_SERVICES: Final = _names(decision_pb2.Service, "SERVICE_", lower=True)
_REASONS: Final = _names(decision_pb2.ReasonCode, "REASON_CODE_", lower=False)
_ACTIONS: Final = _names(decision_pb2.ActionKind, "ACTION_KIND_", lower=True)
_ENFORCERS: Final = _names(decision_pb2.EnforcedBy, "ENFORCED_BY_", lower=True)
_STATUSES: Final = _names(decision_pb2.ComplianceStatus, "COMPLIANCE_STATUS_", lower=True)
_PROCESSING: Final = _names(decision_pb2.ProcessingState, "PROCESSING_STATE_", lower=False)
_SIGNALS: Final = {
    number: name.removesuffix("_unspecified")
    for number, name in _names(decision_pb2.SignalIndex, "SIGNAL_INDEX_", lower=True).items()
}
_STAGES: Final = {
    number: name.removesuffix("_unspecified")
    for number, name in _names(decision_pb2.StageIndex, "STAGE_INDEX_", lower=True).items()
}
_EVENT_CLASSES: Final = _names(event_pb2.EventClass, "EVENT_CLASS_", lower=True)
_PLACE_FLAGS: Final = {
    number: name for number, name in _names(event_pb2.PlaceFlag, "PLACE_FLAG_", lower=True).items() if number
}
_ITEM_FLAGS: Final = {
    number: name for number, name in _names(event_pb2.ItemFlag, "ITEM_FLAG_", lower=True).items() if number
}

SHORT_NAMES: Final[dict[str, str]] = {
    "EU_GDPR": "GDPR",
    "EU_EPRIVACY": "ePrivacy",
    "EU_AVMSD": "AVMSD",
    "EU_DSA": "DSA",
    "UK_GDPR": "UK GDPR",
    "UK_PECR": "PECR",
    "US_VPPA": "VPPA",
    "US_COPPA": "COPPA",
    "US_CA_CCPA": "CCPA",
    "BR_LGPD": "LGPD",
    "BR_ECA_DIGITAL": "ECA Digital",
    "CN_PIPL": "PIPL",
    "TH_PDPA": "PDPA",
    "SG_PDPA": "PDPA (SG)",
    "CA_PIPEDA": "PIPEDA",
    "CA_QC_LAW25": "Law 25",
    "JP_APPI": "APPI",
    "IN_DPDP": "DPDP",
    "KR_PIPA": "PIPA",
    "TR_KVKK": "KVKK",
    "ZA_POPIA": "POPIA",
    "AU_PRIVACY_ACT": "Privacy Act",
    "US_DOJ_DSP": "DOJ DSP",
}
"""Names that people use, by id of the pack; the original's names where it has the regulation."""

_STATE_ACT = re.compile(r"US_[A-Z]{2}_[A-Z0-9]+")

_COMPONENTS: Final = (
    ("place", decision_pb2.NUMBER_INDEX_PLACE_UNSPECIFIED),
    ("anomaly", decision_pb2.NUMBER_INDEX_ANOMALY),
    ("segment", decision_pb2.NUMBER_INDEX_SEGMENT),
    ("network", decision_pb2.NUMBER_INDEX_NETWORK),
    ("compliance", decision_pb2.NUMBER_INDEX_COMPLIANCE),
)
_ADJUSTMENTS: Final = (
    ("night", decision_pb2.NUMBER_INDEX_ADJUST_NIGHT),
    ("young_account", decision_pb2.NUMBER_INDEX_ADJUST_YOUNG),
    ("trusted_history", decision_pb2.NUMBER_INDEX_ADJUST_TRUSTED),
    ("learnt", decision_pb2.NUMBER_INDEX_ADJUST_LEARNT),
    ("residence", decision_pb2.NUMBER_INDEX_ADJUST_RESIDENCE),
)
# Reasons that say how the decision was made rather than what speaks against the event.
_ABOUT_THE_DECISION: Final = frozenset(
    {
        decision_pb2.REASON_CODE_COLD,
        decision_pb2.REASON_CODE_DEGRADED,
        decision_pb2.REASON_CODE_LATE,
        decision_pb2.REASON_CODE_UNKNOWN_EVENT_TYPE,
        decision_pb2.REASON_CODE_LISTED_ALLOW,
        decision_pb2.REASON_CODE_ATTACK_IN_TEXT,
    }
)
_BEHAVIOUR: Final = range(decision_pb2.REASON_CODE_ANOMALY, decision_pb2.REASON_CODE_SUSPICIOUS_SEGMENT)


def outcome_name(outcome: int) -> str:
    """Returns "ALLOW", "ALLOW_WITH_CAUTION", "REVIEW" or "BLOCK"; an outcome of a newer version is REVIEW."""
    return _OUTCOMES.get(outcome, "REVIEW")


def reason_name(code: int) -> str:
    """Returns a reason's name ("TOR_EXIT"); the number of one of a newer version."""
    return _code(code)


def short_name(regulation: str) -> str:
    """Returns the name that people use for a regulation's id: "EU_GDPR" is "GDPR", "US_VA_VCDPA" is "VCDPA".

    The id where there is none.
    """
    name = SHORT_NAMES.get(regulation)
    if name is not None:
        return name
    return regulation[6:] if _STATE_ACT.fullmatch(regulation) else regulation


def decision_to_json(decision: decision_pb2.Decision, event: event_pb2.Event | None = None) -> dict[str, Any]:
    """Returns a decision as JSON values.

    What is unknown is null, never a guess: scores of an event that was not scored, `is_compliant` where the
    law lacks facts. `event` adds the event as decided under `event`.
    """
    numbers = list(decision.numbers)
    verdict = decision.verdict if decision.HasField("verdict") else None
    reasons = list(decision.reasons)
    obj: dict[str, Any] = {
        "event_id": decision.event_id,
        "user_id": decision.user_id,
        "outcome": outcome_name(decision.outcome),
        "would_be": outcome_name(decision.would_be),
        "mode": _MODES.get(decision.mode, "unspecified"),
        "risk_level": _LEVELS.get(decision.risk_level, "unspecified"),
        "risk_score": _figure(decision.risk_score),
        "reasons": [_reason(item) for item in reasons],
        "compliance": _compliance(verdict),
        "processing": [] if verdict is None else [_processing(item) for item in verdict.processing],
        "findings": [] if verdict is None else [_finding(item) for item in verdict.findings],
        "gaps": [] if verdict is None else [_gap(item) for item in verdict.gaps],
        "conflicts": [] if verdict is None else [_conflict(item) for item in verdict.conflicts],
        "remedies": [] if verdict is None else [_remedy(item) for item in verdict.remedies],
        "assumptions": [] if verdict is None else list(verdict.assumptions),
        "consent": _consent(verdict),
        "anomaly": {
            "is_anomaly": _is_anomaly(decision),
            "ensemble_score": _number(numbers, decision_pb2.NUMBER_INDEX_ENSEMBLE_SCORE),
            "models": {
                "isolation_forest": _number(numbers, decision_pb2.NUMBER_INDEX_ISOLATION_FOREST),
                "local_outlier_factor": _number(numbers, decision_pb2.NUMBER_INDEX_LOCAL_OUTLIER_FACTOR),
                "nearest_neighbours": _number(numbers, decision_pb2.NUMBER_INDEX_NEAREST_NEIGHBOURS),
            },
            "flags": [_code(item.code).lower() for item in reasons if item.code in _BEHAVIOUR],
        },
        "violation": {
            "violation_likelihood": _number(numbers, decision_pb2.NUMBER_INDEX_VIOLATION_LIKELIHOOD),
            "confidence": _number(numbers, decision_pb2.NUMBER_INDEX_VIOLATION_CONFIDENCE),
            "risk_factors": _risk_factors(decision.risk_factors, reasons, verdict),
        },
        "factors": [_factor(item) for item in decision.factors],
        "explanation_failed": decision.explanation_failed,
        "risk": {
            "total": _figure(decision.risk_score),
            "compared": _number(numbers, decision_pb2.NUMBER_INDEX_COMPARED),
            "components": {name: _number(numbers, index) for name, index in _COMPONENTS},
        },
        "threshold": {
            "base": _number(numbers, decision_pb2.NUMBER_INDEX_BASE_THRESHOLD),
            "value": _number(numbers, decision_pb2.NUMBER_INDEX_THRESHOLD),
            "adjustments": [
                {"name": name, "points": points}
                for name, index in _ADJUSTMENTS
                if (points := _number(numbers, index))
            ],
        },
        "segment": _SEGMENTS.get(decision.segment, "unspecified"),
        "profile_events": _number(numbers, decision_pb2.NUMBER_INDEX_PROFILE_EVENTS),
        "network": _network(decision),
        "actions": [_action(item) for item in decision.actions],
        "counterfactual": [_code(code) for code in decision.counterfactual],
        "degraded": [_SERVICES.get(service, str(service)) for service in decision.degraded],
        "event_class": _EVENT_CLASSES.get(decision.event_class, "unspecified"),
        "flags": [name for bit, name in _ITEM_FLAGS.items() if decision.item_flags >> bit & 1],
        "folded": decision.folded,
        "sighted": decision.sighted,
        "policy_set": decision.policy_set,
        "place": {
            "country": decision.country or None,
            "asn": decision.asn or None,
            "flags": [name for bit, name in _PLACE_FLAGS.items() if decision.place_flags >> bit & 1],
        },
        "place_data": decision.place_data,
        "tenant": decision.tenant,
        "position": decision.position,
        "trace_id": decision.trace_id.hex(),
        "stage_us": {_STAGES.get(index, str(index)): spent for index, spent in enumerate(decision.stage_us)},
        "processed_at": time_to_json(decision.decided_time) if decision.HasField("decided_time") else None,
    }
    if event is not None:
        obj["event"] = event_to_json(event)
    return obj


def sentence(reason: decision_pb2.Reason) -> str:
    """Returns a reason's sentence in English, with the values that it carries.

    Values and words follow the order that the code's comment in decision.proto gives; a missing one reads
    "unknown". A code of a newer version is named as it is.
    """
    template = SENTENCES.get(reason.code)
    if template is None:
        return f"{_code(reason.code)} (a reason that this version does not know)."
    return template(_Values(reason.values), _Words(reason.words))


def finding_sentence(reason: str) -> str:
    """Returns the sentence of a finding's reason code; the code in words where this version has none."""
    text = FINDING_SENTENCES.get(reason)
    return text if text is not None else reason.replace("_", " ").capitalize() + "."


class _Values:
    """Numbers of a reason; missing ones read "unknown"."""

    def __init__(self, values: Sequence[float]) -> None:
        self._values = values

    def whole(self, index: int) -> str:
        value = self._at(index)
        return "unknown" if value is None else f"{value:,.0f}"

    def count(self, index: int, one: str, many: str) -> str:
        value = self._at(index)
        return f"unknown {many}" if value is None else f"{value:,.0f} {one if round(value) == 1 else many}"

    def share(self, index: int) -> str:
        value = self._at(index)
        return "unknown" if value is None else f"{value:.2f}"

    def per_cent(self, index: int) -> str:
        value = self._at(index)
        return "unknown" if value is None else f"{value * 100:.0f} %"

    def hour(self, index: int) -> str:
        value = self._at(index)
        return "unknown" if value is None else f"{int(value):02d}:00"

    def size(self, index: int) -> str:
        value = self._at(index)
        if value is None:
            return "unknown"
        for unit in ("bytes", "kB", "MB", "GB"):
            if value < 1000:
                return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
            value /= 1000
        return f"{value:.1f} TB"

    def told(self, index: int) -> bool:
        """Whether the value is there and not 0."""
        return bool(self._at(index))

    def _at(self, index: int) -> float | None:
        if index < len(self._values) and math.isfinite(self._values[index]):
            return self._values[index]
        return None


class _Words:
    """Words of a reason; missing ones read "unknown"."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words

    def __getitem__(self, index: int) -> str:
        return self._words[index] if index < len(self._words) and self._words[index] else "unknown"


SENTENCES: Final[dict[int, Callable[[_Values, _Words], str]]] = {
    decision_pb2.REASON_CODE_UNSPECIFIED: lambda v, w: "No reason was given.",
    decision_pb2.REASON_CODE_ACT_FORBIDDEN: lambda v, w: (
        f"Under {short_name(w[0])}, {w[1]}, this act is forbidden."
    ),
    decision_pb2.REASON_CODE_TOR_EXIT: lambda v, w: "The address is an exit of the Tor network.",
    decision_pb2.REASON_CODE_VPN: lambda v, w: "The address belongs to a VPN.",
    decision_pb2.REASON_CODE_HOSTING: lambda v, w: "The address belongs to a hosting provider.",
    decision_pb2.REASON_CODE_REGION_MISMATCH: lambda v, w: (
        f"The address lies in {w[0]}; the platform says {w[1]}."
    ),
    decision_pb2.REASON_CODE_IMPOSSIBLE_TRAVEL: lambda v, w: (
        f"Seen {v.whole(0)} km apart within {v.count(1, 'minute', 'minutes')}: that takes {v.whole(2)} km/h"
        + (
            f" (here {w[0] or 'an unknown country'} within {v.whole(5)} km, there {w[1] or 'an unknown country'} "
            f"within {v.whole(8)} km)."
            if v.told(9)
            else "."
        )
    ),
    decision_pb2.REASON_CODE_NEW_COUNTRY: lambda v, w: f"This viewer was never seen in {w[0]} before.",
    decision_pb2.REASON_CODE_ANOMALY: lambda v, w: (
        f"The models find this event unusual for this viewer (score {v.share(0)} of 1)."
    ),
    decision_pb2.REASON_CODE_NEW_DEVICE: lambda v, w: (
        f"This device was never seen for this viewer, who has {v.count(0, 'known device', 'known devices')}."
    ),
    decision_pb2.REASON_CODE_AUTHENTICATION_FAILURES: lambda v, w: (
        f"This viewer had {v.count(0, 'failed sign-in', 'failed sign-ins')} within an hour."
    ),
    decision_pb2.REASON_CODE_HIGH_FREQUENCY: lambda v, w: (
        f"This viewer had {v.count(0, 'event', 'events')} within the hour; {v.whole(1)} are usual."
    ),
    decision_pb2.REASON_CODE_ERROR_RATE: lambda v, w: f"{v.per_cent(0)} of this viewer's last events failed.",
    decision_pb2.REASON_CODE_NIGHT_ACTIVITY: lambda v, w: (
        f"It happened at about {v.hour(0)} local time, in this viewer's night."
    ),
    decision_pb2.REASON_CODE_DATA_VOLUME: lambda v, w: f"It moves {v.size(0)}; {v.size(1)} are usual.",
    decision_pb2.REASON_CODE_TAKEOVER_SEQUENCE: lambda v, w: (
        "Failed sign-ins, then success from a new device, then a change or an export: so a takeover looks."
    ),
    decision_pb2.REASON_CODE_BULK_EXPORT: lambda v, w: (
        f"This viewer made {v.count(0, 'export or bulk download', 'exports or bulk downloads')} within a day."
    ),
    decision_pb2.REASON_CODE_SUSPICIOUS_SEGMENT: lambda v, w: (
        "The account was flagged by repeated signals of abuse."
    ),
    decision_pb2.REASON_CODE_YOUNG_ACCOUNT: lambda v, w: f"The account is {v.count(0, 'day', 'days')} old.",
    decision_pb2.REASON_CODE_CHARGEBACKS: lambda v, w: (
        f"The account had {v.count(0, 'chargeback', 'chargebacks')} within 180 days."
    ),
    decision_pb2.REASON_CODE_SHARED_DEVICE: lambda v, w: (
        f"{v.count(0, 'account uses', 'accounts use')} this device."
    ),
    decision_pb2.REASON_CODE_SHARED_PAYMENT: lambda v, w: (
        f"{v.count(0, 'account uses', 'accounts use')} this payment instrument."
    ),
    decision_pb2.REASON_CODE_RING_MEMBER: lambda v, w: (
        f"The account belongs to {w[0]}, a ring of {v.count(0, 'account', 'accounts')} that share devices "
        f"or payment instruments (score {v.share(1)} of 1)."
    ),
    decision_pb2.REASON_CODE_BRUTE_FORCE: lambda v, w: (
        f"{v.count(0, 'sign-in', 'sign-ins')} of this account failed within {v.count(1, 'minute', 'minutes')}."
    ),
    decision_pb2.REASON_CODE_DISTRIBUTED_STUFFING: lambda v, w: (
        f"Sign-ins of {v.count(0, 'account', 'accounts')} failed from one network or with one program "
        f"({v.share(1)} of those that tried)."
    ),
    decision_pb2.REASON_CODE_PASSWORD_SPRAYING: lambda v, w: (
        f"Sign-ins of {v.count(0, 'account', 'accounts')} failed from this address within a day, a few each."
    ),
    decision_pb2.REASON_CODE_GUESSED_FROM_MANY_ADDRESSES: lambda v, w: (
        f"Sign-ins of this account failed from {v.count(0, 'address', 'addresses')} within a day."
    ),
    decision_pb2.REASON_CODE_ACCOUNT_SHARING: lambda v, w: (
        f"The account is used beyond one household: {v.count(0, 'stream', 'streams')} at once "
        f"at {v.count(1, 'place', 'places')}."
    ),
    decision_pb2.REASON_CODE_STREAM_LIMIT: lambda v, w: (
        f"{v.count(0, 'stream', 'streams')} at once; the plan allows {v.count(1, 'stream', 'streams')}."
    ),
    decision_pb2.REASON_CODE_ONLY_SHARED: lambda v, w: (
        f"Shared use explains all that speaks against the account: the points alone would have said {w[0]}."
    ),
    decision_pb2.REASON_CODE_CREDENTIAL_RESALE: lambda v, w: (
        f"The account looks sold to strangers: {v.count(0, 'stream', 'streams')} at once "
        f"at {v.count(1, 'place', 'places')}."
    ),
    decision_pb2.REASON_CODE_SCRAPING: lambda v, w: (
        f"{v.count(0, 'title was', 'titles were')} read within an hour, more than anybody watches."
    ),
    decision_pb2.REASON_CODE_TRIAL_ABUSE: lambda v, w: (
        f"{v.count(0, 'other account', 'other accounts')} took a trial on this device or payment instrument."
    ),
    decision_pb2.REASON_CODE_CHARGEBACK_CLUSTER: lambda v, w: (
        f"{v.count(0, 'other account', 'other accounts')} had chargebacks on this device or payment instrument."
    ),
    decision_pb2.REASON_CODE_CONFIRMED_NEIGHBOURS: lambda v, w: (
        f"{v.count(0, 'account', 'accounts')} of confirmed rings share a device or payment instrument with it."
    ),
    decision_pb2.REASON_CODE_CONFIRMED_RING: lambda v, w: (
        f"The account belongs to {w[0]}, a ring of {v.count(0, 'account', 'accounts')} that analysts confirmed."
    ),
    decision_pb2.REASON_CODE_CREDENTIAL_STUFFING: lambda v, w: (
        f"From this address {v.count(1, 'sign-in', 'sign-ins')} failed within an hour, "
        f"over {v.count(0, 'account', 'accounts')}."
    ),
    decision_pb2.REASON_CODE_DEVICE_FAILURES: lambda v, w: (
        f"On this device {v.count(0, 'sign-in', 'sign-ins')} failed within an hour."
    ),
    decision_pb2.REASON_CODE_CONCURRENT_STREAMS: lambda v, w: (
        f"{v.count(0, 'device plays', 'devices play')} at the same time; {v.whole(1)} may."
    ),
    decision_pb2.REASON_CODE_COLD: lambda v, w: (
        "Too little is known of this viewer for what is unusual to count for more than caution."
    ),
    decision_pb2.REASON_CODE_DEGRADED: lambda v, w: (
        f"The {w[0]} service did not answer; the outcome follows the class of the event."
    ),
    decision_pb2.REASON_CODE_LATE: lambda v, w: (
        "The event came late"
        + (f", {v.count(0, 'second', 'seconds')} after a newer one of this viewer," if v.told(0) else "")
        + " and changes nothing before it."
    ),
    decision_pb2.REASON_CODE_UNKNOWN_EVENT_TYPE: lambda v, w: (
        f'The event type "{w[0]}" is not known to this version.'
    ),
    decision_pb2.REASON_CODE_REQUEST_OVERDUE: lambda v, w: "A subject request is past its due time.",
    decision_pb2.REASON_CODE_REQUEST_DUE_SOON: lambda v, w: "A subject request is due within days.",
    decision_pb2.REASON_CODE_BREACH_NOTICE_OVERDUE: lambda v, w: "A notice of a breach is past its due time.",
    decision_pb2.REASON_CODE_BREACH_NOTICE_DUE_SOON: lambda v, w: "A notice of a breach is due within hours.",
    decision_pb2.REASON_CODE_ERASURE_STALLED: lambda v, w: "An erasure does not come to its end.",
    decision_pb2.REASON_CODE_RETENTION_FAILED: lambda v, w: f"The retention job failed ({w[0]}).",
    decision_pb2.REASON_CODE_CONTROL_GROUP: lambda v, w: (
        "It was let through although it would have been held up: a drawn control group tells how often decisions are wrong."
    ),
    decision_pb2.REASON_CODE_LISTED_BLOCK: lambda v, w: f"This {w[0]} is on a block-list (entry {w[1]}).",
    decision_pb2.REASON_CODE_LISTED_ALLOW: lambda v, w: (
        f"This {w[0]} is on an allow-list (entry {w[1]}), so what was scored does not count."
    ),
    decision_pb2.REASON_CODE_LISTED_LIMIT: lambda v, w: (
        f"The account did {v.count(0, 'act', 'acts')} within an hour where {v.whole(1)} are allowed on this {w[0]} "
        f"(entry {w[1]})."
    ),
    decision_pb2.REASON_CODE_ATTACK_IN_TEXT: lambda v, w: (
        f"The text of {w[0]} looks like an attack on a program that reads it ({w[1]}); it is stored as sent."
    ),
}
"""One sentence a code of usher.decision.v1.ReasonCode."""

FINDING_SENTENCES: Final[dict[str, str]] = {
    "BEST_INTEREST_OF_MINOR": "A minor's data are processed against the minor's best interest.",
    "BREACH_ASSESSMENT_LATE": "A suspected data breach was assessed too late, or not at all.",
    "BREACH_REGULATOR_LATE": "The regulator was notified of a data breach too late, or not at all.",
    "BREACH_SUBJECTS_LATE": "The people affected by a data breach were told too late.",
    "BULK_EXPORT_NOT_MINIMISED": "More data leave than their purpose needs.",
    "CHILD_CONSENT_WITHOUT_PARENT": "A child consented without a holder of parental responsibility.",
    "CONSENT_EXPIRED": "The consent relied upon has expired.",
    "COPPA_NO_SEPARATE_DISCLOSURE_CONSENT": "A child's data are disclosed without separate parental consent.",
    "DATA_KEPT_INDEFINITELY": "A child's data are kept without end.",
    "DATA_NOT_STRICTLY_NECESSARY": "Sensitive data are used beyond what is strictly necessary.",
    "GEOLOCATION_SALE_BAN": "The law bans the sale of precise locations.",
    "GPC_IGNORED": "The viewer's browser signals an opt-out (Global Privacy Control) that is not honoured.",
    "GUARDIAN_ACCOUNT_NOT_LINKED": "A minor's account is not linked to a guardian's.",
    "LOCALISATION_BREACH": "The data are kept outside the country in which the law wants them kept.",
    "MARKETING_AFTER_OPT_OUT": "The viewer opted out of marketing, and it goes on.",
    "MINOR_PROTECTION_DATA_USED_COMMERCIALLY": (
        "Data collected to protect minors are used for commercial purposes."
    ),
    "NOTICE_NOT_GIVEN": "The notice that the law asks for was not given.",
    "NO_LEGAL_BASIS_CONSENT_ABSENT": "The processing relies on consent, and there is none.",
    "OPT_OUT_NOT_ACTIONED": "The viewer opted out, and the time to act upon it has passed.",
    "PRIVACY_BY_DEFAULT": "The most private setting is not the default.",
    "PROCESSING_AFTER_WITHDRAWAL": "The viewer withdrew consent, and the processing goes on.",
    "PROCESSOR_WITHOUT_CONTRACT": "A processor acts without a contract.",
    "PROFILED_AD_ON_SPECIAL_CATEGORIES": "Advertising is profiled on special categories of data.",
    "PROFILED_AD_TO_MINOR": "A minor is shown advertising based on profiling.",
    "PROFILING_ON_BY_DEFAULT": "Profiling is on without the viewer having switched it on.",
    "PURPOSE_LIMITATION": "Data are used for a purpose for which they were not collected.",
    "REFUSAL_NOT_OFFERED": "There is no way to refuse personalisation.",
    "RETENTION_POLICY_MISSING": "The retention policy is not published.",
    "RIGHTS_REQUEST_OVERDUE": "A data subject's request was not answered in time.",
    "SENSITIVE_DATA_SALE_BAN": "The law bans the sale of sensitive data.",
    "STANDARD_CONTRACT_NOT_NOTIFIED": "A standard contract was not notified to the authority in time.",
    "TCF_PURPOSE_REQUIRES_CONSENT_NOT_LI": (
        "The purpose needs consent; the TCF string claims legitimate interests."
    ),
    "TEEN_TARGETED_AD_BAN": "The law bans targeted advertising to viewers of this age.",
    "TERMINAL_ACCESS_WITHOUT_CONSENT": "Data are stored on or read from the device without consent.",
    "THIRD_PARTY_PROVISION_WITHOUT_CONSENT": "Data go to a third party without the consent that this needs.",
    "TRANSFER_WITHOUT_SAFEGUARD": "Data leave the country without the safeguard that the law asks for.",
    "VPPA_CONSENT_OLDER_THAN_2_YEARS": "Consent to disclose viewing records is older than two years.",
    "VPPA_DISCLOSURE_WITHOUT_SEPARATE_CONSENT": (
        "Viewing records are disclosed without consent in a form of its own."
    ),
    "VPPA_RECORDS_NOT_DESTROYED": "Viewing records are kept longer than a year after they were needed.",
}
"""One sentence a reason code of the regulation packs."""


def _figure(value: float) -> float | None:
    # Six digits are what a 32-bit float holds for certain: 0.78 stays 0.78.
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _number(numbers: Sequence[float], index: int) -> float | None:
    return _figure(numbers[index]) if index < len(numbers) else None


def _code(code: int) -> str:
    return _REASONS.get(code, str(code))


def _is_anomaly(decision: decision_pb2.Decision) -> bool | None:
    if _number(decision.numbers, decision_pb2.NUMBER_INDEX_ENSEMBLE_SCORE) is None:
        return None
    return any(item.code == decision_pb2.REASON_CODE_ANOMALY for item in decision.reasons)


def _factor(item: decision_pb2.Factor) -> dict[str, Any]:
    return {
        "model": _FACTOR_MODELS.get(item.model, "unspecified"),
        "feature": item.feature,
        "value": _figure(item.value),
        "normal": _figure(item.normal),
        "normal_of": "viewer" if item.own_normal else "population",
        "contribution": _figure(item.contribution),
        "direction": "against" if item.contribution > 0 else "for",
    }


_FACTOR_MODELS: Final = {
    decision_pb2.FACTOR_MODEL_ANOMALY: "anomaly",
    decision_pb2.FACTOR_MODEL_VIOLATION: "violation",
}


def factor_sentence(factor: dict[str, Any]) -> str:
    """A factor of `decision_to_json` in words: value, what is usual and for whom, direction, strength."""
    whose = "this viewer" if factor["normal_of"] == "viewer" else "most viewers"
    speaks = "speaks against it" if factor["direction"] == "against" else "speaks for it"
    unit = "score" if factor["model"] == "anomaly" else "log odds"
    name = factor["feature"].replace("_", " ")
    return (
        f"{name} is {factor['value']:.4g}, for {whose} {factor['normal']:.4g} is usual: "
        f"{speaks} ({factor['contribution']:+.2g} {unit}, {factor['model']} model)"
    )


def _risk_factors(
    named: Sequence[int], reasons: Sequence[decision_pb2.Reason], verdict: decision_pb2.Verdict | None
) -> list[str]:
    names = decision_pb2.RiskFactor.keys()
    factors = [names[number].removeprefix("RISK_FACTOR_").lower() for number in named if number < len(names)]
    factors += [_code(item.code).lower() for item in reasons if item.code not in _ABOUT_THE_DECISION]
    if verdict is not None:
        factors += [item.reason.lower() for item in verdict.findings]
    return list(dict.fromkeys(factors))


def _compliance(verdict: decision_pb2.Verdict | None) -> dict[str, Any]:
    if verdict is None or not verdict.status:
        return {
            "is_compliant": None,
            "status": "not_evaluated",
            "applicable_regulations": [],
            "violations": [],
        }
    is_compliant = {
        decision_pb2.COMPLIANCE_STATUS_COMPLIANT: True,
        decision_pb2.COMPLIANCE_STATUS_VIOLATION: False,
    }.get(verdict.status)
    return {
        "is_compliant": is_compliant,
        "status": _STATUSES.get(verdict.status, "unspecified"),
        "applicable_regulations": [short_name(item) for item in verdict.applicable],
        "violations": [
            {
                "regulation": short_name(item.regulation),
                "reason": item.reason,
                "article": item.article,
                "message": finding_sentence(item.reason),
            }
            for item in verdict.findings
        ],
    }


def _reason(reason: decision_pb2.Reason) -> dict[str, Any]:
    return {"code": _code(reason.code), "points": _figure(reason.points), "sentence": sentence(reason)}


def _finding(finding: decision_pb2.Finding) -> dict[str, Any]:
    return {
        "regulation": finding.regulation,
        "article": finding.article,
        "reason": finding.reason,
        "rule": finding.rule,
        "pack_version": finding.pack_version,
        "remedy": finding.remedy,
        "verification": finding.verification,
        "reviewed_by": finding.reviewed_by or None,
        "severity": finding.severity,
        "forbids_act": finding.forbids_act,
        "consent_cannot_cure": finding.consent_cannot_cure,
        "sentence": finding_sentence(finding.reason),
    }


def _conflict(conflict: decision_pb2.Conflict) -> dict[str, Any]:
    return {
        "purpose": conflict.purpose,
        "recipient": conflict.recipient or None,
        "destination": conflict.destination or None,
        "decided_by": conflict.decided_by,
        "rule": conflict.rule,
        "state": _PROCESSING.get(conflict.state, "SUPPRESS"),
        "less_strict": list(conflict.less_strict),
    }


def _consent(verdict: decision_pb2.Verdict | None) -> dict[str, Any]:
    """Where sources of consent disagreed, which strings could not be relied on, what the ledger said."""
    if verdict is None:
        return {"conflicts": [], "problems": [], "ledger": None, "ledger_version": None}
    told = verdict.ledger_consent
    times = (
        *("obtained_time", "withdrawn_time", "expires_time"),
        *("opted_out_time", "objected_time", "restricted_time"),
    )
    return {
        "conflicts": [
            {
                "fact": item.fact,
                "value": item.value,
                "decided_by": item.decided_by,
                "overruled": list(item.overruled),
            }
            for item in verdict.consent_conflicts
        ],
        "problems": [
            {"field": item.field, "reason": item.reason, "message": item.message}
            for item in verdict.consent_problems
        ],
        "ledger": {
            "status": told.status or None,
            "granted": list(told.granted),
            "denied": list(told.denied),
            **{
                name: time_to_json(getattr(told, name)) if told.HasField(name) else None  # type: ignore[arg-type]
                for name in times
            },
        }
        if verdict.HasField("ledger_consent")
        else None,
        "ledger_version": verdict.ledger_version or None,
    }


def _remedy(remedy: decision_pb2.RemedyAction) -> dict[str, Any]:
    return {
        "remedy": remedy.remedy,
        "rules": list(remedy.rules),
        "severity": remedy.severity,
        "enforced_by": _ENFORCERS.get(remedy.enforced_by, "unspecified"),
    }


def _gap(gap: decision_pb2.Gap) -> dict[str, Any]:
    return {
        "regulation": gap.regulation,
        "article": gap.article,
        "rule": gap.rule,
        "missing": list(gap.missing),
    }


def _processing(processing: decision_pb2.Processing) -> dict[str, Any]:
    return {
        "purpose": processing.purpose,
        "recipient": processing.recipient or None,
        "destination": processing.destination or None,
        # What this version does not know must not read as permission.
        "state": _PROCESSING.get(processing.state, "SUPPRESS"),
        "rule": processing.rule or None,
    }


def _action(action: decision_pb2.Action) -> dict[str, Any]:
    return {
        "kind": _ACTIONS.get(action.kind, str(action.kind)),
        "enforced_by": _ENFORCERS.get(action.enforced_by, "unspecified"),
        "until": time_to_json(action.until_time) if action.HasField("until_time") else None,
        "viewer_message_key": action.viewer_message_key or None,
        "channels": list(action.channels),
        "priority": action.priority or None,
    }


def _network(decision: decision_pb2.Decision) -> dict[str, Any] | None:
    if not decision.HasField("assessment"):
        return None
    assessment = decision.assessment
    return {
        "signals": {name: _number(assessment.signals, index) for index, name in _SIGNALS.items()},
        "evidence": [_reason(item) for item in assessment.evidence],
        "ring_id": assessment.ring_id or None,
    }
