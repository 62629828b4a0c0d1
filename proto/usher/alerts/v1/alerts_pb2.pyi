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

class RaiseAlertsRequest(_message.Message):
    __slots__ = ("messages",)
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[AlertMessage]
    def __init__(self, messages: _Optional[_Iterable[_Union[AlertMessage, _Mapping]]] = ...) -> None: ...

class AlertMessage(_message.Message):
    __slots__ = ("tenant", "event_id", "kind", "entity_kind", "entity", "severity", "event_time", "reasons", "summary", "traceparent")
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
    def __init__(self, tenant: _Optional[str] = ..., event_id: _Optional[str] = ..., kind: _Optional[str] = ..., entity_kind: _Optional[str] = ..., entity: _Optional[str] = ..., severity: _Optional[_Union[Severity, str]] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., reasons: _Optional[_Iterable[int]] = ..., summary: _Optional[str] = ..., traceparent: _Optional[str] = ...) -> None: ...

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
    __slots__ = ("tenant", "page_size", "page_token", "minimum_severity")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_SEVERITY_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    minimum_severity: Severity
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., minimum_severity: _Optional[_Union[Severity, str]] = ...) -> None: ...

class ListAlertsResponse(_message.Message):
    __slots__ = ("alerts", "next_page_token")
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    alerts: _containers.RepeatedCompositeFieldContainer[Alert]
    next_page_token: str
    def __init__(self, alerts: _Optional[_Iterable[_Union[Alert, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Alert(_message.Message):
    __slots__ = ("alert_id", "tenant", "kind", "entity_kind", "entity", "severity", "count", "first_time", "last_time", "first_event_id", "last_event_id", "reasons", "summary", "delivered_to")
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
    def __init__(self, alert_id: _Optional[str] = ..., tenant: _Optional[str] = ..., kind: _Optional[str] = ..., entity_kind: _Optional[str] = ..., entity: _Optional[str] = ..., severity: _Optional[_Union[Severity, str]] = ..., count: _Optional[int] = ..., first_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., first_event_id: _Optional[str] = ..., last_event_id: _Optional[str] = ..., reasons: _Optional[_Iterable[int]] = ..., summary: _Optional[str] = ..., delivered_to: _Optional[_Iterable[str]] = ...) -> None: ...
