import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from usher.event.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EvaluateEventsRequest(_message.Message):
    __slots__ = ("tenant", "policy_set", "events", "places")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    POLICY_SET_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    policy_set: str
    events: _containers.RepeatedScalarFieldContainer[bytes]
    places: _event_pb2.Places
    def __init__(self, tenant: _Optional[str] = ..., policy_set: _Optional[str] = ..., events: _Optional[_Iterable[bytes]] = ..., places: _Optional[_Union[_event_pb2.Places, _Mapping]] = ...) -> None: ...

class EvaluateEventsResponse(_message.Message):
    __slots__ = ("verdicts", "verdict_of", "risks", "flags", "errors")
    VERDICTS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_OF_FIELD_NUMBER: _ClassVar[int]
    RISKS_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    verdicts: _containers.RepeatedScalarFieldContainer[bytes]
    verdict_of: _containers.RepeatedScalarFieldContainer[int]
    risks: _containers.RepeatedScalarFieldContainer[float]
    flags: _containers.RepeatedScalarFieldContainer[int]
    errors: _containers.RepeatedCompositeFieldContainer[_event_pb2.ItemError]
    def __init__(self, verdicts: _Optional[_Iterable[bytes]] = ..., verdict_of: _Optional[_Iterable[int]] = ..., risks: _Optional[_Iterable[float]] = ..., flags: _Optional[_Iterable[int]] = ..., errors: _Optional[_Iterable[_Union[_event_pb2.ItemError, _Mapping]]] = ...) -> None: ...

class ListRegulationsRequest(_message.Message):
    __slots__ = ("policy_set", "page_size", "page_token", "at_time")
    POLICY_SET_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    AT_TIME_FIELD_NUMBER: _ClassVar[int]
    policy_set: str
    page_size: int
    page_token: str
    at_time: _timestamp_pb2.Timestamp
    def __init__(self, policy_set: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., at_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListRegulationsResponse(_message.Message):
    __slots__ = ("regulations", "next_page_token")
    REGULATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    regulations: _containers.RepeatedCompositeFieldContainer[Regulation]
    next_page_token: str
    def __init__(self, regulations: _Optional[_Iterable[_Union[Regulation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class EstimateImpactRequest(_message.Message):
    __slots__ = ("policy_set", "inputs")
    POLICY_SET_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    policy_set: str
    inputs: bytes
    def __init__(self, policy_set: _Optional[str] = ..., inputs: _Optional[bytes] = ...) -> None: ...

class EstimateImpactResponse(_message.Message):
    __slots__ = ("estimate_json",)
    ESTIMATE_JSON_FIELD_NUMBER: _ClassVar[int]
    estimate_json: bytes
    def __init__(self, estimate_json: _Optional[bytes] = ...) -> None: ...

class Regulation(_message.Message):
    __slots__ = ("id", "short_name", "name", "jurisdictions", "version", "rules", "digest", "scope_article", "scope_condition", "connections", "effective_from_time", "effective_to_time", "notes", "facts_json")
    ID_FIELD_NUMBER: _ClassVar[int]
    SHORT_NAME_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    JURISDICTIONS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SCOPE_ARTICLE_FIELD_NUMBER: _ClassVar[int]
    SCOPE_CONDITION_FIELD_NUMBER: _ClassVar[int]
    CONNECTIONS_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_FROM_TIME_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TO_TIME_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    FACTS_JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    short_name: str
    name: str
    jurisdictions: _containers.RepeatedScalarFieldContainer[str]
    version: str
    rules: _containers.RepeatedCompositeFieldContainer[Rule]
    digest: str
    scope_article: str
    scope_condition: str
    connections: _containers.RepeatedScalarFieldContainer[str]
    effective_from_time: _timestamp_pb2.Timestamp
    effective_to_time: _timestamp_pb2.Timestamp
    notes: _containers.RepeatedScalarFieldContainer[str]
    facts_json: bytes
    def __init__(self, id: _Optional[str] = ..., short_name: _Optional[str] = ..., name: _Optional[str] = ..., jurisdictions: _Optional[_Iterable[str]] = ..., version: _Optional[str] = ..., rules: _Optional[_Iterable[_Union[Rule, _Mapping]]] = ..., digest: _Optional[str] = ..., scope_article: _Optional[str] = ..., scope_condition: _Optional[str] = ..., connections: _Optional[_Iterable[str]] = ..., effective_from_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., effective_to_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., notes: _Optional[_Iterable[str]] = ..., facts_json: _Optional[bytes] = ...) -> None: ...

class Rule(_message.Message):
    __slots__ = ("id", "article", "reason", "condition", "remedy", "verification", "summary", "severity", "affects", "effective_from_time", "effective_to_time", "source", "reviewed_by", "forbids_act", "consent_cannot_cure", "clock")
    ID_FIELD_NUMBER: _ClassVar[int]
    ARTICLE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    AFFECTS_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_FROM_TIME_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TO_TIME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    REVIEWED_BY_FIELD_NUMBER: _ClassVar[int]
    FORBIDS_ACT_FIELD_NUMBER: _ClassVar[int]
    CONSENT_CANNOT_CURE_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    id: str
    article: str
    reason: str
    condition: str
    remedy: str
    verification: str
    summary: str
    severity: int
    affects: str
    effective_from_time: _timestamp_pb2.Timestamp
    effective_to_time: _timestamp_pb2.Timestamp
    source: str
    reviewed_by: str
    forbids_act: bool
    consent_cannot_cure: bool
    clock: str
    def __init__(self, id: _Optional[str] = ..., article: _Optional[str] = ..., reason: _Optional[str] = ..., condition: _Optional[str] = ..., remedy: _Optional[str] = ..., verification: _Optional[str] = ..., summary: _Optional[str] = ..., severity: _Optional[int] = ..., affects: _Optional[str] = ..., effective_from_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., effective_to_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., source: _Optional[str] = ..., reviewed_by: _Optional[str] = ..., forbids_act: _Optional[bool] = ..., consent_cannot_cure: _Optional[bool] = ..., clock: _Optional[str] = ...) -> None: ...
