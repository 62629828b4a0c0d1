import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from usher.decision.v1 import decision_pb2 as _decision_pb2
from usher.event.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EventStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_STATUS_UNSPECIFIED: _ClassVar[EventStatus]
    EVENT_STATUS_ACCEPTED: _ClassVar[EventStatus]
    EVENT_STATUS_DECIDED: _ClassVar[EventStatus]
    EVENT_STATUS_DUPLICATE: _ClassVar[EventStatus]
    EVENT_STATUS_CONFLICT: _ClassVar[EventStatus]
    EVENT_STATUS_FAILED: _ClassVar[EventStatus]
    EVENT_STATUS_REFUSED: _ClassVar[EventStatus]
EVENT_STATUS_UNSPECIFIED: EventStatus
EVENT_STATUS_ACCEPTED: EventStatus
EVENT_STATUS_DECIDED: EventStatus
EVENT_STATUS_DUPLICATE: EventStatus
EVENT_STATUS_CONFLICT: EventStatus
EVENT_STATUS_FAILED: EventStatus
EVENT_STATUS_REFUSED: EventStatus

class SubmitEventsRequest(_message.Message):
    __slots__ = ("tenant", "events")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    def __init__(self, tenant: _Optional[str] = ..., events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ...) -> None: ...

class SubmitEventsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[EventResult]
    def __init__(self, results: _Optional[_Iterable[_Union[EventResult, _Mapping]]] = ...) -> None: ...

class DecideEventsRequest(_message.Message):
    __slots__ = ("tenant", "events")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    events: _containers.RepeatedCompositeFieldContainer[_event_pb2.Event]
    def __init__(self, tenant: _Optional[str] = ..., events: _Optional[_Iterable[_Union[_event_pb2.Event, _Mapping]]] = ...) -> None: ...

class DecideEventsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[EventResult]
    def __init__(self, results: _Optional[_Iterable[_Union[EventResult, _Mapping]]] = ...) -> None: ...

class EventResult(_message.Message):
    __slots__ = ("status", "event_id", "decision", "failure")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    status: EventStatus
    event_id: str
    decision: _decision_pb2.Decision
    failure: Failure
    def __init__(self, status: _Optional[_Union[EventStatus, str]] = ..., event_id: _Optional[str] = ..., decision: _Optional[_Union[_decision_pb2.Decision, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("reason", "message", "violations", "failed_id", "retry_after_ms")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    FAILED_ID_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    reason: str
    message: str
    violations: _containers.RepeatedCompositeFieldContainer[_event_pb2.FieldViolation]
    failed_id: str
    retry_after_ms: int
    def __init__(self, reason: _Optional[str] = ..., message: _Optional[str] = ..., violations: _Optional[_Iterable[_Union[_event_pb2.FieldViolation, _Mapping]]] = ..., failed_id: _Optional[str] = ..., retry_after_ms: _Optional[int] = ...) -> None: ...

class GetDecisionRequest(_message.Message):
    __slots__ = ("tenant", "event_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    event_id: str
    def __init__(self, tenant: _Optional[str] = ..., event_id: _Optional[str] = ...) -> None: ...

class GetDecisionResponse(_message.Message):
    __slots__ = ("decision", "event")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    decision: _decision_pb2.Decision
    event: _event_pb2.Event
    def __init__(self, decision: _Optional[_Union[_decision_pb2.Decision, _Mapping]] = ..., event: _Optional[_Union[_event_pb2.Event, _Mapping]] = ...) -> None: ...

class ListDecisionsRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token", "minimum_outcome", "user_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_OUTCOME_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    minimum_outcome: _decision_pb2.Outcome
    user_id: str
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., minimum_outcome: _Optional[_Union[_decision_pb2.Outcome, str]] = ..., user_id: _Optional[str] = ...) -> None: ...

class ListDecisionsResponse(_message.Message):
    __slots__ = ("decisions", "next_page_token")
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    decisions: _containers.RepeatedCompositeFieldContainer[_decision_pb2.Decision]
    next_page_token: str
    def __init__(self, decisions: _Optional[_Iterable[_Union[_decision_pb2.Decision, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchDecisionsRequest(_message.Message):
    __slots__ = ("tenant", "after_position", "subscriber")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    AFTER_POSITION_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBER_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    after_position: int
    subscriber: str
    def __init__(self, tenant: _Optional[str] = ..., after_position: _Optional[int] = ..., subscriber: _Optional[str] = ...) -> None: ...

class WatchDecisionsResponse(_message.Message):
    __slots__ = ("decisions",)
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    decisions: _containers.RepeatedCompositeFieldContainer[_decision_pb2.Decision]
    def __init__(self, decisions: _Optional[_Iterable[_Union[_decision_pb2.Decision, _Mapping]]] = ...) -> None: ...

class GetAccountingRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class GetAccountingResponse(_message.Message):
    __slots__ = ("accounts",)
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[Accounting]
    def __init__(self, accounts: _Optional[_Iterable[_Union[Accounting, _Mapping]]] = ...) -> None: ...

class Accounting(_message.Message):
    __slots__ = ("tenant", "received", "accepted", "duplicate", "conflict", "refused", "decided", "failed", "superseded", "pending", "refused_by_reason", "balanced", "oldest_pending_ms")
    class RefusedByReasonEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    DECIDED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    SUPERSEDED_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    REFUSED_BY_REASON_FIELD_NUMBER: _ClassVar[int]
    BALANCED_FIELD_NUMBER: _ClassVar[int]
    OLDEST_PENDING_MS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    received: int
    accepted: int
    duplicate: int
    conflict: int
    refused: int
    decided: int
    failed: int
    superseded: int
    pending: int
    refused_by_reason: _containers.ScalarMap[str, int]
    balanced: bool
    oldest_pending_ms: int
    def __init__(self, tenant: _Optional[str] = ..., received: _Optional[int] = ..., accepted: _Optional[int] = ..., duplicate: _Optional[int] = ..., conflict: _Optional[int] = ..., refused: _Optional[int] = ..., decided: _Optional[int] = ..., failed: _Optional[int] = ..., superseded: _Optional[int] = ..., pending: _Optional[int] = ..., refused_by_reason: _Optional[_Mapping[str, int]] = ..., balanced: _Optional[bool] = ..., oldest_pending_ms: _Optional[int] = ...) -> None: ...

class ListFailedEventsRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token", "reason", "component", "open_only")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    OPEN_ONLY_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    reason: str
    component: str
    open_only: bool
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., reason: _Optional[str] = ..., component: _Optional[str] = ..., open_only: _Optional[bool] = ...) -> None: ...

class ListFailedEventsResponse(_message.Message):
    __slots__ = ("failed_events", "next_page_token")
    FAILED_EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    failed_events: _containers.RepeatedCompositeFieldContainer[FailedEvent]
    next_page_token: str
    def __init__(self, failed_events: _Optional[_Iterable[_Union[FailedEvent, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetFailedEventRequest(_message.Message):
    __slots__ = ("tenant", "failed_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    FAILED_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    failed_id: str
    def __init__(self, tenant: _Optional[str] = ..., failed_id: _Optional[str] = ...) -> None: ...

class GetFailedEventResponse(_message.Message):
    __slots__ = ("failed_event",)
    FAILED_EVENT_FIELD_NUMBER: _ClassVar[int]
    failed_event: FailedEvent
    def __init__(self, failed_event: _Optional[_Union[FailedEvent, _Mapping]] = ...) -> None: ...

class FailedEvent(_message.Message):
    __slots__ = ("failed_id", "tenant", "event_id", "failed_time", "failure", "component", "component_version", "payload", "replayed", "replayed_time", "replays", "replay_failure", "key_id", "locked", "expire_time")
    FAILED_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    FAILED_TIME_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    COMPONENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_TIME_FIELD_NUMBER: _ClassVar[int]
    REPLAYS_FIELD_NUMBER: _ClassVar[int]
    REPLAY_FAILURE_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    LOCKED_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    failed_id: str
    tenant: str
    event_id: str
    failed_time: _timestamp_pb2.Timestamp
    failure: Failure
    component: str
    component_version: str
    payload: bytes
    replayed: bool
    replayed_time: _timestamp_pb2.Timestamp
    replays: int
    replay_failure: Failure
    key_id: str
    locked: bool
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, failed_id: _Optional[str] = ..., tenant: _Optional[str] = ..., event_id: _Optional[str] = ..., failed_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., component: _Optional[str] = ..., component_version: _Optional[str] = ..., payload: _Optional[bytes] = ..., replayed: _Optional[bool] = ..., replayed_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., replays: _Optional[int] = ..., replay_failure: _Optional[_Union[Failure, _Mapping]] = ..., key_id: _Optional[str] = ..., locked: _Optional[bool] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ReplayFailedEventsRequest(_message.Message):
    __slots__ = ("tenant", "failed_ids", "accept_attacks", "actor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    FAILED_IDS_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_ATTACKS_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    failed_ids: _containers.RepeatedScalarFieldContainer[str]
    accept_attacks: bool
    actor: str
    def __init__(self, tenant: _Optional[str] = ..., failed_ids: _Optional[_Iterable[str]] = ..., accept_attacks: _Optional[bool] = ..., actor: _Optional[str] = ...) -> None: ...

class ReplayFailedEventsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ReplayResult]
    def __init__(self, results: _Optional[_Iterable[_Union[ReplayResult, _Mapping]]] = ...) -> None: ...

class ReplayResult(_message.Message):
    __slots__ = ("failed_id", "result")
    FAILED_ID_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    failed_id: str
    result: EventResult
    def __init__(self, failed_id: _Optional[str] = ..., result: _Optional[_Union[EventResult, _Mapping]] = ...) -> None: ...

class GetSecurityStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetSecurityStatusResponse(_message.Message):
    __slots__ = ("since_time", "patterns")
    SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    PATTERNS_FIELD_NUMBER: _ClassVar[int]
    since_time: _timestamp_pb2.Timestamp
    patterns: _containers.RepeatedCompositeFieldContainer[SecurityPattern]
    def __init__(self, since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., patterns: _Optional[_Iterable[_Union[SecurityPattern, _Mapping]]] = ...) -> None: ...

class SecurityPattern(_message.Message):
    __slots__ = ("pattern_id", "attack", "about", "strict", "hits")
    PATTERN_ID_FIELD_NUMBER: _ClassVar[int]
    ATTACK_FIELD_NUMBER: _ClassVar[int]
    ABOUT_FIELD_NUMBER: _ClassVar[int]
    STRICT_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    pattern_id: str
    attack: str
    about: str
    strict: bool
    hits: int
    def __init__(self, pattern_id: _Optional[str] = ..., attack: _Optional[str] = ..., about: _Optional[str] = ..., strict: _Optional[bool] = ..., hits: _Optional[int] = ...) -> None: ...

class SetModeRequest(_message.Message):
    __slots__ = ("tenant", "event_class", "mode", "actor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    EVENT_CLASS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    event_class: _event_pb2.EventClass
    mode: _decision_pb2.Mode
    actor: str
    def __init__(self, tenant: _Optional[str] = ..., event_class: _Optional[_Union[_event_pb2.EventClass, str]] = ..., mode: _Optional[_Union[_decision_pb2.Mode, str]] = ..., actor: _Optional[str] = ...) -> None: ...

class SetModeResponse(_message.Message):
    __slots__ = ("modes",)
    MODES_FIELD_NUMBER: _ClassVar[int]
    modes: _containers.RepeatedScalarFieldContainer[_decision_pb2.Mode]
    def __init__(self, modes: _Optional[_Iterable[_Union[_decision_pb2.Mode, str]]] = ...) -> None: ...

class GetModeRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class GetModeResponse(_message.Message):
    __slots__ = ("classes",)
    CLASSES_FIELD_NUMBER: _ClassVar[int]
    classes: _containers.RepeatedCompositeFieldContainer[ClassMode]
    def __init__(self, classes: _Optional[_Iterable[_Union[ClassMode, _Mapping]]] = ...) -> None: ...

class ClassMode(_message.Message):
    __slots__ = ("event_class", "mode", "actor", "set_time")
    EVENT_CLASS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    SET_TIME_FIELD_NUMBER: _ClassVar[int]
    event_class: _event_pb2.EventClass
    mode: _decision_pb2.Mode
    actor: str
    set_time: _timestamp_pb2.Timestamp
    def __init__(self, event_class: _Optional[_Union[_event_pb2.EventClass, str]] = ..., mode: _Optional[_Union[_decision_pb2.Mode, str]] = ..., actor: _Optional[str] = ..., set_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class EventBatch(_message.Message):
    __slots__ = ("tenant", "events")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    events: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, tenant: _Optional[str] = ..., events: _Optional[_Iterable[bytes]] = ...) -> None: ...
