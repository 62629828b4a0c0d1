import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from usher.decision.v1 import decision_pb2 as _decision_pb2
from usher.event.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListTrainingEventsRequest(_message.Message):
    __slots__ = ("tenant", "after_position", "page_size")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    AFTER_POSITION_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    after_position: int
    page_size: int
    def __init__(self, tenant: _Optional[str] = ..., after_position: _Optional[int] = ..., page_size: _Optional[int] = ...) -> None: ...

class ListTrainingEventsResponse(_message.Message):
    __slots__ = ("events", "next_position", "more")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_POSITION_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[TrainingEvent]
    next_position: int
    more: bool
    def __init__(self, events: _Optional[_Iterable[_Union[TrainingEvent, _Mapping]]] = ..., next_position: _Optional[int] = ..., more: _Optional[bool] = ...) -> None: ...

class TrainingEvent(_message.Message):
    __slots__ = ("event", "position", "features", "policy_set", "segment", "outcome", "would_be", "country", "place_flags")
    EVENT_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    POLICY_SET_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    WOULD_BE_FIELD_NUMBER: _ClassVar[int]
    COUNTRY_FIELD_NUMBER: _ClassVar[int]
    PLACE_FLAGS_FIELD_NUMBER: _ClassVar[int]
    event: bytes
    position: int
    features: _containers.RepeatedScalarFieldContainer[float]
    policy_set: str
    segment: int
    outcome: int
    would_be: int
    country: str
    place_flags: int
    def __init__(self, event: _Optional[bytes] = ..., position: _Optional[int] = ..., features: _Optional[_Iterable[float]] = ..., policy_set: _Optional[str] = ..., segment: _Optional[int] = ..., outcome: _Optional[int] = ..., would_be: _Optional[int] = ..., country: _Optional[str] = ..., place_flags: _Optional[int] = ...) -> None: ...

class ListReviewSampleRequest(_message.Message):
    __slots__ = ("tenant", "after_position", "page_size")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    AFTER_POSITION_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    after_position: int
    page_size: int
    def __init__(self, tenant: _Optional[str] = ..., after_position: _Optional[int] = ..., page_size: _Optional[int] = ...) -> None: ...

class ListReviewSampleResponse(_message.Message):
    __slots__ = ("decisions", "next_position", "more")
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_POSITION_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    decisions: _containers.RepeatedCompositeFieldContainer[_decision_pb2.Decision]
    next_position: int
    more: bool
    def __init__(self, decisions: _Optional[_Iterable[_Union[_decision_pb2.Decision, _Mapping]]] = ..., next_position: _Optional[int] = ..., more: _Optional[bool] = ...) -> None: ...

class PutFeedbackReportRequest(_message.Message):
    __slots__ = ("report",)
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: FeedbackReport
    def __init__(self, report: _Optional[_Union[FeedbackReport, _Mapping]] = ...) -> None: ...

class PutFeedbackReportResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetFeedbackReportRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class GetFeedbackReportResponse(_message.Message):
    __slots__ = ("report",)
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: FeedbackReport
    def __init__(self, report: _Optional[_Union[FeedbackReport, _Mapping]] = ...) -> None: ...

class FeedbackReport(_message.Message):
    __slots__ = ("tenant", "time", "events", "abusive", "good", "groups", "misses", "sampled", "control_group", "control_abusive")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    ABUSIVE_FIELD_NUMBER: _ClassVar[int]
    GOOD_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    MISSES_FIELD_NUMBER: _ClassVar[int]
    SAMPLED_FIELD_NUMBER: _ClassVar[int]
    CONTROL_GROUP_FIELD_NUMBER: _ClassVar[int]
    CONTROL_ABUSIVE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    time: _timestamp_pb2.Timestamp
    events: int
    abusive: int
    good: int
    groups: _containers.RepeatedCompositeFieldContainer[GroupRates]
    misses: MissEstimate
    sampled: int
    control_group: int
    control_abusive: Rate
    def __init__(self, tenant: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., events: _Optional[int] = ..., abusive: _Optional[int] = ..., good: _Optional[int] = ..., groups: _Optional[_Iterable[_Union[GroupRates, _Mapping]]] = ..., misses: _Optional[_Union[MissEstimate, _Mapping]] = ..., sampled: _Optional[int] = ..., control_group: _Optional[int] = ..., control_abusive: _Optional[_Union[Rate, _Mapping]] = ...) -> None: ...

class GetControlGroupRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class GetControlGroupResponse(_message.Message):
    __slots__ = ("policy_set", "share", "at_most_an_hour", "most_bytes", "classes", "sample_share", "this_hour", "hours", "report_time", "sampled", "control_group", "control_abusive", "misses")
    POLICY_SET_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    AT_MOST_AN_HOUR_FIELD_NUMBER: _ClassVar[int]
    MOST_BYTES_FIELD_NUMBER: _ClassVar[int]
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_SHARE_FIELD_NUMBER: _ClassVar[int]
    THIS_HOUR_FIELD_NUMBER: _ClassVar[int]
    HOURS_FIELD_NUMBER: _ClassVar[int]
    REPORT_TIME_FIELD_NUMBER: _ClassVar[int]
    SAMPLED_FIELD_NUMBER: _ClassVar[int]
    CONTROL_GROUP_FIELD_NUMBER: _ClassVar[int]
    CONTROL_ABUSIVE_FIELD_NUMBER: _ClassVar[int]
    MISSES_FIELD_NUMBER: _ClassVar[int]
    policy_set: str
    share: float
    at_most_an_hour: int
    most_bytes: int
    classes: _containers.RepeatedScalarFieldContainer[_event_pb2.EventClass]
    sample_share: float
    this_hour: int
    hours: _containers.RepeatedCompositeFieldContainer[ControlHour]
    report_time: _timestamp_pb2.Timestamp
    sampled: int
    control_group: int
    control_abusive: Rate
    misses: MissEstimate
    def __init__(self, policy_set: _Optional[str] = ..., share: _Optional[float] = ..., at_most_an_hour: _Optional[int] = ..., most_bytes: _Optional[int] = ..., classes: _Optional[_Iterable[_Union[_event_pb2.EventClass, str]]] = ..., sample_share: _Optional[float] = ..., this_hour: _Optional[int] = ..., hours: _Optional[_Iterable[_Union[ControlHour, _Mapping]]] = ..., report_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sampled: _Optional[int] = ..., control_group: _Optional[int] = ..., control_abusive: _Optional[_Union[Rate, _Mapping]] = ..., misses: _Optional[_Union[MissEstimate, _Mapping]] = ...) -> None: ...

class ControlHour(_message.Message):
    __slots__ = ("start", "taken")
    START_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    start: _timestamp_pb2.Timestamp
    taken: int
    def __init__(self, start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., taken: _Optional[int] = ...) -> None: ...

class GroupRates(_message.Message):
    __slots__ = ("dimension", "group", "held_up", "false_alarms", "ratio", "p_value", "alarming")
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    HELD_UP_FIELD_NUMBER: _ClassVar[int]
    FALSE_ALARMS_FIELD_NUMBER: _ClassVar[int]
    RATIO_FIELD_NUMBER: _ClassVar[int]
    P_VALUE_FIELD_NUMBER: _ClassVar[int]
    ALARMING_FIELD_NUMBER: _ClassVar[int]
    dimension: str
    group: str
    held_up: Rate
    false_alarms: Rate
    ratio: float
    p_value: float
    alarming: bool
    def __init__(self, dimension: _Optional[str] = ..., group: _Optional[str] = ..., held_up: _Optional[_Union[Rate, _Mapping]] = ..., false_alarms: _Optional[_Union[Rate, _Mapping]] = ..., ratio: _Optional[float] = ..., p_value: _Optional[float] = ..., alarming: _Optional[bool] = ...) -> None: ...

class Rate(_message.Message):
    __slots__ = ("count", "of", "value", "low", "high")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    OF_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    count: int
    of: int
    value: float
    low: float
    high: float
    def __init__(self, count: _Optional[int] = ..., of: _Optional[int] = ..., value: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class MissEstimate(_message.Message):
    __slots__ = ("reviewed", "allowed", "missed", "low", "high")
    REVIEWED_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_FIELD_NUMBER: _ClassVar[int]
    MISSED_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    reviewed: Rate
    allowed: int
    missed: float
    low: float
    high: float
    def __init__(self, reviewed: _Optional[_Union[Rate, _Mapping]] = ..., allowed: _Optional[int] = ..., missed: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...
