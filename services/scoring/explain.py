"""Why an event was decided so: reasons, actions and counterfactual of the few events that have any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np

from services.scoring import decide, factors, features
from services.scoring.decide import ALLOW, Decided, Inputs
from services.scoring.profile import O
from services.scoring.rules import Bools, Pattern, Rules
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

_R = decision_pb2.ReasonCode
_PLACE = range(10, 16)
_ANOMALY = range(20, 30)
_SEGMENT = range(30, 40)
_NETWORK = range(40, 50)
_INFORMING: tuple[int, ...] = (_R.REASON_CODE_LATE, _R.REASON_CODE_UNKNOWN_EVENT_TYPE, _R.REASON_CODE_COLD)
_VIEWER_MESSAGES: dict[int, str] = {
    decision_pb2.ACTION_KIND_BLOCK: "account.blocked",
    decision_pb2.ACTION_KIND_REVIEW: "account.review",
    decision_pb2.ACTION_KIND_SECOND_FACTOR: "account.second_factor",
}
_CALLING = frozenset(
    {decision_pb2.ACTION_KIND_REVIEW, decision_pb2.ACTION_KIND_NOTIFY, decision_pb2.ACTION_KIND_OPEN_INCIDENT}
)
_GUARDED = frozenset(
    {
        event_pb2.EVENT_CLASS_LOGIN,
        event_pb2.EVENT_CLASS_EXPORT,
        event_pb2.EVENT_CLASS_PAYMENT,
        event_pb2.EVENT_CLASS_CREDENTIAL,
    }
)
_OUTCOME_NAMES = {
    number: name.removeprefix("OUTCOME_").lower() for name, number in decision_pb2.Outcome.items()
}
_BY_USHER: frozenset[int] = frozenset(
    {decision_pb2.ACTION_KIND_NOTIFY, decision_pb2.ACTION_KIND_OPEN_INCIDENT}
)
SUPPRESS_ACTION = decision_pb2.Decision(
    actions=[
        decision_pb2.Action(
            kind=decision_pb2.ACTION_KIND_SUPPRESS_PROCESSING, enforced_by=decision_pb2.ENFORCED_BY_CALLER
        )
    ]
).SerializeToString()
"""The action of a verdict that suppresses processing, as the bytes of a Decision with nothing else."""

Evidence = Mapping[int, Sequence[decision_pb2.Reason]]


class _Reason(NamedTuple):
    code: int
    points: float
    values: Sequence[float] = ()
    words: Sequence[str] = ()


def speaking(rules: Rules, inputs: Inputs, decided: Decided, evidence: Evidence) -> Bools:
    """Which events have a reason to tell: those above ALLOW, and those where something spoke against it."""
    least = rules.reason_points
    told = decided.would_be > ALLOW
    told = told | (decided.limit >= 0) | (decided.model_points >= least) | (decided.behaviour_points >= least)
    told |= (inputs.item_flags & decide.LATE) != 0
    told |= decided.segment == decide.SUSPICIOUS
    told |= inputs.events.event_class == 0
    for index, reasons in evidence.items():
        if any(reason.points >= least for reason in reasons):
            told[index] = True
    return told


def explain(
    rules: Rules, inputs: Inputs, decided: Decided, evidence: Sequence[decision_pb2.Reason], i: int
) -> decision_pb2.Decision:
    """Reasons, actions, risk factors and counterfactual of event `i`: a Decision with these fields only."""
    outcome, would_be = int(decided.outcome[i]), int(decided.would_be[i])
    found = _reasons(rules, inputs, decided, evidence, i)
    demanding = _demanding(rules, inputs, decided, i)
    least = rules.reason_points if would_be == ALLOW else 0.0
    # Why the outcome is no less, and why it is no more, come before the points.
    limited = int(decided.limit[i])
    first = {*demanding, *([rules.limits[limited].reason] if limited >= 0 else [])}
    told = [r for r in found if r.points >= least or r.code in first or r.code in _INFORMING]
    told.sort(key=lambda r: (r.code not in first, -r.points))
    answer = decision_pb2.Decision()
    for reason in told[: rules.most_reasons]:
        answer.reasons.add(
            code=_code(reason.code),
            values=reason.values,
            words=reason.words,
            points=reason.points,
        )
    answer.risk_factors.extend(factors.risk_factors(inputs.features[i]))
    _add_actions(answer, rules, inputs, decided, i)
    if outcome > ALLOW:
        codes = _counterfactual(rules, inputs, decided, found, demanding, i)
        answer.counterfactual.extend(_code(code) for code in codes)
    return answer


def _code(number: int) -> decision_pb2.ReasonCode:
    return cast(decision_pb2.ReasonCode, number)


def _holding(
    rules: Rules, decided: Decided, i: int, start: int = 0, stop: int | None = None
) -> list[Pattern]:
    found = np.nonzero(decided.held[i, start:stop])[0]
    return [rules.patterns.patterns[start + number] for number in found.tolist()]


def _reasons(
    rules: Rules, inputs: Inputs, decided: Decided, evidence: Sequence[decision_pb2.Reason], i: int
) -> list[_Reason]:
    found: list[_Reason] = []
    if inputs.verdict_flags[i] & decide.FORBIDS_ACT:
        found.append(_Reason(_R.REASON_CODE_ACT_FORBIDDEN, 0.0))
    for item in evidence:
        found.append(_Reason(item.code, item.points, item.values, item.words))
    seen: set[int] = {reason.code for reason in found}
    for pattern in _holding(rules, decided, i):
        if pattern.reason not in seen:
            seen.add(pattern.reason)
            found.append(
                _Reason(
                    pattern.reason, pattern.points, _values(pattern, inputs, i), _words(pattern, inputs, i)
                )
            )
    if decided.model_points[i] > 0:
        score = float(inputs.scores[i, 0])
        found.append(_Reason(_R.REASON_CODE_ANOMALY, float(decided.model_points[i]), (score,)))
    if decided.over_limit[i]:
        playing = float(inputs.features[i, features.INDEX["concurrent_streams"]])
        limit = float(rules.session_limit[decided.segment[i]])
        found.append(_Reason(_R.REASON_CODE_CONCURRENT_STREAMS, 0.0, (playing, limit)))
    if decided.segment[i] == decide.SUSPICIOUS:
        found.append(
            _Reason(_R.REASON_CODE_SUSPICIOUS_SEGMENT, float(rules.segment_points[decide.SUSPICIOUS]))
        )
    young = float(decided.numbers[i, 9])
    if decided.segment[i] == decide.NEW or young < 0:
        points = float(rules.segment_points[decide.NEW]) if decided.segment[i] == decide.NEW else 0.0
        days = float(inputs.features[i, features.INDEX["account_age_days"]])
        found.append(_Reason(_R.REASON_CODE_YOUNG_ACCOUNT, points, (days,)))
    chargebacks = int(inputs.facts.chargebacks[i])
    if chargebacks >= rules.membership["chargebacks"]:
        found.append(
            _Reason(_R.REASON_CODE_CHARGEBACKS, rules.membership["chargeback_points"], (float(chargebacks),))
        )
    if decided.numbers[i, 8] < 0:
        found.append(_Reason(_R.REASON_CODE_NIGHT_ACTIVITY, 0.0, (float(inputs.events.hour[i]),)))
    if decided.held_cold[i]:
        found.append(_Reason(_R.REASON_CODE_COLD, 0.0))
    if decided.limit[i] >= 0:
        code = rules.limits[int(decided.limit[i])].reason
        found.append(_Reason(code, 0.0, (), (_OUTCOME_NAMES[int(decided.unlimited[i])],)))
    if inputs.item_flags[i] & decide.LATE:
        behind = max(int(inputs.observed[i, O.BEHIND]), 0)
        found.append(_Reason(_R.REASON_CODE_LATE, 0.0, (float(behind),)))
    if inputs.facts.types[i]:
        found.append(_Reason(_R.REASON_CODE_UNKNOWN_EVENT_TYPE, 0.0, (), (inputs.facts.types[i],)))
    return found


def _values(pattern: Pattern, inputs: Inputs, i: int) -> list[float]:
    # Sentences whose numbers are not features as they stand; the order is that of the code's comment.
    observed, signals = inputs.observed[i], inputs.signals[i]
    signal = decision_pb2.SignalIndex
    if pattern.reason == _R.REASON_CODE_HIGH_FREQUENCY:
        return [float(observed[O.EVENTS_1H]), round(float(observed[O.EVENTS_7D]) / 168, 2)]
    if pattern.reason == _R.REASON_CODE_DATA_VOLUME:
        usual = int(observed[O.VOLUME_ALL]) * 1024 // max(int(observed[O.VOLUME_EVENTS]), 1)
        return [float(max(int(inputs.events.volume[i]), 0) * 1024), float(usual)]
    if pattern.reason == _R.REASON_CODE_CREDENTIAL_STUFFING:
        accounts = signals[signal.SIGNAL_INDEX_ADDRESS_FAILED_ACCOUNTS]
        return [float(accounts), float(signals[signal.SIGNAL_INDEX_ADDRESS_FAILURES])]
    if pattern.reason == _R.REASON_CODE_BULK_EXPORT:
        return [float(observed[O.EXPORTS_24H])]
    if pattern.reason == _R.REASON_CODE_AUTHENTICATION_FAILURES:
        return [float(observed[O.FAILURES_1H])]
    if pattern.reason == _R.REASON_CODE_IMPOSSIBLE_TRAVEL:
        # Kilometres and minutes are in fraud's own evidence; without it the speed is all that is known.
        return [0.0, 0.0, float(signals[signal.SIGNAL_INDEX_TRAVEL_KMH])]
    sources = {"feature": inputs.features, "signal": inputs.signals}
    return [round(float(sources[kind][i, position]), 4) for kind, position in pattern.values]


def _words(pattern: Pattern, inputs: Inputs, i: int) -> list[str]:
    if pattern.reason == _R.REASON_CODE_NEW_COUNTRY:
        country = int(inputs.events.country[i])
        return [chr(country >> 8) + chr(country & 0xFF)]
    return []


def _demanding(rules: Rules, inputs: Inputs, decided: Decided, i: int) -> dict[int, int]:
    # Reasons that demand an outcome whatever the sum, with that outcome.
    demanding: dict[int, int] = {}
    if inputs.verdict_flags[i] & decide.FORBIDS_ACT:
        demanding[_R.REASON_CODE_ACT_FORBIDDEN] = decide.BLOCK
    for rule in _holding(rules, decided, i, rules.behaviours + rules.networks):
        if rule.at_least > ALLOW:
            demanding[rule.reason] = max(rule.at_least, demanding.get(rule.reason, 0))
    if decided.over_limit[i]:
        demanding[_R.REASON_CODE_CONCURRENT_STREAMS] = decide.CAUTION
    return demanding


def _add_actions(
    answer: decision_pb2.Decision, rules: Rules, inputs: Inputs, decided: Decided, i: int
) -> None:
    outcome, segment = int(decided.outcome[i]), rules.segments[int(decided.segment[i]) - 1]
    if decided.mode[i] != decide.ENFORCE:
        return
    kinds = list(rules.actions.get(outcome, ()))
    if outcome > ALLOW:
        for rule in _holding(rules, decided, i, rules.behaviours + rules.networks):
            kinds.extend(kind for kind in rule.actions if kind not in kinds)
    asks = segment.second_factor == "always" and int(inputs.events.event_class[i]) in _GUARDED
    asks = asks or (segment.second_factor != "never" and outcome > ALLOW)
    if asks and decision_pb2.ACTION_KIND_SECOND_FACTOR not in kinds:
        kinds.append(decision_pb2.ACTION_KIND_SECOND_FACTOR)
    for kind in kinds:
        action = answer.actions.add(
            kind=decision_pb2.ActionKind.ValueType(kind),
            enforced_by=(
                decision_pb2.ENFORCED_BY_USHER if kind in _BY_USHER else decision_pb2.ENFORCED_BY_CALLER
            ),
            viewer_message_key=_VIEWER_MESSAGES.get(kind, ""),
        )
        if kind == decision_pb2.ACTION_KIND_NOTIFY:
            action.channels.extend(segment.channels)
        if kind in _CALLING:
            action.priority = segment.support_priority
        if kind == decision_pb2.ACTION_KIND_LIST_ADDRESS:
            action.until_time.seconds = int(inputs.events.time[i]) + rules.address_list_seconds


def _counterfactual(
    rules: Rules,
    inputs: Inputs,
    decided: Decided,
    found: Sequence[_Reason],
    demanding: Mapping[int, int],
    i: int,
) -> list[int]:
    # Whatever demands an outcome must go; then, strongest first, what brings the sum under the first band.
    row = decided.numbers[i]
    first = rules.band_times[0] * float(row[7]) + rules.band_plus[0]
    gone = list(demanding)
    compared = _without(rules, decided, found, set(gone), i)
    for reason in sorted(found, key=lambda r: -r.points):
        if compared < first:
            break
        if reason.points > 0 and reason.code not in gone:
            less = _without(rules, decided, found, {*gone, reason.code}, i)
            if less < compared or reason.code in _ANOMALY:
                gone.append(reason.code)
                compared = less
    if compared >= first:
        # The threshold's own adjustments are what is left.
        if row[8] < 0:
            gone.append(_R.REASON_CODE_NIGHT_ACTIVITY)
        if row[9] < 0 and _R.REASON_CODE_YOUNG_ACCOUNT not in gone:
            gone.append(_R.REASON_CODE_YOUNG_ACCOUNT)
    return gone


def _without(rules: Rules, decided: Decided, found: Sequence[_Reason], gone: set[int], i: int) -> float:
    # The compared sum if the reasons in `gone` were absent.
    row = decided.numbers[i]
    place, network = (_left(float(row[p]), found, gone, codes) for p, codes in ((0, _PLACE), (3, _NETWORK)))
    segment = _left(float(row[2]), found, gone, _SEGMENT)
    model = 0.0 if _R.REASON_CODE_ANOMALY in gone else float(decided.model_points[i])
    patterns = _holding(rules, decided, i, 0, rules.behaviours)
    behaviour = min(sum(p.points for p in patterns if p.reason not in gone), decide.ANOMALY_MOST)
    return round(place + max(model, behaviour) + segment + network, 2)


def _left(component: float, found: Sequence[_Reason], gone: set[int], codes: range) -> float:
    of_component = [reason for reason in found if reason.code in codes]
    left = [reason for reason in of_component if reason.code not in gone]
    if of_component and not left:
        return 0.0
    return max(component - sum(r.points for r in of_component if r.code in gone), 0.0)
