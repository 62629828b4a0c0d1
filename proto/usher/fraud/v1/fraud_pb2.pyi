import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from usher.event.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ResourceKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESOURCE_KIND_UNSPECIFIED: _ClassVar[ResourceKind]
    RESOURCE_KIND_DEVICE: _ClassVar[ResourceKind]
    RESOURCE_KIND_PAYMENT: _ClassVar[ResourceKind]
    RESOURCE_KIND_ADDRESS: _ClassVar[ResourceKind]
    RESOURCE_KIND_EMAIL_DOMAIN: _ClassVar[ResourceKind]
    RESOURCE_KIND_SIGNUP_ADDRESS: _ClassVar[ResourceKind]
RESOURCE_KIND_UNSPECIFIED: ResourceKind
RESOURCE_KIND_DEVICE: ResourceKind
RESOURCE_KIND_PAYMENT: ResourceKind
RESOURCE_KIND_ADDRESS: ResourceKind
RESOURCE_KIND_EMAIL_DOMAIN: ResourceKind
RESOURCE_KIND_SIGNUP_ADDRESS: ResourceKind

class AssessEventsRequest(_message.Message):
    __slots__ = ("tenant", "policy_set", "events", "places", "item_flags", "committed_through_ms", "batch_time_ms")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    POLICY_SET_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    ITEM_FLAGS_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_THROUGH_MS_FIELD_NUMBER: _ClassVar[int]
    BATCH_TIME_MS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    policy_set: str
    events: _containers.RepeatedScalarFieldContainer[bytes]
    places: _event_pb2.Places
    item_flags: _containers.RepeatedScalarFieldContainer[int]
    committed_through_ms: int
    batch_time_ms: int
    def __init__(self, tenant: _Optional[str] = ..., policy_set: _Optional[str] = ..., events: _Optional[_Iterable[bytes]] = ..., places: _Optional[_Union[_event_pb2.Places, _Mapping]] = ..., item_flags: _Optional[_Iterable[int]] = ..., committed_through_ms: _Optional[int] = ..., batch_time_ms: _Optional[int] = ...) -> None: ...

class AssessEventsResponse(_message.Message):
    __slots__ = ("signals", "signal_width", "assessments", "errors")
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_WIDTH_FIELD_NUMBER: _ClassVar[int]
    ASSESSMENTS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    signals: _containers.RepeatedScalarFieldContainer[float]
    signal_width: int
    assessments: _containers.RepeatedScalarFieldContainer[bytes]
    errors: _containers.RepeatedCompositeFieldContainer[_event_pb2.ItemError]
    def __init__(self, signals: _Optional[_Iterable[float]] = ..., signal_width: _Optional[int] = ..., assessments: _Optional[_Iterable[bytes]] = ..., errors: _Optional[_Iterable[_Union[_event_pb2.ItemError, _Mapping]]] = ...) -> None: ...

class RestoreRequest(_message.Message):
    __slots__ = ("tenant", "events", "places", "complete_through_ms")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_THROUGH_MS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    events: _containers.RepeatedScalarFieldContainer[bytes]
    places: _event_pb2.Places
    complete_through_ms: int
    def __init__(self, tenant: _Optional[str] = ..., events: _Optional[_Iterable[bytes]] = ..., places: _Optional[_Union[_event_pb2.Places, _Mapping]] = ..., complete_through_ms: _Optional[int] = ...) -> None: ...

class RestoreResponse(_message.Message):
    __slots__ = ("applied", "applied_through_ms")
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    APPLIED_THROUGH_MS_FIELD_NUMBER: _ClassVar[int]
    applied: int
    applied_through_ms: int
    def __init__(self, applied: _Optional[int] = ..., applied_through_ms: _Optional[int] = ...) -> None: ...

class ListRingsRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token", "minimum_score")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_SCORE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    minimum_score: float
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., minimum_score: _Optional[float] = ...) -> None: ...

class ListRingsResponse(_message.Message):
    __slots__ = ("rings", "next_page_token")
    RINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rings: _containers.RepeatedCompositeFieldContainer[Ring]
    next_page_token: str
    def __init__(self, rings: _Optional[_Iterable[_Union[Ring, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Ring(_message.Message):
    __slots__ = ("ring_id", "members", "member_count", "score", "shared", "first_seen_time", "last_seen_time", "flagged", "innocent_explanations")
    RING_ID_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    MEMBER_COUNT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    FLAGGED_FIELD_NUMBER: _ClassVar[int]
    INNOCENT_EXPLANATIONS_FIELD_NUMBER: _ClassVar[int]
    ring_id: str
    members: _containers.RepeatedScalarFieldContainer[str]
    member_count: int
    score: float
    shared: _containers.RepeatedCompositeFieldContainer[SharedResource]
    first_seen_time: _timestamp_pb2.Timestamp
    last_seen_time: _timestamp_pb2.Timestamp
    flagged: bool
    innocent_explanations: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, ring_id: _Optional[str] = ..., members: _Optional[_Iterable[str]] = ..., member_count: _Optional[int] = ..., score: _Optional[float] = ..., shared: _Optional[_Iterable[_Union[SharedResource, _Mapping]]] = ..., first_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., flagged: _Optional[bool] = ..., innocent_explanations: _Optional[_Iterable[str]] = ...) -> None: ...

class SharedResource(_message.Message):
    __slots__ = ("kind", "fingerprint", "accounts")
    KIND_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    kind: ResourceKind
    fingerprint: str
    accounts: int
    def __init__(self, kind: _Optional[_Union[ResourceKind, str]] = ..., fingerprint: _Optional[str] = ..., accounts: _Optional[int] = ...) -> None: ...
