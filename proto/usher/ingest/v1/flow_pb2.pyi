import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SourceReport(_message.Message):
    __slots__ = ("tenant", "name", "instance", "kind", "lag_records", "lag_ms", "accepted", "failed", "refused", "poison", "waiting_for", "report_time")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LAG_RECORDS_FIELD_NUMBER: _ClassVar[int]
    LAG_MS_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    POISON_FIELD_NUMBER: _ClassVar[int]
    WAITING_FOR_FIELD_NUMBER: _ClassVar[int]
    REPORT_TIME_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    instance: str
    kind: str
    lag_records: int
    lag_ms: int
    accepted: int
    failed: int
    refused: int
    poison: int
    waiting_for: str
    report_time: _timestamp_pb2.Timestamp
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., instance: _Optional[str] = ..., kind: _Optional[str] = ..., lag_records: _Optional[int] = ..., lag_ms: _Optional[int] = ..., accepted: _Optional[int] = ..., failed: _Optional[int] = ..., refused: _Optional[int] = ..., poison: _Optional[int] = ..., waiting_for: _Optional[str] = ..., report_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ReportSourceRequest(_message.Message):
    __slots__ = ("report",)
    REPORT_FIELD_NUMBER: _ClassVar[int]
    report: SourceReport
    def __init__(self, report: _Optional[_Union[SourceReport, _Mapping]] = ...) -> None: ...

class ReportSourceResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListSourcesRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class ListSourcesResponse(_message.Message):
    __slots__ = ("sources",)
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    sources: _containers.RepeatedCompositeFieldContainer[SourceReport]
    def __init__(self, sources: _Optional[_Iterable[_Union[SourceReport, _Mapping]]] = ...) -> None: ...

class AckDecisionsRequest(_message.Message):
    __slots__ = ("tenant", "subscriber", "position")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIBER_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    subscriber: str
    position: int
    def __init__(self, tenant: _Optional[str] = ..., subscriber: _Optional[str] = ..., position: _Optional[int] = ...) -> None: ...

class AckDecisionsResponse(_message.Message):
    __slots__ = ("position",)
    POSITION_FIELD_NUMBER: _ClassVar[int]
    position: int
    def __init__(self, position: _Optional[int] = ...) -> None: ...

class Subscriber(_message.Message):
    __slots__ = ("tenant", "name", "position", "ack_time", "lag_decisions", "lag_ms")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ACK_TIME_FIELD_NUMBER: _ClassVar[int]
    LAG_DECISIONS_FIELD_NUMBER: _ClassVar[int]
    LAG_MS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    name: str
    position: int
    ack_time: _timestamp_pb2.Timestamp
    lag_decisions: int
    lag_ms: int
    def __init__(self, tenant: _Optional[str] = ..., name: _Optional[str] = ..., position: _Optional[int] = ..., ack_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lag_decisions: _Optional[int] = ..., lag_ms: _Optional[int] = ...) -> None: ...

class ListSubscribersRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class ListSubscribersResponse(_message.Message):
    __slots__ = ("subscribers",)
    SUBSCRIBERS_FIELD_NUMBER: _ClassVar[int]
    subscribers: _containers.RepeatedCompositeFieldContainer[Subscriber]
    def __init__(self, subscribers: _Optional[_Iterable[_Union[Subscriber, _Mapping]]] = ...) -> None: ...
