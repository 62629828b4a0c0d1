"""One decision told to three readers: the viewer whom it concerns, an analyst, and a regulator.

Each reader gets what helps that reader and nothing else. The viewer is told in plain words what happened, what
it means and what can be done, without scores, other accounts, names of detections, or what the platform would
have answered: those would teach an abuser, or frighten somebody innocent. The analyst gets every number. The
regulator gets the law: what applies, what was found with its article, what is missing, what was assumed, and
how sure the rules are of themselves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from services.common.event_json import time_to_json
from services.common.render import (
    SENTENCES,
    decision_to_json,
    factor_sentence,
    finding_sentence,
    sentence,
    short_name,
)
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

_R = decision_pb2
_ACCOUNT_PATTERN: Final = "Some details of this account fit patterns that we check."
_HIDDEN_NETWORK: Final = "The connection came through a network that hides where a device is."

VIEWER_SENTENCES: Final[dict[int, str]] = {
    _R.REASON_CODE_UNSPECIFIED: "A check asked for care.",
    _R.REASON_CODE_ACT_FORBIDDEN: "The law where you are does not let us do this.",
    _R.REASON_CODE_TOR_EXIT: _HIDDEN_NETWORK,
    _R.REASON_CODE_VPN: _HIDDEN_NETWORK,
    _R.REASON_CODE_HOSTING: _HIDDEN_NETWORK,
    _R.REASON_CODE_REGION_MISMATCH: "The connection came from another country than your account usually shows.",
    _R.REASON_CODE_IMPOSSIBLE_TRAVEL: "Your account was used in two places too far apart for the time between.",
    _R.REASON_CODE_NEW_COUNTRY: "Your account was used in a country where we had not seen it before.",
    _R.REASON_CODE_ANOMALY: "This was unusual for your account.",
    _R.REASON_CODE_NEW_DEVICE: "A device was used that we had not seen with your account before.",
    _R.REASON_CODE_AUTHENTICATION_FAILURES: "There were several failed sign-ins to your account shortly before.",
    _R.REASON_CODE_HIGH_FREQUENCY: "There was much more activity on your account than usual.",
    _R.REASON_CODE_ERROR_RATE: "Many of the recent attempts on your account ended in errors.",
    _R.REASON_CODE_NIGHT_ACTIVITY: "It happened at a time of night when your account is rarely used.",
    _R.REASON_CODE_DATA_VOLUME: "Much more data was asked for than usual.",
    _R.REASON_CODE_TAKEOVER_SEQUENCE: "It looked as if somebody else might be trying to get into your account.",
    _R.REASON_CODE_BULK_EXPORT: "A lot was downloaded or exported within a day.",
    _R.REASON_CODE_SUSPICIOUS_SEGMENT: "Earlier activity on this account asked for extra care.",
    _R.REASON_CODE_YOUNG_ACCOUNT: "The account is new, and we look more closely at first.",
    _R.REASON_CODE_CHARGEBACKS: "Earlier payments of this account were reversed.",
    _R.REASON_CODE_SHARED_DEVICE: _ACCOUNT_PATTERN,
    _R.REASON_CODE_SHARED_PAYMENT: _ACCOUNT_PATTERN,
    _R.REASON_CODE_RING_MEMBER: _ACCOUNT_PATTERN,
    _R.REASON_CODE_CREDENTIAL_STUFFING: "Many sign-ins failed on the connection that was used.",
    _R.REASON_CODE_DEVICE_FAILURES: "Many sign-ins failed on the device that was used.",
    _R.REASON_CODE_CONCURRENT_STREAMS: "The account plays on more devices at the same time than it may.",
    _R.REASON_CODE_COLD: "We do not know this account well yet, so we were careful.",
    _R.REASON_CODE_DEGRADED: "One of our checks was not available at that moment, so we were careful.",
    _R.REASON_CODE_LATE: "We heard of this activity late.",
    _R.REASON_CODE_ATTACK_IN_TEXT: "A text that came with this activity looked unusual to us.",
    _R.REASON_CODE_UNKNOWN_EVENT_TYPE: "We did not recognise this kind of activity.",
    _R.REASON_CODE_BRUTE_FORCE: "Many sign-ins to your account failed in a short time.",
    _R.REASON_CODE_DISTRIBUTED_STUFFING: "Many sign-ins failed in the network or with the program that was used.",
    _R.REASON_CODE_PASSWORD_SPRAYING: "Many sign-ins failed on the connection that was used.",
    _R.REASON_CODE_GUESSED_FROM_MANY_ADDRESSES: "Sign-ins to your account failed from many places.",
    _R.REASON_CODE_ACCOUNT_SHARING: "Your account is in use in several places at once.",
    _R.REASON_CODE_ONLY_SHARED: "Nothing else than its use in several places speaks against your account.",
    _R.REASON_CODE_STREAM_LIMIT: "More streams are running than the plan allows.",
    _R.REASON_CODE_CREDENTIAL_RESALE: "Your account is in use in very many places.",
    _R.REASON_CODE_SCRAPING: "Far more titles were opened than anybody can watch.",
    _R.REASON_CODE_TRIAL_ABUSE: _ACCOUNT_PATTERN,
    _R.REASON_CODE_CHARGEBACK_CLUSTER: _ACCOUNT_PATTERN,
    _R.REASON_CODE_CONFIRMED_NEIGHBOURS: _ACCOUNT_PATTERN,
    _R.REASON_CODE_CONFIRMED_RING: _ACCOUNT_PATTERN,
    _R.REASON_CODE_REQUEST_OVERDUE: "A request about your data takes longer than it should.",
    _R.REASON_CODE_REQUEST_DUE_SOON: "A request about your data is being handled.",
    _R.REASON_CODE_BREACH_NOTICE_OVERDUE: "A notice about the protection of data is late.",
    _R.REASON_CODE_BREACH_NOTICE_DUE_SOON: "A notice about the protection of data is being prepared.",
    _R.REASON_CODE_ERASURE_STALLED: "The deletion of your data takes longer than it should.",
    _R.REASON_CODE_RETENTION_FAILED: "Old data are kept longer than they should be.",
    _R.REASON_CODE_LISTED_BLOCK: "This was stopped after a check of this account or its connection.",
    _R.REASON_CODE_LISTED_ALLOW: "This account was checked before and is trusted.",
    _R.REASON_CODE_CONTROL_GROUP: "It was allowed as part of a random check of our own decisions.",
    _R.REASON_CODE_LISTED_LIMIT: "There were many requests like this from this account within an hour.",
}
"""One sentence a code of usher.decision.v1.ReasonCode, safe to show to the viewer: no figures, nobody else."""

_VIEWER_REASONS: Final = 3
_ACTS: Final[dict[int, str]] = {
    event_pb2.EVENT_CLASS_UNSPECIFIED: "the activity",
    event_pb2.EVENT_CLASS_PLAYBACK: "watching",
    event_pb2.EVENT_CLASS_LOGOUT: "signing out",
    event_pb2.EVENT_CLASS_LOGIN: "the sign-in",
    event_pb2.EVENT_CLASS_EXPORT: "the download or export of data",
    event_pb2.EVENT_CLASS_PAYMENT: "the payment or change of payment details",
    event_pb2.EVENT_CLASS_CREDENTIAL: "the change to the account's security or contact details",
    event_pb2.EVENT_CLASS_RIGHTS: "the request about your data or your privacy choices",
}
_CAN_BE_STOLEN: Final = frozenset(
    {
        _R.REASON_CODE_IMPOSSIBLE_TRAVEL,
        _R.REASON_CODE_NEW_COUNTRY,
        _R.REASON_CODE_ANOMALY,
        _R.REASON_CODE_NEW_DEVICE,
        _R.REASON_CODE_AUTHENTICATION_FAILURES,
        _R.REASON_CODE_TAKEOVER_SEQUENCE,
        _R.REASON_CODE_BULK_EXPORT,
        _R.REASON_CODE_CREDENTIAL_STUFFING,
        _R.REASON_CODE_DEVICE_FAILURES,
    }
)
_CAN_BE_SWITCHED_OFF: Final = frozenset(
    {
        _R.REASON_CODE_TOR_EXIT,
        _R.REASON_CODE_VPN,
        _R.REASON_CODE_HOSTING,
        _R.REASON_CODE_REGION_MISMATCH,
    }
)
_VERIFICATIONS: Final = {
    "verified": "verified against the source",
    "from_knowledge": "from knowledge, source not re-read",
}


def viewer_sentence(code: int) -> str:
    """Returns what a viewer may be told of a reason; of a code of a newer version only that there was one."""
    return VIEWER_SENTENCES.get(code, VIEWER_SENTENCES[_R.REASON_CODE_UNSPECIFIED])


def for_viewer(decision: decision_pb2.Decision, event: event_pb2.Event) -> dict[str, Any]:
    """Tells a decision to the viewer.

    Returns `headline`; `why`, at most three sentences; `means`; `can_do`; and `data`, what the viewer's data
    are not used for.
    """
    act = _ACTS.get(decision.event_class, _ACTS[event_pb2.EVENT_CLASS_UNSPECIFIED])
    when = _day_and_time(event)
    # An outcome that this version does not know counts as REVIEW.
    outcome = decision.outcome if decision.outcome in _R.Outcome.values() else _R.OUTCOME_REVIEW
    intent = event.phase == event_pb2.PHASE_INTENT
    codes = [] if outcome <= _R.OUTCOME_ALLOW else [reason.code for reason in decision.reasons]
    answer, means = _meaning(outcome, decision.event_class, intent)
    return {
        "headline": f"{when}, {act}: {answer}.",
        "why": list(dict.fromkeys(viewer_sentence(code) for code in codes))[:_VIEWER_REASONS],
        "means": means,
        "can_do": _can_do(outcome, codes, {action.kind for action in decision.actions}),
        "data": _unused(decision.verdict.processing),
    }


def for_analyst(decision: decision_pb2.Decision, event: event_pb2.Event) -> dict[str, Any]:
    """Tells a decision to an analyst: reasons with points, threshold, models, network, what would change it.

    Returns `summary` and the parts of the decision's JSON form that speak of abuse and of how it was decided,
    under their names there; `counterfactual` is told in sentences as well.
    """
    shown = decision_to_json(decision)
    told = {
        name: shown[name]
        for name in (
            "event_id",
            "user_id",
            "outcome",
            "would_be",
            "mode",
            "risk_level",
            "risk",
            "threshold",
            "segment",
            "profile_events",
            "reasons",
            "anomaly",
            "violation",
            "factors",
            "explanation_failed",
            "network",
            "actions",
            "degraded",
            "flags",
            "folded",
            "sighted",
            "event_class",
            "stage_us",
            "policy_set",
            "position",
            "trace_id",
            "processed_at",
        )
    }
    told["event_type"] = event.event_type
    told["event_time"] = time_to_json(event.event_time) if event.HasField("event_time") else None
    told["counterfactual"] = [
        {"code": code, "sentence": _sentence_of(number, decision.reasons)}
        for code, number in zip(shown["counterfactual"], decision.counterfactual, strict=True)
    ]
    told["summary"] = _summary(shown)
    return told


def for_regulator(decision: decision_pb2.Decision, event: event_pb2.Event) -> dict[str, Any]:
    """Tells a decision to a regulator: the law and how it was read, nothing of how abuse is found.

    Returns `summary`, `status`, `applicable`, `findings`, `gaps`, `processing`, `conflicts` (where laws answer
    differently: the strictest decides), `remedies` (what puts the findings right), `assumptions`, `consent` (where its
    sources disagreed, strings that could not be relied on, what the ledger said), `packs`
    (version by regulation, where a finding names it), `certainty` (findings by verification, and how many a
    person reviewed), `forbidden_by_law`, and what identifies the decision.
    """
    shown = decision_to_json(decision)
    findings = [
        {**finding, "name": short_name(finding["regulation"]), "certainty": _verification(finding)}
        for finding in shown["findings"]
    ]
    return {
        "summary": _law_summary(shown),
        "status": shown["compliance"]["status"],
        "is_compliant": shown["compliance"]["is_compliant"],
        "applicable": [
            {"regulation": item, "name": short_name(item)} for item in decision.verdict.applicable
        ],
        "findings": findings,
        "gaps": [{**gap, "name": short_name(gap["regulation"])} for gap in shown["gaps"]],
        "processing": shown["processing"],
        "conflicts": shown["conflicts"],
        "remedies": shown["remedies"],
        "assumptions": shown["assumptions"],
        "consent": shown["consent"],
        "packs": {item["regulation"]: item["pack_version"] for item in findings if item["pack_version"]},
        "certainty": {
            "findings": dict(Counter(item["verification"] or "not_said" for item in findings)),
            "reviewed": sum(item["reviewed_by"] is not None for item in findings),
        },
        "forbidden_by_law": [
            sentence(reason) for reason in decision.reasons if reason.code == _R.REASON_CODE_ACT_FORBIDDEN
        ],
        "outcome": shown["outcome"],
        "mode": shown["mode"],
        "automated": True,
        "ledger_version": decision.verdict.ledger_version or None,
        "policy_set": shown["policy_set"],
        "event_id": shown["event_id"],
        "event_time": time_to_json(event.event_time) if event.HasField("event_time") else None,
        "decided": shown["processed_at"],
    }


READERS: Final[dict[str, Callable[[decision_pb2.Decision, event_pb2.Event], dict[str, Any]]]] = {
    "viewer": for_viewer,
    "analyst": for_analyst,
    "regulator": for_regulator,
}
"""By name of the reader."""


def viewer_lines(told: dict[str, Any]) -> list[str]:
    """What `for_viewer` answers, as lines of text."""
    lines = [told["headline"]]
    lines += _block("Why", told["why"])
    lines += _block("What it means", told["means"])
    lines += _block("What you can do", told["can_do"])
    return lines + _block("Your data", told["data"])


def analyst_lines(told: dict[str, Any]) -> list[str]:
    """What `for_analyst` answers, as lines of text."""
    lines = [told["summary"]]
    lines += _block(
        "Reasons",
        [f"{_points(item['points'])}  {item['code']}: {item['sentence']}" for item in told["reasons"]],
    )
    parts = ", ".join(f"{name} {_number(value)}" for name, value in told["risk"]["components"].items())
    threshold = told["threshold"]
    adjusted = "".join(f", {item['name']} {item['points']:+g}" for item in threshold["adjustments"])
    models = told["anomaly"]["models"]
    violation = told["violation"]
    lines += _block(
        "Risk",
        [
            f"{parts}; compared {_number(told['risk']['compared'])}, total {_number(told['risk']['total'])}",
            f"threshold {_number(threshold['value'])}: {told['segment']} {_number(threshold['base'])}{adjusted}",
        ],
    )
    lines += _block(
        "Models",
        [
            f"anomaly {_number(told['anomaly']['ensemble_score'])} of 1 (Isolation Forest "
            f"{_number(models['isolation_forest'])}, nearest neighbours {_number(models['nearest_neighbours'])}, Local "
            f"Outlier Factor {_number(models['local_outlier_factor'])})",
            f"violation likelihood {_number(violation['violation_likelihood'])}, confidence "
            f"{_number(violation['confidence'])}, events known before {_number(told['profile_events'])}",
        ],
    )
    looked = [factor_sentence(item) for item in told["factors"]]
    if told["explanation_failed"]:
        looked.append("could not be computed: the decision stands without it")
    lines += _block("What the models looked at", looked)
    lines += _block("Network and place", _network_lines(told["network"]))
    lines += _block(
        "Would be allowed without", [f"{item['code']}: {item['sentence']}" for item in told["counterfactual"]]
    )
    lines += _block("Actions", [_action_line(item) for item in told["actions"]])
    timings = ", ".join(f"{stage} {spent / 1000:.1f} ms" for stage, spent in told["stage_us"].items())
    about = [
        f"{told['event_type'] or 'event'} ({told['event_class']}) of {told['event_time'] or 'an unknown time'}, "
        f"decided {told['processed_at'] or 'at an unknown time'} at position {told['position']}",
        f"policy set {told['policy_set'] or 'unknown'}, trace {told['trace_id'] or 'none'}",
        f"timings: {timings or 'not measured'}",
        f"folded into the profile: {_yes(told['folded'])}; seen by fraud: {_yes(told['sighted'])}",
    ]
    if told["degraded"]:
        about.append(f"did not answer: {', '.join(told['degraded'])}")
    if told["flags"]:
        about.append(f"flags: {', '.join(told['flags'])}")
    return lines + _block("About the decision", about)


def regulator_lines(told: dict[str, Any]) -> list[str]:
    """What `for_regulator` answers, as lines of text."""
    lines = [told["summary"]]
    names = [f"{item['name']} ({item['regulation']})" for item in told["applicable"]]
    lines += _block(
        "Applicable", [", ".join(names) if names else "none of the regulations that are evaluated"]
    )
    lines += _block("Findings", [_finding_line(item) for item in told["findings"]])
    lines += _block(
        "Gaps: rules that apply and lack a fact",
        [
            f"{item['name']} {item['article']}: {', '.join(item['missing'])} ({item['rule']})"
            for item in told["gaps"]
        ],
    )
    lines += _block("Processing", [_processing_line(item) for item in told["processing"]])
    lines += _block("Laws that answer differently", [_conflict_line(item) for item in told["conflicts"]])
    lines += _block(
        "What puts it right",
        [f"{_words(item['remedy'])}: {', '.join(item['rules'])}" for item in told["remedies"]],
    )
    lines += _block("Assumptions", [_assumption_line(item) for item in told["assumptions"]])
    lines += _block("Consent", _consent_lines(told["consent"]))
    lines += _block("Acts forbidden by law", told["forbidden_by_law"])
    certainty = told["certainty"]["findings"]
    lines += _block(
        "Certainty",
        [
            f"{number} of {sum(certainty.values())} findings {_VERIFICATIONS.get(kind, kind.replace('_', ' '))}"
            for kind, number in sorted(certainty.items())
        ]
        + ([f"{told['certainty']['reviewed']} reviewed by a person"] if certainty else [])
        + ["A finding is a rule's answer, not a court's judgement."],
    )
    versions = ", ".join(f"{name} {version}" for name, version in sorted(told["packs"].items()))
    about = [
        f"event {told['event_id']} of {told['event_time'] or 'an unknown time'}, decided "
        f"{told['decided'] or 'at an unknown time'} by automated means: {told['outcome']} ({told['mode']})",
        f"policy set {told['policy_set'] or 'unknown'}, which pins every rule pack"
        + (f"; packs of the findings: {versions}" if versions else ""),
    ]
    if told["ledger_version"] is not None:
        about.append(f"consent ledger as of version {told['ledger_version']}")
    return lines + _block("About the decision", about)


LINES: Final[dict[str, Callable[[dict[str, Any]], list[str]]]] = {
    "viewer": viewer_lines,
    "analyst": analyst_lines,
    "regulator": regulator_lines,
}
"""By name of the reader."""


def _meaning(outcome: int, event_class: int, intent: bool) -> tuple[str, list[str]]:
    """The answer in a few words, and what it means for the viewer."""
    if outcome == _R.OUTCOME_BLOCK:
        means = ["It must not go ahead." if intent else "It should not have gone ahead, and may be undone."]
        return "not allowed", means
    if outcome == _R.OUTCOME_REVIEW:
        if event_class == event_pb2.EVENT_CLASS_PLAYBACK:
            return "allowed, and being looked at", ["You can go on watching while it is looked at."]
        if event_class == event_pb2.EVENT_CLASS_RIGHTS:
            return "being looked at", [
                "Your request is kept; it may wait until it is clear that it is yours."
            ]
        return "being looked at", ["What cannot be undone waits until somebody has looked at it."]
    if outcome == _R.OUTCOME_ALLOW_WITH_CAUTION:
        return "allowed, with care", [
            "It can go ahead. Something about it was unusual, so we keep an eye on it."
        ]
    if outcome == _R.OUTCOME_ALLOW:
        return "allowed", ["It can go ahead. Nothing changes for you."]
    return "not decided", ["There is no answer to it."]


def _can_do(outcome: int, codes: Sequence[int], actions: set[int]) -> list[str]:
    if outcome <= _R.OUTCOME_ALLOW:
        return ["You need to do nothing."]
    advice = []
    if _R.ACTION_KIND_SECOND_FACTOR in actions:
        advice.append("Confirm that it is you when we ask for a second step.")
    if _R.ACTION_KIND_LIMIT_RATE in actions:
        advice.append("Wait a little before the next attempt.")
    if _R.ACTION_KIND_OFFER_UPGRADE in actions:
        advice.append("A larger plan or an extra member lets more people watch.")
    if _CAN_BE_STOLEN.intersection(codes):
        advice.append(
            "If this was not you, change your password and sign out of devices that you do not know."
        )
    if _CAN_BE_SWITCHED_OFF.intersection(codes):
        advice.append("If you use a VPN or a proxy, switch it off and try again.")
    if outcome == _R.OUTCOME_ALLOW_WITH_CAUTION:
        return advice or ["You need to do nothing."]
    return [*advice, "Tell customer support if you think that this is wrong: a person will look at it."]


def _unused(processing: Iterable[decision_pb2.Processing]) -> list[str]:
    """What the viewer's data are not used for. What this version does not know counts as not used."""
    told = []
    for item in processing:
        if item.state in (_R.PROCESSING_STATE_PERMITTED, _R.PROCESSING_STATE_UNSPECIFIED):
            continue
        text = (
            "They are not used for anything that needs your consent"
            if item.purpose == "*"
            else f"They are not used for {_words(item.purpose)}"
            if item.purpose
            else "They are not used"
        )
        if item.recipient:
            text += f", nor given to: {_words(item.recipient)}"
        if item.destination:
            text += f", nor sent to {item.destination}"
        told.append(f"{text}.")
    return list(dict.fromkeys(told))


def _summary(shown: dict[str, Any]) -> str:
    compared, threshold = shown["risk"]["compared"], shown["threshold"]["value"]
    if compared is None or threshold is None:
        text = f"{shown['outcome']}: it was not scored"
    else:
        text = (
            f"{shown['outcome']}: risk {_number(compared)} against a threshold of {_number(threshold)} "
            f"({shown['risk_level']})"
        )
    if shown["mode"] == "observe":
        text += f"; observed only, enforced it would be {shown['would_be']}"
    return f"{text}."


def _law_summary(shown: dict[str, Any]) -> str:
    findings, gaps = len(shown["findings"]), len(shown["gaps"])
    return {
        "compliant": "No rule that applies is violated, and none lacks a fact.",
        "violation": f"{_count(findings, 'rule')} violated, {_count(gaps, 'rule')} without a fact that it needs.",
        "gap": f"No violation found; {_count(gaps, 'rule')} without a fact that it needs.",
    }.get(shown["compliance"]["status"], "The law was not evaluated: the compliance service did not answer.")


def _sentence_of(code: int, reasons: Iterable[decision_pb2.Reason]) -> str:
    """The sentence of a reason with the values that the decision carries for it."""
    for reason in reasons:
        if reason.code == code:
            return sentence(reason)
    return sentence(decision_pb2.Reason(code=code)) if code in SENTENCES else ""  # type: ignore[arg-type]


def _network_lines(network: dict[str, Any] | None) -> list[str]:
    if network is None:
        return ["fraud did not answer"]
    signals = ", ".join(f"{name} {_number(value)}" for name, value in network["signals"].items() if value)
    lines = [signals or "no signal"]
    lines += [f"{item['code']}: {item['sentence']}" for item in network["evidence"]]
    return [*lines, f"ring {network['ring_id']}"] if network["ring_id"] else lines


def _action_line(action: dict[str, Any]) -> str:
    until = f" until {action['until']}" if action["until"] else ""
    message = f", message {action['viewer_message_key']}" if action["viewer_message_key"] else ""
    return f"{_words(action['kind'])}{until}, enforced by {action['enforced_by']}{message}"


def _finding_line(item: dict[str, Any]) -> str:
    remedy = f" Remedy: {_words(item['remedy'])}." if item["remedy"] else ""
    reviewed = f"reviewed by {item['reviewed_by']}" if item["reviewed_by"] else "reviewed by nobody yet"
    forbids = ", forbids the act" if item["forbids_act"] else ""
    forbids += ", no consent cures it" if item["consent_cannot_cure"] else ""
    return (
        f"{item['name']} {item['article']}: {finding_sentence(item['reason'])}{remedy} "
        f"[{item['reason']}, {item['rule']}, pack {item['pack_version'] or 'unknown'}, severity {item['severity']} of 5"
        f"{forbids}; {item['certainty']}, {reviewed}]"
    )


def _processing_line(item: dict[str, Any]) -> str:
    purpose = (
        "every purpose that rests on consent"
        if item["purpose"] == "*"
        else _words(item["purpose"]) or "any purpose"
    )
    to = f", recipient {_words(item['recipient'])}" if item["recipient"] else ""
    where = f", transfer to {item['destination']}" if item["destination"] else ""
    rule = f" ({item['rule']})" if item["rule"] else ""
    return f"{purpose}{to}{where}: {item['state']}{rule}"


def _conflict_line(item: dict[str, Any]) -> str:
    others = ", ".join(short_name(name) for name in item["less_strict"])
    return f"{_processing_line(item)}: {short_name(item['decided_by'])} decides; less strict: {others}"


def _assumption_line(text: str) -> str:
    fact, arrow, taken = text.partition(" -> ")
    return f"{fact} was read as {taken}" if arrow else text


def _consent_lines(told: dict[str, Any]) -> list[str]:
    lines = [
        f"{item['fact']}: {item['value']}, as {item['decided_by']} says; overruled {', '.join(item['overruled'])}"
        for item in told["conflicts"]
    ]
    lines += [
        f"{item['field']} was not relied on: {item['message']} ({item['reason']})"
        for item in told["problems"]
    ]
    ledger = told["ledger"]
    if ledger is not None:
        held = f"agreed to {', '.join(ledger['granted']) or 'nothing'}"
        if ledger["denied"]:
            held += f", refused or withdrawn: {', '.join(ledger['denied'])}"
        lines.append(f"the consent ledger: {held}; for this purpose {ledger['status'] or 'nothing'}")
    return lines


def _verification(finding: dict[str, Any]) -> str:
    return _VERIFICATIONS.get(finding["verification"], "not said whether it was verified")


def _day_and_time(event: event_pb2.Event) -> str:
    if not event.HasField("event_time"):
        return "At an unknown time"
    text = time_to_json(event.event_time)
    return f"On {text[:10]} at {text[11:16]} UTC"


def _block(title: str, items: Iterable[str]) -> list[str]:
    """A title and its items, indented; nothing where there are none."""
    lines = [f"  {item}" for item in items]
    return [f"{title}:", *lines] if lines else []


def _words(name: str) -> str:
    return name.replace("_", " ")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _points(value: float | None) -> str:
    return "   ?" if value is None else f"{value:+.1f}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
