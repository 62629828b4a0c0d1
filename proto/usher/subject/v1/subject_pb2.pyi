import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExportSubjectDataRequest(_message.Message):
    __slots__ = ("tenant", "user_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user_id: str
    def __init__(self, tenant: _Optional[str] = ..., user_id: _Optional[str] = ...) -> None: ...

class ExportSubjectDataResponse(_message.Message):
    __slots__ = ("store", "json_lines")
    STORE_FIELD_NUMBER: _ClassVar[int]
    JSON_LINES_FIELD_NUMBER: _ClassVar[int]
    store: str
    json_lines: bytes
    def __init__(self, store: _Optional[str] = ..., json_lines: _Optional[bytes] = ...) -> None: ...

class EraseSubjectDataRequest(_message.Message):
    __slots__ = ("tenant", "user_id", "erasure_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ERASURE_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user_id: str
    erasure_id: str
    def __init__(self, tenant: _Optional[str] = ..., user_id: _Optional[str] = ..., erasure_id: _Optional[str] = ...) -> None: ...

class EraseSubjectDataResponse(_message.Message):
    __slots__ = ("erased", "erased_time")
    class ErasedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ERASED_FIELD_NUMBER: _ClassVar[int]
    ERASED_TIME_FIELD_NUMBER: _ClassVar[int]
    erased: _containers.ScalarMap[str, int]
    erased_time: _timestamp_pb2.Timestamp
    def __init__(self, erased: _Optional[_Mapping[str, int]] = ..., erased_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class VerifySubjectErasureRequest(_message.Message):
    __slots__ = ("tenant", "user_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user_id: str
    def __init__(self, tenant: _Optional[str] = ..., user_id: _Optional[str] = ...) -> None: ...

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
