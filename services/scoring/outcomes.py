"""What is known of decided events: labels made out, with maturity. Pure.

A later label on the same subject corrects an earlier one. A label counts once it is mature. An event without a label
counts as good only when enough time has gone by for a chargeback to arrive (30 to 90 days), and only where it was let
through: of what was held up nobody can know, and counting it as good would teach the models that they were wrong. A label
on an account is about its events of the week before that stood out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import feedback_pb2, labels_pb2

_L = labels_pb2
ABUSIVE = frozenset(
    {_L.LABEL_KIND_FRAUD_CONFIRMED, _L.LABEL_KIND_CHARGEBACK, _L.LABEL_KIND_TAKEOVER_CONFIRMED}
)
GOOD = frozenset({_L.LABEL_KIND_FALSE_ALARM, _L.LABEL_KIND_LEGITIMATE})
FINDINGS = {_L.LABEL_KIND_FINDING_UPHELD: True, _L.LABEL_KIND_FINDING_DISMISSED: False}
WEEK_MS = 7 * 86_400_000
DAY_MS = 86_400_000


class Truth(NamedTuple):
    """What is known of one event.

    Attributes:
        known: whether anything is.
        abusive: whether it was abuse.
        finding: rule of an upheld finding, or empty.
        kind: name of the label's kind in lower case; empty where time alone speaks.
    """

    known: bool = False
    abusive: bool = False
    finding: str = ""
    kind: str = ""


class Labels(NamedTuple):
    """Mature labels, the last of each subject."""

    events: Mapping[str, labels_pb2.Label]
    users: Mapping[str, labels_pb2.Label]
    findings: Mapping[str, labels_pb2.Label]
    through: int
    """Position of the last label, mature or not."""
    mature: int
    """Mature labels."""


def mature_ms(label: labels_pb2.Label) -> int:
    """From when a label counts, Unix milliseconds."""
    return (label.mature_time if label.HasField("mature_time") else label.label_time).ToMilliseconds()


def settle(labels: Iterable[labels_pb2.Label], now_ms: int) -> Labels:
    """The labels that are mature; of two on a subject the later known counts, then the later recorded."""
    events: dict[str, labels_pb2.Label] = {}
    users: dict[str, labels_pb2.Label] = {}
    findings: dict[str, labels_pb2.Label] = {}
    through = mature = 0
    for label in labels:
        through = max(through, label.position)
        if mature_ms(label) > now_ms:
            continue
        mature += 1
        if label.subject_kind == _L.LABEL_SUBJECT_USER:
            kept = users
        elif label.subject_kind != _L.LABEL_SUBJECT_EVENT:
            continue
        else:
            kept = findings if label.kind in FINDINGS else events
        before = kept.get(label.subject)
        if before is None or _order(before) <= _order(label):
            kept[label.subject] = label
    return Labels(events, users, findings, through, mature)


def truths(
    labels: Labels, events: Sequence[Known], now_ms: int, unlabelled_good_after_days: float
) -> list[Truth]:
    """What is known of each event, in order."""
    good_before_ms = now_ms - int(unlabelled_good_after_days * DAY_MS)
    found = []
    for event in events:
        label = labels.events.get(event.event_id)
        if label is None:
            label = labels.users.get(event.user_id)
            if label is not None:
                known_ms = label.label_time.ToMilliseconds()
                stands_out = event.would_be >= decision_pb2.OUTCOME_ALLOW_WITH_CAUTION
                if not (known_ms - WEEK_MS <= event.event_ms <= known_ms and stands_out):
                    label = None
        upheld = labels.findings.get(event.event_id)
        rule = upheld.rule if upheld is not None and FINDINGS[upheld.kind] else ""
        if label is not None and label.kind in ABUSIVE | GOOD:
            kind = _L.LabelKind.Name(label.kind).removeprefix("LABEL_KIND_").lower()
            found.append(Truth(True, label.kind in ABUSIVE, rule, kind))
        elif upheld is not None:
            kind = _L.LabelKind.Name(upheld.kind).removeprefix("LABEL_KIND_").lower()
            found.append(Truth(True, False, rule, kind))
        elif event.outcome < decision_pb2.OUTCOME_REVIEW and event.event_ms <= good_before_ms:
            found.append(Truth(True))
        else:
            found.append(Truth())
    return found


class Known(NamedTuple):
    """One decided event, as far as outcomes are concerned."""

    event_id: str
    user_id: str
    event_ms: int
    segment: int
    outcome: int
    would_be: int
    country: str
    place_flags: int

    @classmethod
    def of(cls, one: feedback_pb2.TrainingEvent, event_id: str, user_id: str, event_ms: int) -> Known:
        """From what ingest keeps."""
        return cls(
            event_id, user_id, event_ms, one.segment, one.outcome, one.would_be, one.country, one.place_flags
        )


def _order(label: labels_pb2.Label) -> tuple[int, int]:
    return label.label_time.ToNanoseconds(), label.position
