import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExportSubjectDataRequest(_message.Message):
    __slots__ = ("tenant", "user_id", "profile")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user_id: str
    profile: bytes
    def __init__(self, tenant: _Optional[str] = ..., user_id: _Optional[str] = ..., profile: _Optional[bytes] = ...) -> None: ...

class ExportSubjectDataResponse(_message.Message):
    __slots__ = ("store", "json_lines", "profile")
    STORE_FIELD_NUMBER: _ClassVar[int]
    JSON_LINES_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    store: str
    json_lines: bytes
    profile: bytes
    def __init__(self, store: _Optional[str] = ..., json_lines: _Optional[bytes] = ..., profile: _Optional[bytes] = ...) -> None: ...

class ListSubjectEventsRequest(_message.Message):
    __slots__ = ("tenant", "user_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user_id: str
    def __init__(self, tenant: _Optional[str] = ..., user_id: _Optional[str] = ...) -> None: ...

class ListSubjectEventsResponse(_message.Message):
    __slots__ = ("event_ids",)
    EVENT_IDS_FIELD_NUMBER: _ClassVar[int]
    event_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, event_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class Keep(_message.Message):
    __slots__ = ("store", "since_time", "ground")
    STORE_FIELD_NUMBER: _ClassVar[int]
    SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    GROUND_FIELD_NUMBER: _ClassVar[int]
    store: str
    since_time: _timestamp_pb2.Timestamp
    ground: str
    def __init__(self, store: _Optional[str] = ..., since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ground: _Optional[str] = ...) -> None: ...

class EraseSubjectDataRequest(_message.Message):
    __slots__ = ("tenant", "user_id", "erasure_id", "event_ids", "keep", "entry", "ledger_key")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ERASURE_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_IDS_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    LEDGER_KEY_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user_id: str
    erasure_id: str
    event_ids: _containers.RepeatedScalarFieldContainer[str]
    keep: _containers.RepeatedCompositeFieldContainer[Keep]
    entry: LedgerEntry
    ledger_key: bytes
    def __init__(self, tenant: _Optional[str] = ..., user_id: _Optional[str] = ..., erasure_id: _Optional[str] = ..., event_ids: _Optional[_Iterable[str]] = ..., keep: _Optional[_Iterable[_Union[Keep, _Mapping]]] = ..., entry: _Optional[_Union[LedgerEntry, _Mapping]] = ..., ledger_key: _Optional[bytes] = ...) -> None: ...

class LedgerEntry(_message.Message):
    __slots__ = ("sequence", "subject", "erased_time", "erasure_id")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    ERASED_TIME_FIELD_NUMBER: _ClassVar[int]
    ERASURE_ID_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    subject: bytes
    erased_time: _timestamp_pb2.Timestamp
    erasure_id: str
    def __init__(self, sequence: _Optional[int] = ..., subject: _Optional[bytes] = ..., erased_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., erasure_id: _Optional[str] = ...) -> None: ...

class EraseSubjectDataResponse(_message.Message):
    __slots__ = ("erased", "erased_time", "kept", "delivered")
    class ErasedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class KeptEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class DeliveredEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ERASED_FIELD_NUMBER: _ClassVar[int]
    ERASED_TIME_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    erased: _containers.ScalarMap[str, int]
    erased_time: _timestamp_pb2.Timestamp
    kept: _containers.ScalarMap[str, int]
    delivered: _containers.ScalarMap[str, int]
    def __init__(self, erased: _Optional[_Mapping[str, int]] = ..., erased_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., kept: _Optional[_Mapping[str, int]] = ..., delivered: _Optional[_Mapping[str, int]] = ...) -> None: ...

class VerifySubjectErasureRequest(_message.Message):
    __slots__ = ("tenant", "user_id", "event_ids", "keep")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_IDS_FIELD_NUMBER: _ClassVar[int]
    KEEP_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user_id: str
    event_ids: _containers.RepeatedScalarFieldContainer[str]
    keep: _containers.RepeatedCompositeFieldContainer[Keep]
    def __init__(self, tenant: _Optional[str] = ..., user_id: _Optional[str] = ..., event_ids: _Optional[_Iterable[str]] = ..., keep: _Optional[_Iterable[_Union[Keep, _Mapping]]] = ...) -> None: ...

class VerifySubjectErasureResponse(_message.Message):
    __slots__ = ("remaining",)
    class RemainingEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    remaining: _containers.ScalarMap[str, int]
    def __init__(self, remaining: _Optional[_Mapping[str, int]] = ...) -> None: ...

class GetErasureStateRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetErasureStateResponse(_message.Message):
    __slots__ = ("applied_sequence", "restored", "remembered_sequence")
    APPLIED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RESTORED_FIELD_NUMBER: _ClassVar[int]
    REMEMBERED_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    applied_sequence: int
    restored: bool
    remembered_sequence: int
    def __init__(self, applied_sequence: _Optional[int] = ..., restored: _Optional[bool] = ..., remembered_sequence: _Optional[int] = ...) -> None: ...

class ReapplyErasuresRequest(_message.Message):
    __slots__ = ("ledger_key", "entries", "complete")
    LEDGER_KEY_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    ledger_key: bytes
    entries: _containers.RepeatedCompositeFieldContainer[LedgerEntry]
    complete: bool
    def __init__(self, ledger_key: _Optional[bytes] = ..., entries: _Optional[_Iterable[_Union[LedgerEntry, _Mapping]]] = ..., complete: _Optional[bool] = ...) -> None: ...

class ReapplyErasuresResponse(_message.Message):
    __slots__ = ("erased",)
    class ErasedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ERASED_FIELD_NUMBER: _ClassVar[int]
    erased: _containers.ScalarMap[str, int]
    def __init__(self, erased: _Optional[_Mapping[str, int]] = ...) -> None: ...

class RetentionRule(_message.Message):
    __slots__ = ("store", "jurisdiction", "before_time")
    STORE_FIELD_NUMBER: _ClassVar[int]
    JURISDICTION_FIELD_NUMBER: _ClassVar[int]
    BEFORE_TIME_FIELD_NUMBER: _ClassVar[int]
    store: str
    jurisdiction: str
    before_time: _timestamp_pb2.Timestamp
    def __init__(self, store: _Optional[str] = ..., jurisdiction: _Optional[str] = ..., before_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ApplyRetentionRequest(_message.Message):
    __slots__ = ("tenant", "rules", "held_user_ids", "dry_run")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    HELD_USER_IDS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    rules: _containers.RepeatedCompositeFieldContainer[RetentionRule]
    held_user_ids: _containers.RepeatedScalarFieldContainer[str]
    dry_run: bool
    def __init__(self, tenant: _Optional[str] = ..., rules: _Optional[_Iterable[_Union[RetentionRule, _Mapping]]] = ..., held_user_ids: _Optional[_Iterable[str]] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class ApplyRetentionResponse(_message.Message):
    __slots__ = ("counts", "partitions_dropped")
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_DROPPED_FIELD_NUMBER: _ClassVar[int]
    counts: _containers.RepeatedCompositeFieldContainer[RetentionCount]
    partitions_dropped: int
    def __init__(self, counts: _Optional[_Iterable[_Union[RetentionCount, _Mapping]]] = ..., partitions_dropped: _Optional[int] = ...) -> None: ...

class RetentionCount(_message.Message):
    __slots__ = ("store", "jurisdiction", "rows", "held")
    STORE_FIELD_NUMBER: _ClassVar[int]
    JURISDICTION_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    store: str
    jurisdiction: str
    rows: int
    held: int
    def __init__(self, store: _Optional[str] = ..., jurisdiction: _Optional[str] = ..., rows: _Optional[int] = ..., held: _Optional[int] = ...) -> None: ...
