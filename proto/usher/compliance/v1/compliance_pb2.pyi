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
    __slots__ = ("policy_set", "page_size", "page_token")
    POLICY_SET_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    policy_set: str
    page_size: int
    page_token: str
    def __init__(self, policy_set: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRegulationsResponse(_message.Message):
    __slots__ = ("regulations", "next_page_token")
    REGULATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    regulations: _containers.RepeatedCompositeFieldContainer[Regulation]
    next_page_token: str
    def __init__(self, regulations: _Optional[_Iterable[_Union[Regulation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Regulation(_message.Message):
    __slots__ = ("id", "short_name", "name", "jurisdictions", "version", "rules")
    ID_FIELD_NUMBER: _ClassVar[int]
    SHORT_NAME_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    JURISDICTIONS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    id: str
    short_name: str
    name: str
    jurisdictions: _containers.RepeatedScalarFieldContainer[str]
    version: str
    rules: _containers.RepeatedCompositeFieldContainer[Rule]
    def __init__(self, id: _Optional[str] = ..., short_name: _Optional[str] = ..., name: _Optional[str] = ..., jurisdictions: _Optional[_Iterable[str]] = ..., version: _Optional[str] = ..., rules: _Optional[_Iterable[_Union[Rule, _Mapping]]] = ...) -> None: ...

class Rule(_message.Message):
    __slots__ = ("id", "article", "reason", "condition", "remedy", "verification", "summary")
    ID_FIELD_NUMBER: _ClassVar[int]
    ARTICLE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    id: str
    article: str
    reason: str
    condition: str
    remedy: str
    verification: str
    summary: str
    def __init__(self, id: _Optional[str] = ..., article: _Optional[str] = ..., reason: _Optional[str] = ..., condition: _Optional[str] = ..., remedy: _Optional[str] = ..., verification: _Optional[str] = ..., summary: _Optional[str] = ...) -> None: ...
