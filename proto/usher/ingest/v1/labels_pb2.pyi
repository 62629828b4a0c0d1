import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LabelSubject(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LABEL_SUBJECT_UNSPECIFIED: _ClassVar[LabelSubject]
    LABEL_SUBJECT_EVENT: _ClassVar[LabelSubject]
    LABEL_SUBJECT_USER: _ClassVar[LabelSubject]
    LABEL_SUBJECT_RING: _ClassVar[LabelSubject]

class LabelKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LABEL_KIND_UNSPECIFIED: _ClassVar[LabelKind]
    LABEL_KIND_FRAUD_CONFIRMED: _ClassVar[LabelKind]
    LABEL_KIND_FALSE_ALARM: _ClassVar[LabelKind]
    LABEL_KIND_FINDING_UPHELD: _ClassVar[LabelKind]
    LABEL_KIND_FINDING_DISMISSED: _ClassVar[LabelKind]
    LABEL_KIND_CHARGEBACK: _ClassVar[LabelKind]
    LABEL_KIND_TAKEOVER_CONFIRMED: _ClassVar[LabelKind]
    LABEL_KIND_LEGITIMATE: _ClassVar[LabelKind]

class LabelStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LABEL_STATUS_UNSPECIFIED: _ClassVar[LabelStatus]
    LABEL_STATUS_RECORDED: _ClassVar[LabelStatus]
    LABEL_STATUS_DUPLICATE: _ClassVar[LabelStatus]
    LABEL_STATUS_CONFLICT: _ClassVar[LabelStatus]
    LABEL_STATUS_INVALID: _ClassVar[LabelStatus]
LABEL_SUBJECT_UNSPECIFIED: LabelSubject
LABEL_SUBJECT_EVENT: LabelSubject
LABEL_SUBJECT_USER: LabelSubject
LABEL_SUBJECT_RING: LabelSubject
LABEL_KIND_UNSPECIFIED: LabelKind
LABEL_KIND_FRAUD_CONFIRMED: LabelKind
LABEL_KIND_FALSE_ALARM: LabelKind
LABEL_KIND_FINDING_UPHELD: LabelKind
LABEL_KIND_FINDING_DISMISSED: LabelKind
LABEL_KIND_CHARGEBACK: LabelKind
LABEL_KIND_TAKEOVER_CONFIRMED: LabelKind
LABEL_KIND_LEGITIMATE: LabelKind
LABEL_STATUS_UNSPECIFIED: LabelStatus
LABEL_STATUS_RECORDED: LabelStatus
LABEL_STATUS_DUPLICATE: LabelStatus
LABEL_STATUS_CONFLICT: LabelStatus
LABEL_STATUS_INVALID: LabelStatus

class Label(_message.Message):
    __slots__ = ("label_id", "subject_kind", "subject", "kind", "rule", "source", "actor", "reference", "label_time", "mature_time", "recorded_time", "position")
    LABEL_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    LABEL_TIME_FIELD_NUMBER: _ClassVar[int]
    MATURE_TIME_FIELD_NUMBER: _ClassVar[int]
    RECORDED_TIME_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    label_id: str
    subject_kind: LabelSubject
    subject: str
    kind: LabelKind
    rule: str
    source: str
    actor: str
    reference: str
    label_time: _timestamp_pb2.Timestamp
    mature_time: _timestamp_pb2.Timestamp
    recorded_time: _timestamp_pb2.Timestamp
    position: int
    def __init__(self, label_id: _Optional[str] = ..., subject_kind: _Optional[_Union[LabelSubject, str]] = ..., subject: _Optional[str] = ..., kind: _Optional[_Union[LabelKind, str]] = ..., rule: _Optional[str] = ..., source: _Optional[str] = ..., actor: _Optional[str] = ..., reference: _Optional[str] = ..., label_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., mature_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., recorded_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., position: _Optional[int] = ...) -> None: ...

class RecordLabelsRequest(_message.Message):
    __slots__ = ("tenant", "labels")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    def __init__(self, tenant: _Optional[str] = ..., labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ...) -> None: ...

class RecordLabelsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[LabelResult]
    def __init__(self, results: _Optional[_Iterable[_Union[LabelResult, _Mapping]]] = ...) -> None: ...

class LabelResult(_message.Message):
    __slots__ = ("status", "position", "error")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    status: LabelStatus
    position: int
    error: str
    def __init__(self, status: _Optional[_Union[LabelStatus, str]] = ..., position: _Optional[int] = ..., error: _Optional[str] = ...) -> None: ...

class ListLabelsRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token", "kinds", "mature_by", "subject_kind", "subject")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    MATURE_BY_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_KIND_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    kinds: _containers.RepeatedScalarFieldContainer[LabelKind]
    mature_by: _timestamp_pb2.Timestamp
    subject_kind: LabelSubject
    subject: str
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., kinds: _Optional[_Iterable[_Union[LabelKind, str]]] = ..., mature_by: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., subject_kind: _Optional[_Union[LabelSubject, str]] = ..., subject: _Optional[str] = ...) -> None: ...

class ListLabelsResponse(_message.Message):
    __slots__ = ("labels", "next_page_token", "more")
    LABELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.RepeatedCompositeFieldContainer[Label]
    next_page_token: str
    more: bool
    def __init__(self, labels: _Optional[_Iterable[_Union[Label, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., more: _Optional[bool] = ...) -> None: ...
