import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEVERITY_UNSPECIFIED: _ClassVar[Severity]
    SEVERITY_LOW: _ClassVar[Severity]
    SEVERITY_MEDIUM: _ClassVar[Severity]
    SEVERITY_HIGH: _ClassVar[Severity]
    SEVERITY_CRITICAL: _ClassVar[Severity]

class RaiseStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RAISE_STATUS_UNSPECIFIED: _ClassVar[RaiseStatus]
    RAISE_STATUS_OPENED: _ClassVar[RaiseStatus]
    RAISE_STATUS_GROUPED: _ClassVar[RaiseStatus]
    RAISE_STATUS_DUPLICATE: _ClassVar[RaiseStatus]
    RAISE_STATUS_INVALID: _ClassVar[RaiseStatus]

class AlertState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALERT_STATE_UNSPECIFIED: _ClassVar[AlertState]
    ALERT_STATE_OPEN: _ClassVar[AlertState]
    ALERT_STATE_ACKNOWLEDGED: _ClassVar[AlertState]
    ALERT_STATE_RESOLVED: _ClassVar[AlertState]
    ALERT_STATE_FALSE_ALARM: _ClassVar[AlertState]

class Silence(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SILENCE_UNSPECIFIED: _ClassVar[Silence]
    SILENCE_SNOOZED: _ClassVar[Silence]
    SILENCE_INHIBITED: _ClassVar[Silence]
    SILENCE_STORM: _ClassVar[Silence]

class AlertAct(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALERT_ACT_UNSPECIFIED: _ClassVar[AlertAct]
    ALERT_ACT_ACKNOWLEDGE: _ClassVar[AlertAct]
    ALERT_ACT_ASSIGN: _ClassVar[AlertAct]
    ALERT_ACT_RESOLVE: _ClassVar[AlertAct]
    ALERT_ACT_FALSE_ALARM: _ClassVar[AlertAct]
    ALERT_ACT_REOPEN: _ClassVar[AlertAct]

class DeliveryState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DELIVERY_STATE_UNSPECIFIED: _ClassVar[DeliveryState]
    DELIVERY_STATE_PENDING: _ClassVar[DeliveryState]
    DELIVERY_STATE_DELIVERED: _ClassVar[DeliveryState]
    DELIVERY_STATE_DEAD: _ClassVar[DeliveryState]
    DELIVERY_STATE_CANCELLED: _ClassVar[DeliveryState]

class IncidentState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INCIDENT_STATE_UNSPECIFIED: _ClassVar[IncidentState]
    INCIDENT_STATE_OPEN: _ClassVar[IncidentState]
    INCIDENT_STATE_ACKNOWLEDGED: _ClassVar[IncidentState]
    INCIDENT_STATE_INVESTIGATING: _ClassVar[IncidentState]
    INCIDENT_STATE_RESOLVED: _ClassVar[IncidentState]
    INCIDENT_STATE_FALSE_ALARM: _ClassVar[IncidentState]
SEVERITY_UNSPECIFIED: Severity
SEVERITY_LOW: Severity
SEVERITY_MEDIUM: Severity
SEVERITY_HIGH: Severity
SEVERITY_CRITICAL: Severity
RAISE_STATUS_UNSPECIFIED: RaiseStatus
RAISE_STATUS_OPENED: RaiseStatus
RAISE_STATUS_GROUPED: RaiseStatus
RAISE_STATUS_DUPLICATE: RaiseStatus
RAISE_STATUS_INVALID: RaiseStatus
ALERT_STATE_UNSPECIFIED: AlertState
ALERT_STATE_OPEN: AlertState
ALERT_STATE_ACKNOWLEDGED: AlertState
ALERT_STATE_RESOLVED: AlertState
ALERT_STATE_FALSE_ALARM: AlertState
SILENCE_UNSPECIFIED: Silence
SILENCE_SNOOZED: Silence
SILENCE_INHIBITED: Silence
SILENCE_STORM: Silence
ALERT_ACT_UNSPECIFIED: AlertAct
ALERT_ACT_ACKNOWLEDGE: AlertAct
ALERT_ACT_ASSIGN: AlertAct
ALERT_ACT_RESOLVE: AlertAct
ALERT_ACT_FALSE_ALARM: AlertAct
ALERT_ACT_REOPEN: AlertAct
DELIVERY_STATE_UNSPECIFIED: DeliveryState
DELIVERY_STATE_PENDING: DeliveryState
DELIVERY_STATE_DELIVERED: DeliveryState
DELIVERY_STATE_DEAD: DeliveryState
DELIVERY_STATE_CANCELLED: DeliveryState
INCIDENT_STATE_UNSPECIFIED: IncidentState
INCIDENT_STATE_OPEN: IncidentState
INCIDENT_STATE_ACKNOWLEDGED: IncidentState
INCIDENT_STATE_INVESTIGATING: IncidentState
INCIDENT_STATE_RESOLVED: IncidentState
INCIDENT_STATE_FALSE_ALARM: IncidentState

class RaiseAlertsRequest(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[AlertMessage]
    def __init__(self, messages: _Optional[_Iterable[_Union[AlertMessage, _Mapping]]] = ...) -> None: ...

class AlertMessage(_message.Message):
    __slots__ = ("tenant", "event_id", "kind", "entity_kind", "entity", "severity", "event_time", "reasons", "summary", "traceparent", "segment", "regulations", "ring_id", "subjects", "likelihood")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ENTITY_KIND_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    REGULATIONS_FIELD_NUMBER: _ClassVar[int]
    RING_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECTS_FIELD_NUMBER: _ClassVar[int]
    LIKELIHOOD_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    event_id: str
    kind: str
    entity_kind: str
    entity: str
    severity: Severity
    event_time: _timestamp_pb2.Timestamp
    reasons: _containers.RepeatedScalarFieldContainer[int]
    summary: str
    traceparent: str
    segment: int
    regulations: _containers.RepeatedScalarFieldContainer[str]
    ring_id: str
    subjects: _containers.RepeatedCompositeFieldContainer[Subject]
    likelihood: float
    def __init__(self, tenant: _Optional[str] = ..., event_id: _Optional[str] = ..., kind: _Optional[str] = ..., entity_kind: _Optional[str] = ..., entity: _Optional[str] = ..., severity: _Optional[_Union[Severity, str]] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reasons: _Optional[_Iterable[int]] = ..., summary: _Optional[str] = ..., traceparent: _Optional[str] = ..., segment: _Optional[int] = ..., regulations: _Optional[_Iterable[str]] = ..., ring_id: _Optional[str] = ..., subjects: _Optional[_Iterable[_Union[Subject, _Mapping]]] = ..., likelihood: _Optional[float] = ...) -> None: ...

class Subject(_message.Message):
    __slots__ = ("kind", "value")
    KIND_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    value: str
    def __init__(self, kind: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class RaiseAlertsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[RaiseResult]
    def __init__(self, results: _Optional[_Iterable[_Union[RaiseResult, _Mapping]]] = ...) -> None: ...

class RaiseResult(_message.Message):
    __slots__ = ("status", "alert_id", "error")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ALERT_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    status: RaiseStatus
    alert_id: str
    error: str
    def __init__(self, status: _Optional[_Union[RaiseStatus, str]] = ..., alert_id: _Optional[str] = ..., error: _Optional[str] = ...) -> None: ...

class ListAlertsRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token", "minimum_severity", "states", "subject", "kind", "assignee")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_SEVERITY_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ASSIGNEE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    minimum_severity: Severity
    states: _containers.RepeatedScalarFieldContainer[AlertState]
    subject: Subject
    kind: str
    assignee: str
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., minimum_severity: _Optional[_Union[Severity, str]] = ..., states: _Optional[_Iterable[_Union[AlertState, str]]] = ..., subject: _Optional[_Union[Subject, _Mapping]] = ..., kind: _Optional[str] = ..., assignee: _Optional[str] = ...) -> None: ...

class ListAlertsResponse(_message.Message):
    __slots__ = ("alerts", "next_page_token")
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    alerts: _containers.RepeatedCompositeFieldContainer[Alert]
    next_page_token: str
    def __init__(self, alerts: _Optional[_Iterable[_Union[Alert, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Alert(_message.Message):
    __slots__ = ("alert_id", "tenant", "kind", "entity_kind", "entity", "severity", "count", "first_time", "last_time", "first_event_id", "last_event_id", "reasons", "summary", "delivered_to", "state", "assignee", "segment", "regulations", "ring_id", "subjects", "likelihood", "expected_loss", "event_ids", "incident", "silence", "changed", "digest_id", "digest")
    ALERT_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ENTITY_KIND_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_FIELD_NUMBER: _ClassVar[int]
    FIRST_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    LAST_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_TO_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ASSIGNEE_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    REGULATIONS_FIELD_NUMBER: _ClassVar[int]
    RING_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECTS_FIELD_NUMBER: _ClassVar[int]
    LIKELIHOOD_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_LOSS_FIELD_NUMBER: _ClassVar[int]
    EVENT_IDS_FIELD_NUMBER: _ClassVar[int]
    INCIDENT_FIELD_NUMBER: _ClassVar[int]
    SILENCE_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    DIGEST_ID_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    alert_id: str
    tenant: str
    kind: str
    entity_kind: str
    entity: str
    severity: Severity
    count: int
    first_time: _timestamp_pb2.Timestamp
    last_time: _timestamp_pb2.Timestamp
    first_event_id: str
    last_event_id: str
    reasons: _containers.RepeatedScalarFieldContainer[int]
    summary: str
    delivered_to: _containers.RepeatedScalarFieldContainer[str]
    state: AlertState
    assignee: str
    segment: int
    regulations: _containers.RepeatedScalarFieldContainer[str]
    ring_id: str
    subjects: _containers.RepeatedCompositeFieldContainer[Subject]
    likelihood: float
    expected_loss: float
    event_ids: _containers.RepeatedScalarFieldContainer[str]
    incident: str
    silence: Silence
    changed: int
    digest_id: str
    digest: _containers.RepeatedCompositeFieldContainer[DigestLine]
    def __init__(self, alert_id: _Optional[str] = ..., tenant: _Optional[str] = ..., kind: _Optional[str] = ..., entity_kind: _Optional[str] = ..., entity: _Optional[str] = ..., severity: _Optional[_Union[Severity, str]] = ..., count: _Optional[int] = ..., first_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., first_event_id: _Optional[str] = ..., last_event_id: _Optional[str] = ..., reasons: _Optional[_Iterable[int]] = ..., summary: _Optional[str] = ..., delivered_to: _Optional[_Iterable[str]] = ..., state: _Optional[_Union[AlertState, str]] = ..., assignee: _Optional[str] = ..., segment: _Optional[int] = ..., regulations: _Optional[_Iterable[str]] = ..., ring_id: _Optional[str] = ..., subjects: _Optional[_Iterable[_Union[Subject, _Mapping]]] = ..., likelihood: _Optional[float] = ..., expected_loss: _Optional[float] = ..., event_ids: _Optional[_Iterable[str]] = ..., incident: _Optional[str] = ..., silence: _Optional[_Union[Silence, str]] = ..., changed: _Optional[int] = ..., digest_id: _Optional[str] = ..., digest: _Optional[_Iterable[_Union[DigestLine, _Mapping]]] = ...) -> None: ...

class DigestLine(_message.Message):
    __slots__ = ("kind", "severity", "count")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    kind: str
    severity: Severity
    count: int
    def __init__(self, kind: _Optional[str] = ..., severity: _Optional[_Union[Severity, str]] = ..., count: _Optional[int] = ...) -> None: ...

class GetAlertRequest(_message.Message):
    __slots__ = ("tenant", "alert_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ALERT_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    alert_id: str
    def __init__(self, tenant: _Optional[str] = ..., alert_id: _Optional[str] = ...) -> None: ...

class GetAlertResponse(_message.Message):
    __slots__ = ("alert", "deliveries")
    ALERT_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    alert: Alert
    deliveries: _containers.RepeatedCompositeFieldContainer[Delivery]
    def __init__(self, alert: _Optional[_Union[Alert, _Mapping]] = ..., deliveries: _Optional[_Iterable[_Union[Delivery, _Mapping]]] = ...) -> None: ...

class WatchAlertsRequest(_message.Message):
    __slots__ = ("tenant", "after_changed", "minimum_severity")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    AFTER_CHANGED_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_SEVERITY_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    after_changed: int
    minimum_severity: Severity
    def __init__(self, tenant: _Optional[str] = ..., after_changed: _Optional[int] = ..., minimum_severity: _Optional[_Union[Severity, str]] = ...) -> None: ...

class WatchAlertsResponse(_message.Message):
    __slots__ = ("alerts",)
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    alerts: _containers.RepeatedCompositeFieldContainer[Alert]
    def __init__(self, alerts: _Optional[_Iterable[_Union[Alert, _Mapping]]] = ...) -> None: ...

class GetWorkQueueRequest(_message.Message):
    __slots__ = ("tenant", "capacity", "assignee")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    ASSIGNEE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    capacity: int
    assignee: str
    def __init__(self, tenant: _Optional[str] = ..., capacity: _Optional[int] = ..., assignee: _Optional[str] = ...) -> None: ...

class GetWorkQueueResponse(_message.Message):
    __slots__ = ("alerts", "within_capacity", "done_today", "waiting", "loss_beyond")
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    WITHIN_CAPACITY_FIELD_NUMBER: _ClassVar[int]
    DONE_TODAY_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    LOSS_BEYOND_FIELD_NUMBER: _ClassVar[int]
    alerts: _containers.RepeatedCompositeFieldContainer[Alert]
    within_capacity: int
    done_today: int
    waiting: int
    loss_beyond: float
    def __init__(self, alerts: _Optional[_Iterable[_Union[Alert, _Mapping]]] = ..., within_capacity: _Optional[int] = ..., done_today: _Optional[int] = ..., waiting: _Optional[int] = ..., loss_beyond: _Optional[float] = ...) -> None: ...

class ActOnAlertsRequest(_message.Message):
    __slots__ = ("tenant", "act", "actor", "alert_ids", "selection", "assignee", "preview", "note", "label")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ACT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    ALERT_IDS_FIELD_NUMBER: _ClassVar[int]
    SELECTION_FIELD_NUMBER: _ClassVar[int]
    ASSIGNEE_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    act: AlertAct
    actor: str
    alert_ids: _containers.RepeatedScalarFieldContainer[str]
    selection: ListAlertsRequest
    assignee: str
    preview: bool
    note: str
    label: bool
    def __init__(self, tenant: _Optional[str] = ..., act: _Optional[_Union[AlertAct, str]] = ..., actor: _Optional[str] = ..., alert_ids: _Optional[_Iterable[str]] = ..., selection: _Optional[_Union[ListAlertsRequest, _Mapping]] = ..., assignee: _Optional[str] = ..., preview: _Optional[bool] = ..., note: _Optional[str] = ..., label: _Optional[bool] = ...) -> None: ...

class ActOnAlertsResponse(_message.Message):
    __slots__ = ("selected", "changed", "alerts", "entities", "unknown")
    SELECTED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    ENTITIES_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    selected: int
    changed: int
    alerts: _containers.RepeatedCompositeFieldContainer[Alert]
    entities: int
    unknown: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, selected: _Optional[int] = ..., changed: _Optional[int] = ..., alerts: _Optional[_Iterable[_Union[Alert, _Mapping]]] = ..., entities: _Optional[int] = ..., unknown: _Optional[_Iterable[str]] = ...) -> None: ...

class Snooze(_message.Message):
    __slots__ = ("snooze_id", "entity_kind", "entity", "kind", "until_time", "reason", "actor", "created_time")
    SNOOZE_ID_FIELD_NUMBER: _ClassVar[int]
    ENTITY_KIND_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CREATED_TIME_FIELD_NUMBER: _ClassVar[int]
    snooze_id: str
    entity_kind: str
    entity: str
    kind: str
    until_time: _timestamp_pb2.Timestamp
    reason: str
    actor: str
    created_time: _timestamp_pb2.Timestamp
    def __init__(self, snooze_id: _Optional[str] = ..., entity_kind: _Optional[str] = ..., entity: _Optional[str] = ..., kind: _Optional[str] = ..., until_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reason: _Optional[str] = ..., actor: _Optional[str] = ..., created_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SnoozeEntityRequest(_message.Message):
    __slots__ = ("tenant", "snooze")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SNOOZE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    snooze: Snooze
    def __init__(self, tenant: _Optional[str] = ..., snooze: _Optional[_Union[Snooze, _Mapping]] = ...) -> None: ...

class SnoozeEntityResponse(_message.Message):
    __slots__ = ("snooze",)
    SNOOZE_FIELD_NUMBER: _ClassVar[int]
    snooze: Snooze
    def __init__(self, snooze: _Optional[_Union[Snooze, _Mapping]] = ...) -> None: ...

class LiftSnoozeRequest(_message.Message):
    __slots__ = ("tenant", "snooze_id", "actor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SNOOZE_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    snooze_id: str
    actor: str
    def __init__(self, tenant: _Optional[str] = ..., snooze_id: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class LiftSnoozeResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSnoozesRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class ListSnoozesResponse(_message.Message):
    __slots__ = ("snoozes",)
    SNOOZES_FIELD_NUMBER: _ClassVar[int]
    snoozes: _containers.RepeatedCompositeFieldContainer[Snooze]
    def __init__(self, snoozes: _Optional[_Iterable[_Union[Snooze, _Mapping]]] = ...) -> None: ...

class Delivery(_message.Message):
    __slots__ = ("delivery_id", "telling_id", "channel", "alert_id", "change", "severity", "state", "attempts", "time", "status", "response", "step")
    DELIVERY_ID_FIELD_NUMBER: _ClassVar[int]
    TELLING_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ALERT_ID_FIELD_NUMBER: _ClassVar[int]
    CHANGE_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    delivery_id: int
    telling_id: str
    channel: str
    alert_id: str
    change: str
    severity: Severity
    state: DeliveryState
    attempts: int
    time: _timestamp_pb2.Timestamp
    status: int
    response: str
    step: int
    def __init__(self, delivery_id: _Optional[int] = ..., telling_id: _Optional[str] = ..., channel: _Optional[str] = ..., alert_id: _Optional[str] = ..., change: _Optional[str] = ..., severity: _Optional[_Union[Severity, str]] = ..., state: _Optional[_Union[DeliveryState, str]] = ..., attempts: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., status: _Optional[int] = ..., response: _Optional[str] = ..., step: _Optional[int] = ...) -> None: ...

class ListDeliveriesRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token", "channel", "state")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    channel: str
    state: DeliveryState
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., channel: _Optional[str] = ..., state: _Optional[_Union[DeliveryState, str]] = ...) -> None: ...

class ListDeliveriesResponse(_message.Message):
    __slots__ = ("deliveries", "next_page_token")
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    deliveries: _containers.RepeatedCompositeFieldContainer[Delivery]
    next_page_token: str
    def __init__(self, deliveries: _Optional[_Iterable[_Union[Delivery, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ReplayDeliveriesRequest(_message.Message):
    __slots__ = ("tenant", "delivery_ids", "channel", "actor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    DELIVERY_IDS_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    delivery_ids: _containers.RepeatedScalarFieldContainer[int]
    channel: str
    actor: str
    def __init__(self, tenant: _Optional[str] = ..., delivery_ids: _Optional[_Iterable[int]] = ..., channel: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class ReplayDeliveriesResponse(_message.Message):
    __slots__ = ("replayed",)
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    replayed: int
    def __init__(self, replayed: _Optional[int] = ...) -> None: ...

class TestRouteRequest(_message.Message):
    __slots__ = ("message", "at_time")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    AT_TIME_FIELD_NUMBER: _ClassVar[int]
    message: AlertMessage
    at_time: _timestamp_pb2.Timestamp
    def __init__(self, message: _Optional[_Union[AlertMessage, _Mapping]] = ..., at_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TestRouteResponse(_message.Message):
    __slots__ = ("tellings", "grouped_by", "window_seconds", "opens_incident", "expected_loss")
    TELLINGS_FIELD_NUMBER: _ClassVar[int]
    GROUPED_BY_FIELD_NUMBER: _ClassVar[int]
    WINDOW_SECONDS_FIELD_NUMBER: _ClassVar[int]
    OPENS_INCIDENT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_LOSS_FIELD_NUMBER: _ClassVar[int]
    tellings: _containers.RepeatedCompositeFieldContainer[PlannedTelling]
    grouped_by: str
    window_seconds: float
    opens_incident: bool
    expected_loss: float
    def __init__(self, tellings: _Optional[_Iterable[_Union[PlannedTelling, _Mapping]]] = ..., grouped_by: _Optional[str] = ..., window_seconds: _Optional[float] = ..., opens_incident: _Optional[bool] = ..., expected_loss: _Optional[float] = ...) -> None: ...

class PlannedTelling(_message.Message):
    __slots__ = ("channel", "type", "route", "time", "step")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ROUTE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    channel: str
    type: str
    route: str
    time: _timestamp_pb2.Timestamp
    step: int
    def __init__(self, channel: _Optional[str] = ..., type: _Optional[str] = ..., route: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., step: _Optional[int] = ...) -> None: ...

class Incident(_message.Message):
    __slots__ = ("number", "tenant", "title", "state", "severity", "assignee", "created_time", "acknowledge_by_time", "resolve_by_time", "acknowledged_time", "resolved_time", "alert_ids", "event_ids", "ring_id", "entity_kind", "entity", "reopened", "overdue")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    ASSIGNEE_FIELD_NUMBER: _ClassVar[int]
    CREATED_TIME_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGE_BY_TIME_FIELD_NUMBER: _ClassVar[int]
    RESOLVE_BY_TIME_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_TIME_FIELD_NUMBER: _ClassVar[int]
    RESOLVED_TIME_FIELD_NUMBER: _ClassVar[int]
    ALERT_IDS_FIELD_NUMBER: _ClassVar[int]
    EVENT_IDS_FIELD_NUMBER: _ClassVar[int]
    RING_ID_FIELD_NUMBER: _ClassVar[int]
    ENTITY_KIND_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    REOPENED_FIELD_NUMBER: _ClassVar[int]
    OVERDUE_FIELD_NUMBER: _ClassVar[int]
    number: str
    tenant: str
    title: str
    state: IncidentState
    severity: Severity
    assignee: str
    created_time: _timestamp_pb2.Timestamp
    acknowledge_by_time: _timestamp_pb2.Timestamp
    resolve_by_time: _timestamp_pb2.Timestamp
    acknowledged_time: _timestamp_pb2.Timestamp
    resolved_time: _timestamp_pb2.Timestamp
    alert_ids: _containers.RepeatedScalarFieldContainer[str]
    event_ids: _containers.RepeatedScalarFieldContainer[str]
    ring_id: str
    entity_kind: str
    entity: str
    reopened: int
    overdue: str
    def __init__(self, number: _Optional[str] = ..., tenant: _Optional[str] = ..., title: _Optional[str] = ..., state: _Optional[_Union[IncidentState, str]] = ..., severity: _Optional[_Union[Severity, str]] = ..., assignee: _Optional[str] = ..., created_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., acknowledge_by_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., resolve_by_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., acknowledged_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., resolved_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., alert_ids: _Optional[_Iterable[str]] = ..., event_ids: _Optional[_Iterable[str]] = ..., ring_id: _Optional[str] = ..., entity_kind: _Optional[str] = ..., entity: _Optional[str] = ..., reopened: _Optional[int] = ..., overdue: _Optional[str] = ...) -> None: ...

class TimelineEntry(_message.Message):
    __slots__ = ("time", "actor", "what", "text")
    TIME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    actor: str
    what: str
    text: str
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ..., what: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class CreateIncidentRequest(_message.Message):
    __slots__ = ("tenant", "title", "alert_ids", "severity", "actor", "request_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    ALERT_IDS_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    title: str
    alert_ids: _containers.RepeatedScalarFieldContainer[str]
    severity: Severity
    actor: str
    request_id: str
    def __init__(self, tenant: _Optional[str] = ..., title: _Optional[str] = ..., alert_ids: _Optional[_Iterable[str]] = ..., severity: _Optional[_Union[Severity, str]] = ..., actor: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class CreateIncidentResponse(_message.Message):
    __slots__ = ("incident",)
    INCIDENT_FIELD_NUMBER: _ClassVar[int]
    incident: Incident
    def __init__(self, incident: _Optional[_Union[Incident, _Mapping]] = ...) -> None: ...

class GetIncidentRequest(_message.Message):
    __slots__ = ("tenant", "number")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    number: str
    def __init__(self, tenant: _Optional[str] = ..., number: _Optional[str] = ...) -> None: ...

class GetIncidentResponse(_message.Message):
    __slots__ = ("incident", "timeline")
    INCIDENT_FIELD_NUMBER: _ClassVar[int]
    TIMELINE_FIELD_NUMBER: _ClassVar[int]
    incident: Incident
    timeline: _containers.RepeatedCompositeFieldContainer[TimelineEntry]
    def __init__(self, incident: _Optional[_Union[Incident, _Mapping]] = ..., timeline: _Optional[_Iterable[_Union[TimelineEntry, _Mapping]]] = ...) -> None: ...

class ListIncidentsRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token", "states", "assignee")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    ASSIGNEE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    states: _containers.RepeatedScalarFieldContainer[IncidentState]
    assignee: str
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., states: _Optional[_Iterable[_Union[IncidentState, str]]] = ..., assignee: _Optional[str] = ...) -> None: ...

class ListIncidentsResponse(_message.Message):
    __slots__ = ("incidents", "next_page_token")
    INCIDENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    incidents: _containers.RepeatedCompositeFieldContainer[Incident]
    next_page_token: str
    def __init__(self, incidents: _Optional[_Iterable[_Union[Incident, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateIncidentRequest(_message.Message):
    __slots__ = ("tenant", "number", "actor", "state", "assignee", "assign", "note", "link", "add_alert_ids", "severity")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ASSIGNEE_FIELD_NUMBER: _ClassVar[int]
    ASSIGN_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    LINK_FIELD_NUMBER: _ClassVar[int]
    ADD_ALERT_IDS_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    number: str
    actor: str
    state: IncidentState
    assignee: str
    assign: bool
    note: str
    link: str
    add_alert_ids: _containers.RepeatedScalarFieldContainer[str]
    severity: Severity
    def __init__(self, tenant: _Optional[str] = ..., number: _Optional[str] = ..., actor: _Optional[str] = ..., state: _Optional[_Union[IncidentState, str]] = ..., assignee: _Optional[str] = ..., assign: _Optional[bool] = ..., note: _Optional[str] = ..., link: _Optional[str] = ..., add_alert_ids: _Optional[_Iterable[str]] = ..., severity: _Optional[_Union[Severity, str]] = ...) -> None: ...

class UpdateIncidentResponse(_message.Message):
    __slots__ = ("incident",)
    INCIDENT_FIELD_NUMBER: _ClassVar[int]
    incident: Incident
    def __init__(self, incident: _Optional[_Union[Incident, _Mapping]] = ...) -> None: ...
