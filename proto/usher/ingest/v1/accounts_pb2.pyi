import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from usher.event.v1 import event_pb2 as _event_pb2
from usher.scoring.v1 import scoring_pb2 as _scoring_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AccountStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACCOUNT_STATUS_UNSPECIFIED: _ClassVar[AccountStatus]
    ACCOUNT_STATUS_RECORDED: _ClassVar[AccountStatus]
    ACCOUNT_STATUS_UNCHANGED: _ClassVar[AccountStatus]
    ACCOUNT_STATUS_INVALID: _ClassVar[AccountStatus]
ACCOUNT_STATUS_UNSPECIFIED: AccountStatus
ACCOUNT_STATUS_RECORDED: AccountStatus
ACCOUNT_STATUS_UNCHANGED: AccountStatus
ACCOUNT_STATUS_INVALID: AccountStatus

class AccountUpdate(_message.Message):
    __slots__ = ("user_id", "facts", "as_of_time")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_TIME_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    facts: _event_pb2.AccountFacts
    as_of_time: _timestamp_pb2.Timestamp
    def __init__(self, user_id: _Optional[str] = ..., facts: _Optional[_Union[_event_pb2.AccountFacts, _Mapping]] = ..., as_of_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RecordAccountsRequest(_message.Message):
    __slots__ = ("tenant", "accounts")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    accounts: _containers.RepeatedCompositeFieldContainer[AccountUpdate]
    def __init__(self, tenant: _Optional[str] = ..., accounts: _Optional[_Iterable[_Union[AccountUpdate, _Mapping]]] = ...) -> None: ...

class RecordAccountsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[AccountResult]
    def __init__(self, results: _Optional[_Iterable[_Union[AccountResult, _Mapping]]] = ...) -> None: ...

class AccountResult(_message.Message):
    __slots__ = ("status", "error")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    status: AccountStatus
    error: str
    def __init__(self, status: _Optional[_Union[AccountStatus, str]] = ..., error: _Optional[str] = ...) -> None: ...

class AccountFactTimes(_message.Message):
    __slots__ = ("as_of_ms",)
    class AsOfMsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: int
        value: int
        def __init__(self, key: _Optional[int] = ..., value: _Optional[int] = ...) -> None: ...
    AS_OF_MS_FIELD_NUMBER: _ClassVar[int]
    as_of_ms: _containers.ScalarMap[int, int]
    def __init__(self, as_of_ms: _Optional[_Mapping[int, int]] = ...) -> None: ...

class GetProfileRequest(_message.Message):
    __slots__ = ("tenant", "user_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user_id: str
    def __init__(self, tenant: _Optional[str] = ..., user_id: _Optional[str] = ...) -> None: ...

class GetProfileResponse(_message.Message):
    __slots__ = ("user_id", "facts", "as_of", "profile", "not_folded")
    class AsOfEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _timestamp_pb2.Timestamp
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    NOT_FOLDED_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    facts: _event_pb2.AccountFacts
    as_of: _containers.MessageMap[str, _timestamp_pb2.Timestamp]
    profile: _scoring_pb2.DescribeProfileResponse
    not_folded: int
    def __init__(self, user_id: _Optional[str] = ..., facts: _Optional[_Union[_event_pb2.AccountFacts, _Mapping]] = ..., as_of: _Optional[_Mapping[str, _timestamp_pb2.Timestamp]] = ..., profile: _Optional[_Union[_scoring_pb2.DescribeProfileResponse, _Mapping]] = ..., not_folded: _Optional[int] = ...) -> None: ...
