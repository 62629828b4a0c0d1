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

class RingStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RING_STATUS_UNSPECIFIED: _ClassVar[RingStatus]
    RING_STATUS_OPEN: _ClassVar[RingStatus]
    RING_STATUS_CONFIRMED: _ClassVar[RingStatus]
    RING_STATUS_DISMISSED: _ClassVar[RingStatus]

class OutcomeVerdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_VERDICT_UNSPECIFIED: _ClassVar[OutcomeVerdict]
    OUTCOME_VERDICT_FRAUD: _ClassVar[OutcomeVerdict]
    OUTCOME_VERDICT_INNOCENT: _ClassVar[OutcomeVerdict]

class AddressClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ADDRESS_CLASS_UNSPECIFIED: _ClassVar[AddressClass]
    ADDRESS_CLASS_HOUSEHOLD: _ClassVar[AddressClass]
    ADDRESS_CLASS_CARRIER: _ClassVar[AddressClass]
    ADDRESS_CLASS_CAMPUS: _ClassVar[AddressClass]
    ADDRESS_CLASS_VPN: _ClassVar[AddressClass]
    ADDRESS_CLASS_RELAY: _ClassVar[AddressClass]
    ADDRESS_CLASS_HOSTING: _ClassVar[AddressClass]
    ADDRESS_CLASS_TOR: _ClassVar[AddressClass]

class ResourceKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESOURCE_KIND_UNSPECIFIED: _ClassVar[ResourceKind]
    RESOURCE_KIND_DEVICE: _ClassVar[ResourceKind]
    RESOURCE_KIND_PAYMENT: _ClassVar[ResourceKind]
    RESOURCE_KIND_ADDRESS: _ClassVar[ResourceKind]
    RESOURCE_KIND_EMAIL_DOMAIN: _ClassVar[ResourceKind]
    RESOURCE_KIND_SIGNUP_ADDRESS: _ClassVar[ResourceKind]
RING_STATUS_UNSPECIFIED: RingStatus
RING_STATUS_OPEN: RingStatus
RING_STATUS_CONFIRMED: RingStatus
RING_STATUS_DISMISSED: RingStatus
OUTCOME_VERDICT_UNSPECIFIED: OutcomeVerdict
OUTCOME_VERDICT_FRAUD: OutcomeVerdict
OUTCOME_VERDICT_INNOCENT: OutcomeVerdict
ADDRESS_CLASS_UNSPECIFIED: AddressClass
ADDRESS_CLASS_HOUSEHOLD: AddressClass
ADDRESS_CLASS_CARRIER: AddressClass
ADDRESS_CLASS_CAMPUS: AddressClass
ADDRESS_CLASS_VPN: AddressClass
ADDRESS_CLASS_RELAY: AddressClass
ADDRESS_CLASS_HOSTING: AddressClass
ADDRESS_CLASS_TOR: AddressClass
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
    __slots__ = ("tenant", "page_size", "page_token", "minimum_score", "status")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_SCORE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    minimum_score: float
    status: RingStatus
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., minimum_score: _Optional[float] = ..., status: _Optional[_Union[RingStatus, str]] = ...) -> None: ...

class ListRingsResponse(_message.Message):
    __slots__ = ("rings", "next_page_token")
    RINGS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    rings: _containers.RepeatedCompositeFieldContainer[Ring]
    next_page_token: str
    def __init__(self, rings: _Optional[_Iterable[_Union[Ring, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Ring(_message.Message):
    __slots__ = ("ring_id", "members", "member_count", "score", "shared", "first_seen_time", "last_seen_time", "flagged", "innocent_explanations", "status", "confidence", "findings", "decided_by", "decided_time", "note", "why_not")
    RING_ID_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    MEMBER_COUNT_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    SHARED_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    FLAGGED_FIELD_NUMBER: _ClassVar[int]
    INNOCENT_EXPLANATIONS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_FIELD_NUMBER: _ClassVar[int]
    DECIDED_TIME_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    WHY_NOT_FIELD_NUMBER: _ClassVar[int]
    ring_id: str
    members: _containers.RepeatedScalarFieldContainer[str]
    member_count: int
    score: float
    shared: _containers.RepeatedCompositeFieldContainer[SharedResource]
    first_seen_time: _timestamp_pb2.Timestamp
    last_seen_time: _timestamp_pb2.Timestamp
    flagged: bool
    innocent_explanations: _containers.RepeatedScalarFieldContainer[str]
    status: RingStatus
    confidence: float
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    decided_by: str
    decided_time: _timestamp_pb2.Timestamp
    note: str
    why_not: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, ring_id: _Optional[str] = ..., members: _Optional[_Iterable[str]] = ..., member_count: _Optional[int] = ..., score: _Optional[float] = ..., shared: _Optional[_Iterable[_Union[SharedResource, _Mapping]]] = ..., first_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., flagged: _Optional[bool] = ..., innocent_explanations: _Optional[_Iterable[str]] = ..., status: _Optional[_Union[RingStatus, str]] = ..., confidence: _Optional[float] = ..., findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ..., decided_by: _Optional[str] = ..., decided_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., note: _Optional[str] = ..., why_not: _Optional[_Iterable[str]] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("code", "points", "values")
    CODE_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    code: str
    points: float
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, code: _Optional[str] = ..., points: _Optional[float] = ..., values: _Optional[_Iterable[float]] = ...) -> None: ...

class GetRingRequest(_message.Message):
    __slots__ = ("tenant", "ring_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RING_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    ring_id: str
    def __init__(self, tenant: _Optional[str] = ..., ring_id: _Optional[str] = ...) -> None: ...

class GetRingResponse(_message.Message):
    __slots__ = ("ring", "neighbourhood")
    RING_FIELD_NUMBER: _ClassVar[int]
    NEIGHBOURHOOD_FIELD_NUMBER: _ClassVar[int]
    ring: Ring
    neighbourhood: Neighbourhood
    def __init__(self, ring: _Optional[_Union[Ring, _Mapping]] = ..., neighbourhood: _Optional[_Union[Neighbourhood, _Mapping]] = ...) -> None: ...

class GetNeighbourhoodRequest(_message.Message):
    __slots__ = ("tenant", "user_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user_id: str
    def __init__(self, tenant: _Optional[str] = ..., user_id: _Optional[str] = ...) -> None: ...

class GetNeighbourhoodResponse(_message.Message):
    __slots__ = ("neighbourhood", "groups")
    NEIGHBOURHOOD_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    neighbourhood: Neighbourhood
    groups: _containers.RepeatedCompositeFieldContainer[Ring]
    def __init__(self, neighbourhood: _Optional[_Union[Neighbourhood, _Mapping]] = ..., groups: _Optional[_Iterable[_Union[Ring, _Mapping]]] = ...) -> None: ...

class Neighbourhood(_message.Message):
    __slots__ = ("accounts", "resources", "edges")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedScalarFieldContainer[str]
    resources: _containers.RepeatedCompositeFieldContainer[NeighbourResource]
    edges: _containers.RepeatedCompositeFieldContainer[NeighbourEdge]
    def __init__(self, accounts: _Optional[_Iterable[str]] = ..., resources: _Optional[_Iterable[_Union[NeighbourResource, _Mapping]]] = ..., edges: _Optional[_Iterable[_Union[NeighbourEdge, _Mapping]]] = ...) -> None: ...

class NeighbourResource(_message.Message):
    __slots__ = ("kind", "fingerprint", "accounts", "rarity", "weight")
    KIND_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    RARITY_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    kind: ResourceKind
    fingerprint: str
    accounts: int
    rarity: float
    weight: float
    def __init__(self, kind: _Optional[_Union[ResourceKind, str]] = ..., fingerprint: _Optional[str] = ..., accounts: _Optional[int] = ..., rarity: _Optional[float] = ..., weight: _Optional[float] = ...) -> None: ...

class NeighbourEdge(_message.Message):
    __slots__ = ("account", "resource", "first_seen_time", "last_seen_time")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    LAST_SEEN_TIME_FIELD_NUMBER: _ClassVar[int]
    account: int
    resource: int
    first_seen_time: _timestamp_pb2.Timestamp
    last_seen_time: _timestamp_pb2.Timestamp
    def __init__(self, account: _Optional[int] = ..., resource: _Optional[int] = ..., first_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., last_seen_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SetRingStatusRequest(_message.Message):
    __slots__ = ("tenant", "ring_id", "status", "decided_by", "note")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RING_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    ring_id: str
    status: RingStatus
    decided_by: str
    note: str
    def __init__(self, tenant: _Optional[str] = ..., ring_id: _Optional[str] = ..., status: _Optional[_Union[RingStatus, str]] = ..., decided_by: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class SetRingStatusResponse(_message.Message):
    __slots__ = ("ring",)
    RING_FIELD_NUMBER: _ClassVar[int]
    ring: Ring
    def __init__(self, ring: _Optional[_Union[Ring, _Mapping]] = ...) -> None: ...

class RecordOutcomesRequest(_message.Message):
    __slots__ = ("outcomes", "through_position")
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    THROUGH_POSITION_FIELD_NUMBER: _ClassVar[int]
    outcomes: _containers.RepeatedCompositeFieldContainer[Outcome]
    through_position: int
    def __init__(self, outcomes: _Optional[_Iterable[_Union[Outcome, _Mapping]]] = ..., through_position: _Optional[int] = ...) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("tenant", "user_id", "ring_id", "event_id", "verdict", "mature_ms", "position", "actor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    RING_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    MATURE_MS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user_id: str
    ring_id: str
    event_id: str
    verdict: OutcomeVerdict
    mature_ms: int
    position: int
    actor: str
    def __init__(self, tenant: _Optional[str] = ..., user_id: _Optional[str] = ..., ring_id: _Optional[str] = ..., event_id: _Optional[str] = ..., verdict: _Optional[_Union[OutcomeVerdict, str]] = ..., mature_ms: _Optional[int] = ..., position: _Optional[int] = ..., actor: _Optional[str] = ...) -> None: ...

class RecordOutcomesResponse(_message.Message):
    __slots__ = ("through_position",)
    THROUGH_POSITION_FIELD_NUMBER: _ClassVar[int]
    through_position: int
    def __init__(self, through_position: _Optional[int] = ...) -> None: ...

class DescribeAddressRequest(_message.Message):
    __slots__ = ("tenant", "ip_address", "place_flags")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    IP_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    PLACE_FLAGS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    ip_address: str
    place_flags: int
    def __init__(self, tenant: _Optional[str] = ..., ip_address: _Optional[str] = ..., place_flags: _Optional[int] = ...) -> None: ...

class DescribeAddressResponse(_message.Message):
    __slots__ = ("address_class", "accounts", "regulars", "reasons", "devices", "churn")
    ADDRESS_CLASS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    REGULARS_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    DEVICES_FIELD_NUMBER: _ClassVar[int]
    CHURN_FIELD_NUMBER: _ClassVar[int]
    address_class: AddressClass
    accounts: int
    regulars: float
    reasons: _containers.RepeatedCompositeFieldContainer[ReputationReason]
    devices: int
    churn: float
    def __init__(self, address_class: _Optional[_Union[AddressClass, str]] = ..., accounts: _Optional[int] = ..., regulars: _Optional[float] = ..., reasons: _Optional[_Iterable[_Union[ReputationReason, _Mapping]]] = ..., devices: _Optional[int] = ..., churn: _Optional[float] = ...) -> None: ...

class ReputationReason(_message.Message):
    __slots__ = ("code", "count", "age_hours")
    CODE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    AGE_HOURS_FIELD_NUMBER: _ClassVar[int]
    code: str
    count: int
    age_hours: float
    def __init__(self, code: _Optional[str] = ..., count: _Optional[int] = ..., age_hours: _Optional[float] = ...) -> None: ...

class SharedResource(_message.Message):
    __slots__ = ("kind", "fingerprint", "accounts")
    KIND_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    kind: ResourceKind
    fingerprint: str
    accounts: int
    def __init__(self, kind: _Optional[_Union[ResourceKind, str]] = ..., fingerprint: _Optional[str] = ..., accounts: _Optional[int] = ...) -> None: ...
