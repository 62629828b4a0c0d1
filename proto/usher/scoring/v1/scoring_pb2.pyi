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

class GetDriftRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetDriftResponse(_message.Message):
    __slots__ = ("policy_set", "rows", "has_snapshot", "columns")
    POLICY_SET_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    HAS_SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    policy_set: str
    rows: int
    has_snapshot: bool
    columns: _containers.RepeatedCompositeFieldContainer[Drift]
    def __init__(self, policy_set: _Optional[str] = ..., rows: _Optional[int] = ..., has_snapshot: _Optional[bool] = ..., columns: _Optional[_Iterable[_Union[Drift, _Mapping]]] = ...) -> None: ...

class Drift(_message.Message):
    __slots__ = ("name", "psi")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PSI_FIELD_NUMBER: _ClassVar[int]
    name: str
    psi: float
    def __init__(self, name: _Optional[str] = ..., psi: _Optional[float] = ...) -> None: ...

class DescribeProfileRequest(_message.Message):
    __slots__ = ("policy_set", "profile", "account", "time")
    POLICY_SET_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    policy_set: str
    profile: bytes
    account: _event_pb2.AccountFacts
    time: _timestamp_pb2.Timestamp
    def __init__(self, policy_set: _Optional[str] = ..., profile: _Optional[bytes] = ..., account: _Optional[_Union[_event_pb2.AccountFacts, _Mapping]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DescribeProfileResponse(_message.Message):
    __slots__ = ("segment", "threshold", "features", "counters_json", "sentences")
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_JSON_FIELD_NUMBER: _ClassVar[int]
    SENTENCES_FIELD_NUMBER: _ClassVar[int]
    segment: _decision_pb2.Segment
    threshold: float
    features: _containers.RepeatedCompositeFieldContainer[ProfileFeature]
    counters_json: str
    sentences: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, segment: _Optional[_Union[_decision_pb2.Segment, str]] = ..., threshold: _Optional[float] = ..., features: _Optional[_Iterable[_Union[ProfileFeature, _Mapping]]] = ..., counters_json: _Optional[str] = ..., sentences: _Optional[_Iterable[str]] = ...) -> None: ...

class ProfileFeature(_message.Message):
    __slots__ = ("name", "meaning", "unit", "value", "normal", "own_normal")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEANING_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    NORMAL_FIELD_NUMBER: _ClassVar[int]
    OWN_NORMAL_FIELD_NUMBER: _ClassVar[int]
    name: str
    meaning: str
    unit: str
    value: float
    normal: float
    own_normal: bool
    def __init__(self, name: _Optional[str] = ..., meaning: _Optional[str] = ..., unit: _Optional[str] = ..., value: _Optional[float] = ..., normal: _Optional[float] = ..., own_normal: _Optional[bool] = ...) -> None: ...

class DecideEventsRequest(_message.Message):
    __slots__ = ("tenant", "policy_set", "events", "profiles", "profile_of", "item_flags", "places", "compliance_risk", "verdict_flags", "signals", "signal_width", "modes", "evidence")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    POLICY_SET_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    PROFILES_FIELD_NUMBER: _ClassVar[int]
    PROFILE_OF_FIELD_NUMBER: _ClassVar[int]
    ITEM_FLAGS_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    COMPLIANCE_RISK_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FLAGS_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_WIDTH_FIELD_NUMBER: _ClassVar[int]
    MODES_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    policy_set: str
    events: _containers.RepeatedScalarFieldContainer[bytes]
    profiles: _containers.RepeatedScalarFieldContainer[bytes]
    profile_of: _containers.RepeatedScalarFieldContainer[int]
    item_flags: _containers.RepeatedScalarFieldContainer[int]
    places: _event_pb2.Places
    compliance_risk: _containers.RepeatedScalarFieldContainer[float]
    verdict_flags: _containers.RepeatedScalarFieldContainer[int]
    signals: _containers.RepeatedScalarFieldContainer[float]
    signal_width: int
    modes: _containers.RepeatedScalarFieldContainer[_decision_pb2.Mode]
    evidence: _containers.RepeatedCompositeFieldContainer[EvidenceItem]
    def __init__(self, tenant: _Optional[str] = ..., policy_set: _Optional[str] = ..., events: _Optional[_Iterable[bytes]] = ..., profiles: _Optional[_Iterable[bytes]] = ..., profile_of: _Optional[_Iterable[int]] = ..., item_flags: _Optional[_Iterable[int]] = ..., places: _Optional[_Union[_event_pb2.Places, _Mapping]] = ..., compliance_risk: _Optional[_Iterable[float]] = ..., verdict_flags: _Optional[_Iterable[int]] = ..., signals: _Optional[_Iterable[float]] = ..., signal_width: _Optional[int] = ..., modes: _Optional[_Iterable[_Union[_decision_pb2.Mode, str]]] = ..., evidence: _Optional[_Iterable[_Union[EvidenceItem, _Mapping]]] = ...) -> None: ...

class ScoredEvent(_message.Message):
    __slots__ = ("device_id", "content_id", "event_type", "event_time", "region", "is_eu", "has_consent", "ip_address", "error_code", "payment_fingerprint", "data_volume_bytes", "time_zone", "account", "privacy")
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    IS_EU_FIELD_NUMBER: _ClassVar[int]
    HAS_CONSENT_FIELD_NUMBER: _ClassVar[int]
    IP_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    DATA_VOLUME_BYTES_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    PRIVACY_FIELD_NUMBER: _ClassVar[int]
    device_id: bytes
    content_id: bytes
    event_type: str
    event_time: _timestamp_pb2.Timestamp
    region: str
    is_eu: bool
    has_consent: bool
    ip_address: bytes
    error_code: bytes
    payment_fingerprint: bytes
    data_volume_bytes: int
    time_zone: str
    account: bytes
    privacy: bytes
    def __init__(self, device_id: _Optional[bytes] = ..., content_id: _Optional[bytes] = ..., event_type: _Optional[str] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., region: _Optional[str] = ..., is_eu: _Optional[bool] = ..., has_consent: _Optional[bool] = ..., ip_address: _Optional[bytes] = ..., error_code: _Optional[bytes] = ..., payment_fingerprint: _Optional[bytes] = ..., data_volume_bytes: _Optional[int] = ..., time_zone: _Optional[str] = ..., account: _Optional[bytes] = ..., privacy: _Optional[bytes] = ...) -> None: ...

class EvidenceItem(_message.Message):
    __slots__ = ("index", "reasons")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    index: int
    reasons: _containers.RepeatedCompositeFieldContainer[_decision_pb2.Reason]
    def __init__(self, index: _Optional[int] = ..., reasons: _Optional[_Iterable[_Union[_decision_pb2.Reason, _Mapping]]] = ...) -> None: ...

class DecideEventsResponse(_message.Message):
    __slots__ = ("decisions", "profiles", "outcomes", "errors")
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    PROFILES_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    decisions: _containers.RepeatedScalarFieldContainer[bytes]
    profiles: _containers.RepeatedScalarFieldContainer[bytes]
    outcomes: _containers.RepeatedScalarFieldContainer[int]
    errors: _containers.RepeatedCompositeFieldContainer[_event_pb2.ItemError]
    def __init__(self, decisions: _Optional[_Iterable[bytes]] = ..., profiles: _Optional[_Iterable[bytes]] = ..., outcomes: _Optional[_Iterable[int]] = ..., errors: _Optional[_Iterable[_Union[_event_pb2.ItemError, _Mapping]]] = ...) -> None: ...

class ListFeaturesRequest(_message.Message):
    __slots__ = ("policy_set", "page_size", "page_token")
    POLICY_SET_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    policy_set: str
    page_size: int
    page_token: str
    def __init__(self, policy_set: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListFeaturesResponse(_message.Message):
    __slots__ = ("features", "next_page_token")
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    features: _containers.RepeatedCompositeFieldContainer[Feature]
    next_page_token: str
    def __init__(self, features: _Optional[_Iterable[_Union[Feature, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ListSegmentsRequest(_message.Message):
    __slots__ = ("policy_set",)
    POLICY_SET_FIELD_NUMBER: _ClassVar[int]
    policy_set: str
    def __init__(self, policy_set: _Optional[str] = ...) -> None: ...

class ListSegmentsResponse(_message.Message):
    __slots__ = ("segments",)
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    segments: _containers.RepeatedCompositeFieldContainer[SegmentParameters]
    def __init__(self, segments: _Optional[_Iterable[_Union[SegmentParameters, _Mapping]]] = ...) -> None: ...

class SegmentParameters(_message.Message):
    __slots__ = ("segment", "threshold", "points", "sensitivity", "channels", "support_priority", "new_devices_allowed", "second_factor", "session_limit", "learnt")
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    SENSITIVITY_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    SUPPORT_PRIORITY_FIELD_NUMBER: _ClassVar[int]
    NEW_DEVICES_ALLOWED_FIELD_NUMBER: _ClassVar[int]
    SECOND_FACTOR_FIELD_NUMBER: _ClassVar[int]
    SESSION_LIMIT_FIELD_NUMBER: _ClassVar[int]
    LEARNT_FIELD_NUMBER: _ClassVar[int]
    segment: _decision_pb2.Segment
    threshold: float
    points: float
    sensitivity: float
    channels: _containers.RepeatedScalarFieldContainer[str]
    support_priority: str
    new_devices_allowed: bool
    second_factor: str
    session_limit: int
    learnt: float
    def __init__(self, segment: _Optional[_Union[_decision_pb2.Segment, str]] = ..., threshold: _Optional[float] = ..., points: _Optional[float] = ..., sensitivity: _Optional[float] = ..., channels: _Optional[_Iterable[str]] = ..., support_priority: _Optional[str] = ..., new_devices_allowed: _Optional[bool] = ..., second_factor: _Optional[str] = ..., session_limit: _Optional[int] = ..., learnt: _Optional[float] = ...) -> None: ...

class Feature(_message.Message):
    __slots__ = ("name", "meaning", "unit", "minimum", "maximum", "default_when_unknown", "source")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MEANING_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_WHEN_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    meaning: str
    unit: str
    minimum: float
    maximum: float
    default_when_unknown: float
    source: str
    def __init__(self, name: _Optional[str] = ..., meaning: _Optional[str] = ..., unit: _Optional[str] = ..., minimum: _Optional[float] = ..., maximum: _Optional[float] = ..., default_when_unknown: _Optional[float] = ..., source: _Optional[str] = ...) -> None: ...
