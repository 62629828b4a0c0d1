import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SubjectRight(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUBJECT_RIGHT_UNSPECIFIED: _ClassVar[SubjectRight]
    SUBJECT_RIGHT_ACCESS: _ClassVar[SubjectRight]
    SUBJECT_RIGHT_ERASURE: _ClassVar[SubjectRight]
    SUBJECT_RIGHT_PORTABILITY: _ClassVar[SubjectRight]
    SUBJECT_RIGHT_RECTIFICATION: _ClassVar[SubjectRight]
    SUBJECT_RIGHT_RESTRICTION: _ClassVar[SubjectRight]
    SUBJECT_RIGHT_OBJECTION: _ClassVar[SubjectRight]
    SUBJECT_RIGHT_OPT_OUT: _ClassVar[SubjectRight]
    SUBJECT_RIGHT_CONTEST: _ClassVar[SubjectRight]

class SubjectRequestState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUBJECT_REQUEST_STATE_UNSPECIFIED: _ClassVar[SubjectRequestState]
    SUBJECT_REQUEST_STATE_OPEN: _ClassVar[SubjectRequestState]
    SUBJECT_REQUEST_STATE_IDENTITY_ASKED: _ClassVar[SubjectRequestState]
    SUBJECT_REQUEST_STATE_READY: _ClassVar[SubjectRequestState]
    SUBJECT_REQUEST_STATE_FULFILLING: _ClassVar[SubjectRequestState]
    SUBJECT_REQUEST_STATE_HELD: _ClassVar[SubjectRequestState]
    SUBJECT_REQUEST_STATE_COMPLETED: _ClassVar[SubjectRequestState]
    SUBJECT_REQUEST_STATE_REFUSED: _ClassVar[SubjectRequestState]
    SUBJECT_REQUEST_STATE_WITHDRAWN: _ClassVar[SubjectRequestState]

class IdentityState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IDENTITY_STATE_UNSPECIFIED: _ClassVar[IdentityState]
    IDENTITY_STATE_UNCHECKED: _ClassVar[IdentityState]
    IDENTITY_STATE_ASKED: _ClassVar[IdentityState]
    IDENTITY_STATE_CONFIRMED: _ClassVar[IdentityState]
    IDENTITY_STATE_REJECTED: _ClassVar[IdentityState]

class SubjectRequestAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SUBJECT_REQUEST_ACTION_UNSPECIFIED: _ClassVar[SubjectRequestAction]
    SUBJECT_REQUEST_ACTION_ACKNOWLEDGE: _ClassVar[SubjectRequestAction]
    SUBJECT_REQUEST_ACTION_ASK_IDENTITY: _ClassVar[SubjectRequestAction]
    SUBJECT_REQUEST_ACTION_CONFIRM_IDENTITY: _ClassVar[SubjectRequestAction]
    SUBJECT_REQUEST_ACTION_REJECT_IDENTITY: _ClassVar[SubjectRequestAction]
    SUBJECT_REQUEST_ACTION_EXTEND: _ClassVar[SubjectRequestAction]
    SUBJECT_REQUEST_ACTION_FULFIL: _ClassVar[SubjectRequestAction]
    SUBJECT_REQUEST_ACTION_ANSWER: _ClassVar[SubjectRequestAction]
    SUBJECT_REQUEST_ACTION_REFUSE: _ClassVar[SubjectRequestAction]
    SUBJECT_REQUEST_ACTION_WITHDRAW: _ClassVar[SubjectRequestAction]

class ContestOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONTEST_OUTCOME_UNSPECIFIED: _ClassVar[ContestOutcome]
    CONTEST_OUTCOME_UPHELD: _ClassVar[ContestOutcome]
    CONTEST_OUTCOME_OVERTURNED: _ClassVar[ContestOutcome]

class BreachRisk(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BREACH_RISK_UNSPECIFIED: _ClassVar[BreachRisk]
    BREACH_RISK_UNLIKELY: _ClassVar[BreachRisk]
    BREACH_RISK_LIKELY: _ClassVar[BreachRisk]
    BREACH_RISK_HIGH: _ClassVar[BreachRisk]

class NoticeRecipient(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NOTICE_RECIPIENT_UNSPECIFIED: _ClassVar[NoticeRecipient]
    NOTICE_RECIPIENT_REGULATOR: _ClassVar[NoticeRecipient]
    NOTICE_RECIPIENT_SUBJECTS: _ClassVar[NoticeRecipient]
SUBJECT_RIGHT_UNSPECIFIED: SubjectRight
SUBJECT_RIGHT_ACCESS: SubjectRight
SUBJECT_RIGHT_ERASURE: SubjectRight
SUBJECT_RIGHT_PORTABILITY: SubjectRight
SUBJECT_RIGHT_RECTIFICATION: SubjectRight
SUBJECT_RIGHT_RESTRICTION: SubjectRight
SUBJECT_RIGHT_OBJECTION: SubjectRight
SUBJECT_RIGHT_OPT_OUT: SubjectRight
SUBJECT_RIGHT_CONTEST: SubjectRight
SUBJECT_REQUEST_STATE_UNSPECIFIED: SubjectRequestState
SUBJECT_REQUEST_STATE_OPEN: SubjectRequestState
SUBJECT_REQUEST_STATE_IDENTITY_ASKED: SubjectRequestState
SUBJECT_REQUEST_STATE_READY: SubjectRequestState
SUBJECT_REQUEST_STATE_FULFILLING: SubjectRequestState
SUBJECT_REQUEST_STATE_HELD: SubjectRequestState
SUBJECT_REQUEST_STATE_COMPLETED: SubjectRequestState
SUBJECT_REQUEST_STATE_REFUSED: SubjectRequestState
SUBJECT_REQUEST_STATE_WITHDRAWN: SubjectRequestState
IDENTITY_STATE_UNSPECIFIED: IdentityState
IDENTITY_STATE_UNCHECKED: IdentityState
IDENTITY_STATE_ASKED: IdentityState
IDENTITY_STATE_CONFIRMED: IdentityState
IDENTITY_STATE_REJECTED: IdentityState
SUBJECT_REQUEST_ACTION_UNSPECIFIED: SubjectRequestAction
SUBJECT_REQUEST_ACTION_ACKNOWLEDGE: SubjectRequestAction
SUBJECT_REQUEST_ACTION_ASK_IDENTITY: SubjectRequestAction
SUBJECT_REQUEST_ACTION_CONFIRM_IDENTITY: SubjectRequestAction
SUBJECT_REQUEST_ACTION_REJECT_IDENTITY: SubjectRequestAction
SUBJECT_REQUEST_ACTION_EXTEND: SubjectRequestAction
SUBJECT_REQUEST_ACTION_FULFIL: SubjectRequestAction
SUBJECT_REQUEST_ACTION_ANSWER: SubjectRequestAction
SUBJECT_REQUEST_ACTION_REFUSE: SubjectRequestAction
SUBJECT_REQUEST_ACTION_WITHDRAW: SubjectRequestAction
CONTEST_OUTCOME_UNSPECIFIED: ContestOutcome
CONTEST_OUTCOME_UPHELD: ContestOutcome
CONTEST_OUTCOME_OVERTURNED: ContestOutcome
BREACH_RISK_UNSPECIFIED: BreachRisk
BREACH_RISK_UNLIKELY: BreachRisk
BREACH_RISK_LIKELY: BreachRisk
BREACH_RISK_HIGH: BreachRisk
NOTICE_RECIPIENT_UNSPECIFIED: NoticeRecipient
NOTICE_RECIPIENT_REGULATOR: NoticeRecipient
NOTICE_RECIPIENT_SUBJECTS: NoticeRecipient

class RequestDuty(_message.Message):
    __slots__ = ("regulation", "what", "cite", "binding", "period", "due_time", "extendable_to_time", "verification", "met_time", "wording")
    REGULATION_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    CITE_FIELD_NUMBER: _ClassVar[int]
    BINDING_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXTENDABLE_TO_TIME_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    MET_TIME_FIELD_NUMBER: _ClassVar[int]
    WORDING_FIELD_NUMBER: _ClassVar[int]
    regulation: str
    what: str
    cite: str
    binding: bool
    period: str
    due_time: _timestamp_pb2.Timestamp
    extendable_to_time: _timestamp_pb2.Timestamp
    verification: str
    met_time: _timestamp_pb2.Timestamp
    wording: str
    def __init__(self, regulation: _Optional[str] = ..., what: _Optional[str] = ..., cite: _Optional[str] = ..., binding: _Optional[bool] = ..., period: _Optional[str] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., extendable_to_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., verification: _Optional[str] = ..., met_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., wording: _Optional[str] = ...) -> None: ...

class RequestStep(_message.Message):
    __slots__ = ("time", "actor", "step", "note")
    TIME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    time: _timestamp_pb2.Timestamp
    actor: str
    step: str
    note: str
    def __init__(self, time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ..., step: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class ErasureProgress(_message.Message):
    __slots__ = ("erasure_id", "done", "erased", "kept", "delivered", "rounds", "grounds", "sequence")
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
    ERASURE_ID_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    ERASED_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    ROUNDS_FIELD_NUMBER: _ClassVar[int]
    GROUNDS_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    erasure_id: str
    done: _containers.RepeatedScalarFieldContainer[str]
    erased: _containers.ScalarMap[str, int]
    kept: _containers.ScalarMap[str, int]
    delivered: _containers.ScalarMap[str, int]
    rounds: int
    grounds: _containers.RepeatedScalarFieldContainer[str]
    sequence: int
    def __init__(self, erasure_id: _Optional[str] = ..., done: _Optional[_Iterable[str]] = ..., erased: _Optional[_Mapping[str, int]] = ..., kept: _Optional[_Mapping[str, int]] = ..., delivered: _Optional[_Mapping[str, int]] = ..., rounds: _Optional[int] = ..., grounds: _Optional[_Iterable[str]] = ..., sequence: _Optional[int] = ...) -> None: ...

class SubjectRequest(_message.Message):
    __slots__ = ("request_id", "tenant", "user_id", "subject", "right", "jurisdiction", "state", "identity", "received_time", "duties", "due_time", "closed_time", "overdue", "extended", "steps", "event_id", "contest", "erasure", "certificate", "export_digest", "paused_seconds", "paused_since_time", "details")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    JURISDICTION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_TIME_FIELD_NUMBER: _ClassVar[int]
    DUTIES_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    CLOSED_TIME_FIELD_NUMBER: _ClassVar[int]
    OVERDUE_FIELD_NUMBER: _ClassVar[int]
    EXTENDED_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CONTEST_FIELD_NUMBER: _ClassVar[int]
    ERASURE_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    EXPORT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PAUSED_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PAUSED_SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    tenant: str
    user_id: str
    subject: str
    right: SubjectRight
    jurisdiction: str
    state: SubjectRequestState
    identity: IdentityState
    received_time: _timestamp_pb2.Timestamp
    duties: _containers.RepeatedCompositeFieldContainer[RequestDuty]
    due_time: _timestamp_pb2.Timestamp
    closed_time: _timestamp_pb2.Timestamp
    overdue: bool
    extended: bool
    steps: _containers.RepeatedCompositeFieldContainer[RequestStep]
    event_id: str
    contest: ContestOutcome
    erasure: ErasureProgress
    certificate: str
    export_digest: str
    paused_seconds: int
    paused_since_time: _timestamp_pb2.Timestamp
    details: str
    def __init__(self, request_id: _Optional[str] = ..., tenant: _Optional[str] = ..., user_id: _Optional[str] = ..., subject: _Optional[str] = ..., right: _Optional[_Union[SubjectRight, str]] = ..., jurisdiction: _Optional[str] = ..., state: _Optional[_Union[SubjectRequestState, str]] = ..., identity: _Optional[_Union[IdentityState, str]] = ..., received_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., duties: _Optional[_Iterable[_Union[RequestDuty, _Mapping]]] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., closed_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., overdue: _Optional[bool] = ..., extended: _Optional[bool] = ..., steps: _Optional[_Iterable[_Union[RequestStep, _Mapping]]] = ..., event_id: _Optional[str] = ..., contest: _Optional[_Union[ContestOutcome, str]] = ..., erasure: _Optional[_Union[ErasureProgress, _Mapping]] = ..., certificate: _Optional[str] = ..., export_digest: _Optional[str] = ..., paused_seconds: _Optional[int] = ..., paused_since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., details: _Optional[str] = ...) -> None: ...

class OpenSubjectRequestRequest(_message.Message):
    __slots__ = ("tenant", "user_id", "right", "jurisdiction", "received_time", "request_id", "identity_confirmed", "event_id", "details", "actor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    JURISDICTION_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_TIME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_CONFIRMED_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user_id: str
    right: SubjectRight
    jurisdiction: str
    received_time: _timestamp_pb2.Timestamp
    request_id: str
    identity_confirmed: bool
    event_id: str
    details: str
    actor: str
    def __init__(self, tenant: _Optional[str] = ..., user_id: _Optional[str] = ..., right: _Optional[_Union[SubjectRight, str]] = ..., jurisdiction: _Optional[str] = ..., received_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., request_id: _Optional[str] = ..., identity_confirmed: _Optional[bool] = ..., event_id: _Optional[str] = ..., details: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class OpenSubjectRequestResponse(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: SubjectRequest
    def __init__(self, request: _Optional[_Union[SubjectRequest, _Mapping]] = ...) -> None: ...

class GetSubjectRequestRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "actor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    actor: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class GetSubjectRequestResponse(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: SubjectRequest
    def __init__(self, request: _Optional[_Union[SubjectRequest, _Mapping]] = ...) -> None: ...

class ListSubjectRequestsRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token", "user_id", "include_closed", "overdue_only", "actor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_CLOSED_FIELD_NUMBER: _ClassVar[int]
    OVERDUE_ONLY_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    user_id: str
    include_closed: bool
    overdue_only: bool
    actor: str
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., user_id: _Optional[str] = ..., include_closed: _Optional[bool] = ..., overdue_only: _Optional[bool] = ..., actor: _Optional[str] = ...) -> None: ...

class ListSubjectRequestsResponse(_message.Message):
    __slots__ = ("requests", "next_page_token")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[SubjectRequest]
    next_page_token: str
    def __init__(self, requests: _Optional[_Iterable[_Union[SubjectRequest, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class ActOnSubjectRequestRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "action", "note", "contest", "actor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    CONTEST_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    action: SubjectRequestAction
    note: str
    contest: ContestOutcome
    actor: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., action: _Optional[_Union[SubjectRequestAction, str]] = ..., note: _Optional[str] = ..., contest: _Optional[_Union[ContestOutcome, str]] = ..., actor: _Optional[str] = ...) -> None: ...

class ActOnSubjectRequestResponse(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: SubjectRequest
    def __init__(self, request: _Optional[_Union[SubjectRequest, _Mapping]] = ...) -> None: ...

class DownloadSubjectExportRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "actor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    actor: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class DownloadSubjectExportResponse(_message.Message):
    __slots__ = ("content",)
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    def __init__(self, content: _Optional[bytes] = ...) -> None: ...

class LegalHold(_message.Message):
    __slots__ = ("hold_id", "tenant", "user_id", "stores", "reason", "actor", "placed_time", "released_time", "released_by")
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    STORES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    PLACED_TIME_FIELD_NUMBER: _ClassVar[int]
    RELEASED_TIME_FIELD_NUMBER: _ClassVar[int]
    RELEASED_BY_FIELD_NUMBER: _ClassVar[int]
    hold_id: str
    tenant: str
    user_id: str
    stores: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    actor: str
    placed_time: _timestamp_pb2.Timestamp
    released_time: _timestamp_pb2.Timestamp
    released_by: str
    def __init__(self, hold_id: _Optional[str] = ..., tenant: _Optional[str] = ..., user_id: _Optional[str] = ..., stores: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ..., actor: _Optional[str] = ..., placed_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., released_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., released_by: _Optional[str] = ...) -> None: ...

class PlaceLegalHoldRequest(_message.Message):
    __slots__ = ("tenant", "user_id", "stores", "reason", "hold_id", "actor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    STORES_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user_id: str
    stores: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    hold_id: str
    actor: str
    def __init__(self, tenant: _Optional[str] = ..., user_id: _Optional[str] = ..., stores: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ..., hold_id: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class PlaceLegalHoldResponse(_message.Message):
    __slots__ = ("hold",)
    HOLD_FIELD_NUMBER: _ClassVar[int]
    hold: LegalHold
    def __init__(self, hold: _Optional[_Union[LegalHold, _Mapping]] = ...) -> None: ...

class ReleaseLegalHoldRequest(_message.Message):
    __slots__ = ("tenant", "hold_id", "actor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    HOLD_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    hold_id: str
    actor: str
    def __init__(self, tenant: _Optional[str] = ..., hold_id: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class ReleaseLegalHoldResponse(_message.Message):
    __slots__ = ("hold",)
    HOLD_FIELD_NUMBER: _ClassVar[int]
    hold: LegalHold
    def __init__(self, hold: _Optional[_Union[LegalHold, _Mapping]] = ...) -> None: ...

class ListLegalHoldsRequest(_message.Message):
    __slots__ = ("tenant", "include_released", "actor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_RELEASED_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    include_released: bool
    actor: str
    def __init__(self, tenant: _Optional[str] = ..., include_released: _Optional[bool] = ..., actor: _Optional[str] = ...) -> None: ...

class ListLegalHoldsResponse(_message.Message):
    __slots__ = ("holds",)
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    holds: _containers.RepeatedCompositeFieldContainer[LegalHold]
    def __init__(self, holds: _Optional[_Iterable[_Union[LegalHold, _Mapping]]] = ...) -> None: ...

class NoticeDuty(_message.Message):
    __slots__ = ("regulation", "recipient", "stage", "authority", "cite", "trigger", "applies", "because", "period", "wording", "start_time", "due_time", "basis", "verification", "sent_time", "sent_note", "overdue")
    REGULATION_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    CITE_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_FIELD_NUMBER: _ClassVar[int]
    APPLIES_FIELD_NUMBER: _ClassVar[int]
    BECAUSE_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    WORDING_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    DUE_TIME_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    SENT_TIME_FIELD_NUMBER: _ClassVar[int]
    SENT_NOTE_FIELD_NUMBER: _ClassVar[int]
    OVERDUE_FIELD_NUMBER: _ClassVar[int]
    regulation: str
    recipient: NoticeRecipient
    stage: str
    authority: str
    cite: str
    trigger: str
    applies: str
    because: str
    period: str
    wording: str
    start_time: _timestamp_pb2.Timestamp
    due_time: _timestamp_pb2.Timestamp
    basis: str
    verification: str
    sent_time: _timestamp_pb2.Timestamp
    sent_note: str
    overdue: bool
    def __init__(self, regulation: _Optional[str] = ..., recipient: _Optional[_Union[NoticeRecipient, str]] = ..., stage: _Optional[str] = ..., authority: _Optional[str] = ..., cite: _Optional[str] = ..., trigger: _Optional[str] = ..., applies: _Optional[str] = ..., because: _Optional[str] = ..., period: _Optional[str] = ..., wording: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., due_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., basis: _Optional[str] = ..., verification: _Optional[str] = ..., sent_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sent_note: _Optional[str] = ..., overdue: _Optional[bool] = ...) -> None: ...

class Breach(_message.Message):
    __slots__ = ("breach_id", "tenant", "description", "occurred_time", "aware_time", "assessed_time", "subjects_notified_time", "affected", "data_kinds", "risk", "encrypted", "unlawful", "duties", "steps", "closed_time")
    class AffectedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    BREACH_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    OCCURRED_TIME_FIELD_NUMBER: _ClassVar[int]
    AWARE_TIME_FIELD_NUMBER: _ClassVar[int]
    ASSESSED_TIME_FIELD_NUMBER: _ClassVar[int]
    SUBJECTS_NOTIFIED_TIME_FIELD_NUMBER: _ClassVar[int]
    AFFECTED_FIELD_NUMBER: _ClassVar[int]
    DATA_KINDS_FIELD_NUMBER: _ClassVar[int]
    RISK_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTED_FIELD_NUMBER: _ClassVar[int]
    UNLAWFUL_FIELD_NUMBER: _ClassVar[int]
    DUTIES_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    CLOSED_TIME_FIELD_NUMBER: _ClassVar[int]
    breach_id: str
    tenant: str
    description: str
    occurred_time: _timestamp_pb2.Timestamp
    aware_time: _timestamp_pb2.Timestamp
    assessed_time: _timestamp_pb2.Timestamp
    subjects_notified_time: _timestamp_pb2.Timestamp
    affected: _containers.ScalarMap[str, int]
    data_kinds: _containers.RepeatedScalarFieldContainer[str]
    risk: BreachRisk
    encrypted: bool
    unlawful: bool
    duties: _containers.RepeatedCompositeFieldContainer[NoticeDuty]
    steps: _containers.RepeatedCompositeFieldContainer[RequestStep]
    closed_time: _timestamp_pb2.Timestamp
    def __init__(self, breach_id: _Optional[str] = ..., tenant: _Optional[str] = ..., description: _Optional[str] = ..., occurred_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., aware_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., assessed_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., subjects_notified_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., affected: _Optional[_Mapping[str, int]] = ..., data_kinds: _Optional[_Iterable[str]] = ..., risk: _Optional[_Union[BreachRisk, str]] = ..., encrypted: _Optional[bool] = ..., unlawful: _Optional[bool] = ..., duties: _Optional[_Iterable[_Union[NoticeDuty, _Mapping]]] = ..., steps: _Optional[_Iterable[_Union[RequestStep, _Mapping]]] = ..., closed_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RegisterBreachRequest(_message.Message):
    __slots__ = ("breach", "actor")
    BREACH_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    breach: Breach
    actor: str
    def __init__(self, breach: _Optional[_Union[Breach, _Mapping]] = ..., actor: _Optional[str] = ...) -> None: ...

class RegisterBreachResponse(_message.Message):
    __slots__ = ("breach",)
    BREACH_FIELD_NUMBER: _ClassVar[int]
    breach: Breach
    def __init__(self, breach: _Optional[_Union[Breach, _Mapping]] = ...) -> None: ...

class UpdateBreachRequest(_message.Message):
    __slots__ = ("breach", "close", "note", "actor")
    BREACH_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    breach: Breach
    close: bool
    note: str
    actor: str
    def __init__(self, breach: _Optional[_Union[Breach, _Mapping]] = ..., close: _Optional[bool] = ..., note: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class UpdateBreachResponse(_message.Message):
    __slots__ = ("breach",)
    BREACH_FIELD_NUMBER: _ClassVar[int]
    breach: Breach
    def __init__(self, breach: _Optional[_Union[Breach, _Mapping]] = ...) -> None: ...

class GetBreachRequest(_message.Message):
    __slots__ = ("tenant", "breach_id", "actor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    BREACH_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    breach_id: str
    actor: str
    def __init__(self, tenant: _Optional[str] = ..., breach_id: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class GetBreachResponse(_message.Message):
    __slots__ = ("breach",)
    BREACH_FIELD_NUMBER: _ClassVar[int]
    breach: Breach
    def __init__(self, breach: _Optional[_Union[Breach, _Mapping]] = ...) -> None: ...

class ListBreachesRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token", "actor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    actor: str
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class ListBreachesResponse(_message.Message):
    __slots__ = ("breaches", "next_page_token")
    BREACHES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    breaches: _containers.RepeatedCompositeFieldContainer[Breach]
    next_page_token: str
    def __init__(self, breaches: _Optional[_Iterable[_Union[Breach, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DraftNoticeRequest(_message.Message):
    __slots__ = ("tenant", "breach_id", "regulation", "recipient", "actor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    BREACH_ID_FIELD_NUMBER: _ClassVar[int]
    REGULATION_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    breach_id: str
    regulation: str
    recipient: NoticeRecipient
    actor: str
    def __init__(self, tenant: _Optional[str] = ..., breach_id: _Optional[str] = ..., regulation: _Optional[str] = ..., recipient: _Optional[_Union[NoticeRecipient, str]] = ..., actor: _Optional[str] = ...) -> None: ...

class DraftNoticeResponse(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class RecordNoticeRequest(_message.Message):
    __slots__ = ("tenant", "breach_id", "regulation", "recipient", "stage", "sent_time", "note", "actor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    BREACH_ID_FIELD_NUMBER: _ClassVar[int]
    REGULATION_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    SENT_TIME_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    breach_id: str
    regulation: str
    recipient: NoticeRecipient
    stage: str
    sent_time: _timestamp_pb2.Timestamp
    note: str
    actor: str
    def __init__(self, tenant: _Optional[str] = ..., breach_id: _Optional[str] = ..., regulation: _Optional[str] = ..., recipient: _Optional[_Union[NoticeRecipient, str]] = ..., stage: _Optional[str] = ..., sent_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., note: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class RecordNoticeResponse(_message.Message):
    __slots__ = ("breach",)
    BREACH_FIELD_NUMBER: _ClassVar[int]
    breach: Breach
    def __init__(self, breach: _Optional[_Union[Breach, _Mapping]] = ...) -> None: ...

class RetentionPolicy(_message.Message):
    __slots__ = ("kind", "jurisdiction", "days", "basis", "cite", "minimum_days", "minimum_cite", "action", "rationale")
    KIND_FIELD_NUMBER: _ClassVar[int]
    JURISDICTION_FIELD_NUMBER: _ClassVar[int]
    DAYS_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    CITE_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_DAYS_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_CITE_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    RATIONALE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    jurisdiction: str
    days: int
    basis: str
    cite: str
    minimum_days: int
    minimum_cite: str
    action: str
    rationale: str
    def __init__(self, kind: _Optional[str] = ..., jurisdiction: _Optional[str] = ..., days: _Optional[int] = ..., basis: _Optional[str] = ..., cite: _Optional[str] = ..., minimum_days: _Optional[int] = ..., minimum_cite: _Optional[str] = ..., action: _Optional[str] = ..., rationale: _Optional[str] = ...) -> None: ...

class ListRetentionPoliciesRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class ListRetentionPoliciesResponse(_message.Message):
    __slots__ = ("policies",)
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    policies: _containers.RepeatedCompositeFieldContainer[RetentionPolicy]
    def __init__(self, policies: _Optional[_Iterable[_Union[RetentionPolicy, _Mapping]]] = ...) -> None: ...

class RunRetentionRequest(_message.Message):
    __slots__ = ("tenant", "dry_run", "actor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    dry_run: bool
    actor: str
    def __init__(self, tenant: _Optional[str] = ..., dry_run: _Optional[bool] = ..., actor: _Optional[str] = ...) -> None: ...

class RetentionRun(_message.Message):
    __slots__ = ("run_id", "tenant", "dry_run", "started_time", "results", "report", "failure")
    RUN_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    STARTED_TIME_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    run_id: str
    tenant: str
    dry_run: bool
    started_time: _timestamp_pb2.Timestamp
    results: _containers.RepeatedCompositeFieldContainer[RetentionResult]
    report: str
    failure: str
    def __init__(self, run_id: _Optional[str] = ..., tenant: _Optional[str] = ..., dry_run: _Optional[bool] = ..., started_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., results: _Optional[_Iterable[_Union[RetentionResult, _Mapping]]] = ..., report: _Optional[str] = ..., failure: _Optional[str] = ...) -> None: ...

class RetentionResult(_message.Message):
    __slots__ = ("policy", "before_time", "rows", "held")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    BEFORE_TIME_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    policy: RetentionPolicy
    before_time: _timestamp_pb2.Timestamp
    rows: int
    held: int
    def __init__(self, policy: _Optional[_Union[RetentionPolicy, _Mapping]] = ..., before_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rows: _Optional[int] = ..., held: _Optional[int] = ...) -> None: ...

class RunRetentionResponse(_message.Message):
    __slots__ = ("run",)
    RUN_FIELD_NUMBER: _ClassVar[int]
    run: RetentionRun
    def __init__(self, run: _Optional[_Union[RetentionRun, _Mapping]] = ...) -> None: ...

class ListRetentionRunsRequest(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    def __init__(self, tenant: _Optional[str] = ...) -> None: ...

class ListRetentionRunsResponse(_message.Message):
    __slots__ = ("runs",)
    RUNS_FIELD_NUMBER: _ClassVar[int]
    runs: _containers.RepeatedCompositeFieldContainer[RetentionRun]
    def __init__(self, runs: _Optional[_Iterable[_Union[RetentionRun, _Mapping]]] = ...) -> None: ...

class ExportEvidenceRequest(_message.Message):
    __slots__ = ("tenant", "user_id", "since_time", "until_time", "actor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    user_id: str
    since_time: _timestamp_pb2.Timestamp
    until_time: _timestamp_pb2.Timestamp
    actor: str
    def __init__(self, tenant: _Optional[str] = ..., user_id: _Optional[str] = ..., since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., until_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ...) -> None: ...

class ExportEvidenceResponse(_message.Message):
    __slots__ = ("content",)
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    def __init__(self, content: _Optional[bytes] = ...) -> None: ...

class GetSigningKeyRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetSigningKeyResponse(_message.Message):
    __slots__ = ("public_key",)
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    public_key: str
    def __init__(self, public_key: _Optional[str] = ...) -> None: ...

class GetProcessingRecordsRequest(_message.Message):
    __slots__ = ("tenant", "actor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    actor: str
    def __init__(self, tenant: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class GetProcessingRecordsResponse(_message.Message):
    __slots__ = ("json",)
    JSON_FIELD_NUMBER: _ClassVar[int]
    json: str
    def __init__(self, json: _Optional[str] = ...) -> None: ...

class AuditEntry(_message.Message):
    __slots__ = ("sequence", "time", "actor", "tenant", "action", "object", "subject", "outcome", "hash")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    time: _timestamp_pb2.Timestamp
    actor: str
    tenant: str
    action: str
    object: str
    subject: str
    outcome: str
    hash: str
    def __init__(self, sequence: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ..., tenant: _Optional[str] = ..., action: _Optional[str] = ..., object: _Optional[str] = ..., subject: _Optional[str] = ..., outcome: _Optional[str] = ..., hash: _Optional[str] = ...) -> None: ...

class AppendAuditRequest(_message.Message):
    __slots__ = ("entry_id", "tenant", "actor", "action", "object", "user_id", "outcome")
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    OBJECT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    entry_id: str
    tenant: str
    actor: str
    action: str
    object: str
    user_id: str
    outcome: str
    def __init__(self, entry_id: _Optional[str] = ..., tenant: _Optional[str] = ..., actor: _Optional[str] = ..., action: _Optional[str] = ..., object: _Optional[str] = ..., user_id: _Optional[str] = ..., outcome: _Optional[str] = ...) -> None: ...

class AppendAuditResponse(_message.Message):
    __slots__ = ("sequence",)
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    def __init__(self, sequence: _Optional[int] = ...) -> None: ...

class ListAuditRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token", "user_id", "actor")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    user_id: str
    actor: str
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., user_id: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class ListAuditResponse(_message.Message):
    __slots__ = ("entries", "next_page_token")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[AuditEntry]
    next_page_token: str
    def __init__(self, entries: _Optional[_Iterable[_Union[AuditEntry, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class VerifyAuditRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class VerifyAuditResponse(_message.Message):
    __slots__ = ("entries", "intact", "broken_at", "head")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    INTACT_FIELD_NUMBER: _ClassVar[int]
    BROKEN_AT_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    entries: int
    intact: bool
    broken_at: int
    head: str
    def __init__(self, entries: _Optional[int] = ..., intact: _Optional[bool] = ..., broken_at: _Optional[int] = ..., head: _Optional[str] = ...) -> None: ...
