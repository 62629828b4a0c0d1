import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConsentAct(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONSENT_ACT_UNSPECIFIED: _ClassVar[ConsentAct]
    CONSENT_ACT_GIVEN: _ClassVar[ConsentAct]
    CONSENT_ACT_REFUSED: _ClassVar[ConsentAct]
    CONSENT_ACT_WITHDRAWN: _ClassVar[ConsentAct]
    CONSENT_ACT_ERASED: _ClassVar[ConsentAct]
CONSENT_ACT_UNSPECIFIED: ConsentAct
CONSENT_ACT_GIVEN: ConsentAct
CONSENT_ACT_REFUSED: ConsentAct
CONSENT_ACT_WITHDRAWN: ConsentAct
CONSENT_ACT_ERASED: ConsentAct

class ConsentRecord(_message.Message):
    __slots__ = ("act", "purpose", "scope", "effective_time", "expires_time", "source", "policy_version", "proof", "given_by", "separate", "verifiable", "vppa_separate_form")
    ACT_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    EFFECTIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_TIME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    GIVEN_BY_FIELD_NUMBER: _ClassVar[int]
    SEPARATE_FIELD_NUMBER: _ClassVar[int]
    VERIFIABLE_FIELD_NUMBER: _ClassVar[int]
    VPPA_SEPARATE_FORM_FIELD_NUMBER: _ClassVar[int]
    act: ConsentAct
    purpose: str
    scope: _containers.RepeatedScalarFieldContainer[str]
    effective_time: _timestamp_pb2.Timestamp
    expires_time: _timestamp_pb2.Timestamp
    source: str
    policy_version: str
    proof: ConsentProof
    given_by: str
    separate: bool
    verifiable: bool
    vppa_separate_form: bool
    def __init__(self, act: _Optional[_Union[ConsentAct, str]] = ..., purpose: _Optional[str] = ..., scope: _Optional[_Iterable[str]] = ..., effective_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., source: _Optional[str] = ..., policy_version: _Optional[str] = ..., proof: _Optional[_Union[ConsentProof, _Mapping]] = ..., given_by: _Optional[str] = ..., separate: _Optional[bool] = ..., verifiable: _Optional[bool] = ..., vppa_separate_form: _Optional[bool] = ...) -> None: ...

class ConsentProof(_message.Message):
    __slots__ = ("kind", "reference", "sha256", "consent_string")
    KIND_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    CONSENT_STRING_FIELD_NUMBER: _ClassVar[int]
    kind: str
    reference: str
    sha256: bytes
    consent_string: str
    def __init__(self, kind: _Optional[str] = ..., reference: _Optional[str] = ..., sha256: _Optional[bytes] = ..., consent_string: _Optional[str] = ...) -> None: ...

class ConsentReceipt(_message.Message):
    __slots__ = ("receipt_id", "seq", "act", "recorded_time", "digest", "chain")
    RECEIPT_ID_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    ACT_FIELD_NUMBER: _ClassVar[int]
    RECORDED_TIME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    receipt_id: str
    seq: int
    act: ConsentAct
    recorded_time: _timestamp_pb2.Timestamp
    digest: bytes
    chain: bytes
    def __init__(self, receipt_id: _Optional[str] = ..., seq: _Optional[int] = ..., act: _Optional[_Union[ConsentAct, str]] = ..., recorded_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., digest: _Optional[bytes] = ..., chain: _Optional[bytes] = ...) -> None: ...

class RecordConsentRequest(_message.Message):
    __slots__ = ("tenant", "user_id", "records", "request_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user_id: str
    records: _containers.RepeatedCompositeFieldContainer[ConsentRecord]
    request_id: str
    def __init__(self, tenant: _Optional[str] = ..., user_id: _Optional[str] = ..., records: _Optional[_Iterable[_Union[ConsentRecord, _Mapping]]] = ..., request_id: _Optional[str] = ...) -> None: ...

class RecordConsentResponse(_message.Message):
    __slots__ = ("receipts", "repeated_request")
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    REPEATED_REQUEST_FIELD_NUMBER: _ClassVar[int]
    receipts: _containers.RepeatedCompositeFieldContainer[ConsentReceipt]
    repeated_request: bool
    def __init__(self, receipts: _Optional[_Iterable[_Union[ConsentReceipt, _Mapping]]] = ..., repeated_request: _Optional[bool] = ...) -> None: ...

class GetConsentRequest(_message.Message):
    __slots__ = ("tenant", "user_id", "time", "known_time", "purpose")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    KNOWN_TIME_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user_id: str
    time: _timestamp_pb2.Timestamp
    known_time: _timestamp_pb2.Timestamp
    purpose: str
    def __init__(self, tenant: _Optional[str] = ..., user_id: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., known_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., purpose: _Optional[str] = ...) -> None: ...

class ConsentState(_message.Message):
    __slots__ = ("purpose", "status", "scope", "obtained_time", "withdrawn_time", "expires_time", "receipt_id", "record")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    OBTAINED_TIME_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_TIME_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_ID_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    status: str
    scope: _containers.RepeatedScalarFieldContainer[str]
    obtained_time: _timestamp_pb2.Timestamp
    withdrawn_time: _timestamp_pb2.Timestamp
    expires_time: _timestamp_pb2.Timestamp
    receipt_id: str
    record: ConsentRecord
    def __init__(self, purpose: _Optional[str] = ..., status: _Optional[str] = ..., scope: _Optional[_Iterable[str]] = ..., obtained_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., withdrawn_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., receipt_id: _Optional[str] = ..., record: _Optional[_Union[ConsentRecord, _Mapping]] = ...) -> None: ...

class GetConsentResponse(_message.Message):
    __slots__ = ("states", "ledger_version")
    STATES_FIELD_NUMBER: _ClassVar[int]
    LEDGER_VERSION_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedCompositeFieldContainer[ConsentState]
    ledger_version: int
    def __init__(self, states: _Optional[_Iterable[_Union[ConsentState, _Mapping]]] = ..., ledger_version: _Optional[int] = ...) -> None: ...

class ListConsentsRequest(_message.Message):
    __slots__ = ("tenant", "user_id", "page_size", "page_token")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user_id: str
    page_size: int
    page_token: str
    def __init__(self, tenant: _Optional[str] = ..., user_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ConsentEntry(_message.Message):
    __slots__ = ("receipt", "user_id", "record", "salt")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    SALT_FIELD_NUMBER: _ClassVar[int]
    receipt: ConsentReceipt
    user_id: str
    record: ConsentRecord
    salt: bytes
    def __init__(self, receipt: _Optional[_Union[ConsentReceipt, _Mapping]] = ..., user_id: _Optional[str] = ..., record: _Optional[_Union[ConsentRecord, _Mapping]] = ..., salt: _Optional[bytes] = ...) -> None: ...

class ListConsentsResponse(_message.Message):
    __slots__ = ("entries", "next_page_token")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[ConsentEntry]
    next_page_token: str
    def __init__(self, entries: _Optional[_Iterable[_Union[ConsentEntry, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class VerifyConsentsRequest(_message.Message):
    __slots__ = ("tenant", "after_seq", "limit")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    after_seq: int
    limit: int
    def __init__(self, tenant: _Optional[str] = ..., after_seq: _Optional[int] = ..., limit: _Optional[int] = ...) -> None: ...

class VerifyConsentsResponse(_message.Message):
    __slots__ = ("checked", "erased", "last_seq", "complete", "broken_seq", "broken")
    CHECKED_FIELD_NUMBER: _ClassVar[int]
    ERASED_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    BROKEN_SEQ_FIELD_NUMBER: _ClassVar[int]
    BROKEN_FIELD_NUMBER: _ClassVar[int]
    checked: int
    erased: int
    last_seq: int
    complete: bool
    broken_seq: int
    broken: str
    def __init__(self, checked: _Optional[int] = ..., erased: _Optional[int] = ..., last_seq: _Optional[int] = ..., complete: _Optional[bool] = ..., broken_seq: _Optional[int] = ..., broken: _Optional[str] = ...) -> None: ...
