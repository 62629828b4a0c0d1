import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from usher.decision.v1 import decision_pb2 as _decision_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EnforcementResult(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENFORCEMENT_RESULT_UNSPECIFIED: _ClassVar[EnforcementResult]
    ENFORCEMENT_RESULT_CARRIED_OUT: _ClassVar[EnforcementResult]
    ENFORCEMENT_RESULT_NOT_CARRIED_OUT: _ClassVar[EnforcementResult]

class EnforcementStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENFORCEMENT_STATUS_UNSPECIFIED: _ClassVar[EnforcementStatus]
    ENFORCEMENT_STATUS_RECORDED: _ClassVar[EnforcementStatus]
    ENFORCEMENT_STATUS_DUPLICATE: _ClassVar[EnforcementStatus]
    ENFORCEMENT_STATUS_CONFLICT: _ClassVar[EnforcementStatus]
    ENFORCEMENT_STATUS_INVALID: _ClassVar[EnforcementStatus]
    ENFORCEMENT_STATUS_UNKNOWN: _ClassVar[EnforcementStatus]
    ENFORCEMENT_STATUS_NOT_ASKED: _ClassVar[EnforcementStatus]
ENFORCEMENT_RESULT_UNSPECIFIED: EnforcementResult
ENFORCEMENT_RESULT_CARRIED_OUT: EnforcementResult
ENFORCEMENT_RESULT_NOT_CARRIED_OUT: EnforcementResult
ENFORCEMENT_STATUS_UNSPECIFIED: EnforcementStatus
ENFORCEMENT_STATUS_RECORDED: EnforcementStatus
ENFORCEMENT_STATUS_DUPLICATE: EnforcementStatus
ENFORCEMENT_STATUS_CONFLICT: EnforcementStatus
ENFORCEMENT_STATUS_INVALID: EnforcementStatus
ENFORCEMENT_STATUS_UNKNOWN: EnforcementStatus
ENFORCEMENT_STATUS_NOT_ASKED: EnforcementStatus

class Enforcement(_message.Message):
    __slots__ = ("event_id", "action", "purpose", "result", "component", "reference", "enforced_time", "recorded_time")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    COMPONENT_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    ENFORCED_TIME_FIELD_NUMBER: _ClassVar[int]
    RECORDED_TIME_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    action: _decision_pb2.ActionKind
    purpose: str
    result: EnforcementResult
    component: str
    reference: str
    enforced_time: _timestamp_pb2.Timestamp
    recorded_time: _timestamp_pb2.Timestamp
    def __init__(self, event_id: _Optional[str] = ..., action: _Optional[_Union[_decision_pb2.ActionKind, str]] = ..., purpose: _Optional[str] = ..., result: _Optional[_Union[EnforcementResult, str]] = ..., component: _Optional[str] = ..., reference: _Optional[str] = ..., enforced_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recorded_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ReportEnforcementRequest(_message.Message):
    __slots__ = ("tenant", "enforcements")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ENFORCEMENTS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    enforcements: _containers.RepeatedCompositeFieldContainer[Enforcement]
    def __init__(self, tenant: _Optional[str] = ..., enforcements: _Optional[_Iterable[_Union[Enforcement, _Mapping]]] = ...) -> None: ...

class ReportEnforcementResponse(_message.Message):
    __slots__ = ("outcomes",)
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[EnforcementOutcome]
    def __init__(self, outcomes: _Optional[_Iterable[_Union[EnforcementOutcome, _Mapping]]] = ...) -> None: ...

class EnforcementOutcome(_message.Message):
    __slots__ = ("status", "error")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    status: EnforcementStatus
    error: str
    def __init__(self, status: _Optional[_Union[EnforcementStatus, str]] = ..., error: _Optional[str] = ...) -> None: ...

class ListEnforcementsRequest(_message.Message):
    __slots__ = ("tenant", "event_ids", "page_size", "page_token")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    EVENT_IDS_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    event_ids: _containers.RepeatedScalarFieldContainer[str]
    page_size: int
    page_token: str
    def __init__(self, tenant: _Optional[str] = ..., event_ids: _Optional[_Iterable[str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListEnforcementsResponse(_message.Message):
    __slots__ = ("enforcements", "next_page_token")
    ENFORCEMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    enforcements: _containers.RepeatedCompositeFieldContainer[Enforcement]
    next_page_token: str
    def __init__(self, enforcements: _Optional[_Iterable[_Union[Enforcement, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
