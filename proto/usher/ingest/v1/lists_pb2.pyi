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

class ListKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LIST_KIND_UNSPECIFIED: _ClassVar[ListKind]
    LIST_KIND_BLOCK: _ClassVar[ListKind]
    LIST_KIND_ALLOW: _ClassVar[ListKind]
    LIST_KIND_LIMIT: _ClassVar[ListKind]

class ListedEntity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LISTED_ENTITY_UNSPECIFIED: _ClassVar[ListedEntity]
    LISTED_ENTITY_USER: _ClassVar[ListedEntity]
    LISTED_ENTITY_DEVICE: _ClassVar[ListedEntity]
    LISTED_ENTITY_ADDRESS: _ClassVar[ListedEntity]
    LISTED_ENTITY_PAYMENT: _ClassVar[ListedEntity]
LIST_KIND_UNSPECIFIED: ListKind
LIST_KIND_BLOCK: ListKind
LIST_KIND_ALLOW: ListKind
LIST_KIND_LIMIT: ListKind
LISTED_ENTITY_UNSPECIFIED: ListedEntity
LISTED_ENTITY_USER: ListedEntity
LISTED_ENTITY_DEVICE: ListedEntity
LISTED_ENTITY_ADDRESS: ListedEntity
LISTED_ENTITY_PAYMENT: ListedEntity

class ListEntry(_message.Message):
    __slots__ = ("entry_id", "kind", "entity_kind", "entity", "event_classes", "limit_per_hour", "reason", "actor", "created_time", "expires_time", "lifted_time", "lifted_by", "lift_reason", "automatic", "reference", "proposed", "affected")
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ENTITY_KIND_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    EVENT_CLASSES_FIELD_NUMBER: _ClassVar[int]
    LIMIT_PER_HOUR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    CREATED_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_TIME_FIELD_NUMBER: _ClassVar[int]
    LIFTED_TIME_FIELD_NUMBER: _ClassVar[int]
    LIFTED_BY_FIELD_NUMBER: _ClassVar[int]
    LIFT_REASON_FIELD_NUMBER: _ClassVar[int]
    AUTOMATIC_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_FIELD_NUMBER: _ClassVar[int]
    AFFECTED_FIELD_NUMBER: _ClassVar[int]
    entry_id: str
    kind: ListKind
    entity_kind: ListedEntity
    entity: str
    event_classes: _containers.RepeatedScalarFieldContainer[_event_pb2.EventClass]
    limit_per_hour: int
    reason: str
    actor: str
    created_time: _timestamp_pb2.Timestamp
    expires_time: _timestamp_pb2.Timestamp
    lifted_time: _timestamp_pb2.Timestamp
    lifted_by: str
    lift_reason: str
    automatic: bool
    reference: str
    proposed: bool
    affected: AffectedAccounts
    def __init__(self, entry_id: _Optional[str] = ..., kind: _Optional[_Union[ListKind, str]] = ..., entity_kind: _Optional[_Union[ListedEntity, str]] = ..., entity: _Optional[str] = ..., event_classes: _Optional[_Iterable[_Union[_event_pb2.EventClass, str]]] = ..., limit_per_hour: _Optional[int] = ..., reason: _Optional[str] = ..., actor: _Optional[str] = ..., created_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lifted_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lifted_by: _Optional[str] = ..., lift_reason: _Optional[str] = ..., automatic: _Optional[bool] = ..., reference: _Optional[str] = ..., proposed: _Optional[bool] = ..., affected: _Optional[_Union[AffectedAccounts, _Mapping]] = ...) -> None: ...

class SetListEntryRequest(_message.Message):
    __slots__ = ("tenant", "entry")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    entry: ListEntry
    def __init__(self, tenant: _Optional[str] = ..., entry: _Optional[_Union[ListEntry, _Mapping]] = ...) -> None: ...

class SetListEntryResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: ListEntry
    def __init__(self, entry: _Optional[_Union[ListEntry, _Mapping]] = ...) -> None: ...

class ListEntriesRequest(_message.Message):
    __slots__ = ("tenant", "page_size", "page_token", "kind", "entity", "include_ended")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_ENDED_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    page_size: int
    page_token: str
    kind: ListKind
    entity: str
    include_ended: bool
    def __init__(self, tenant: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., kind: _Optional[_Union[ListKind, str]] = ..., entity: _Optional[str] = ..., include_ended: _Optional[bool] = ...) -> None: ...

class ListEntriesResponse(_message.Message):
    __slots__ = ("entries", "next_page_token")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[ListEntry]
    next_page_token: str
    def __init__(self, entries: _Optional[_Iterable[_Union[ListEntry, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class LiftListEntryRequest(_message.Message):
    __slots__ = ("tenant", "entry_id", "actor", "reason")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ENTRY_ID_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    entry_id: str
    actor: str
    reason: str
    def __init__(self, tenant: _Optional[str] = ..., entry_id: _Optional[str] = ..., actor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class LiftListEntryResponse(_message.Message):
    __slots__ = ("entry",)
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    entry: ListEntry
    def __init__(self, entry: _Optional[_Union[ListEntry, _Mapping]] = ...) -> None: ...

class PreviewListEntryRequest(_message.Message):
    __slots__ = ("tenant", "entity_kind", "entity", "hours")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    ENTITY_KIND_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    HOURS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    entity_kind: ListedEntity
    entity: str
    hours: int
    def __init__(self, tenant: _Optional[str] = ..., entity_kind: _Optional[_Union[ListedEntity, str]] = ..., entity: _Optional[str] = ..., hours: _Optional[int] = ...) -> None: ...

class PreviewListEntryResponse(_message.Message):
    __slots__ = ("accounts", "account_count", "events_read", "complete", "watching")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_COUNT_FIELD_NUMBER: _ClassVar[int]
    EVENTS_READ_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    WATCHING_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[AffectedAccount]
    account_count: int
    events_read: int
    complete: bool
    watching: int
    def __init__(self, accounts: _Optional[_Iterable[_Union[AffectedAccount, _Mapping]]] = ..., account_count: _Optional[int] = ..., events_read: _Optional[int] = ..., complete: _Optional[bool] = ..., watching: _Optional[int] = ...) -> None: ...

class AffectedAccounts(_message.Message):
    __slots__ = ("accounts", "account_count", "watching", "events_read", "complete")
    ACCOUNTS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_COUNT_FIELD_NUMBER: _ClassVar[int]
    WATCHING_FIELD_NUMBER: _ClassVar[int]
    EVENTS_READ_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    accounts: _containers.RepeatedCompositeFieldContainer[AffectedAccount]
    account_count: int
    watching: int
    events_read: int
    complete: bool
    def __init__(self, accounts: _Optional[_Iterable[_Union[AffectedAccount, _Mapping]]] = ..., account_count: _Optional[int] = ..., watching: _Optional[int] = ..., events_read: _Optional[int] = ..., complete: _Optional[bool] = ...) -> None: ...

class AffectedAccount(_message.Message):
    __slots__ = ("user_id", "events", "last_time")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    LAST_TIME_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    events: int
    last_time: _timestamp_pb2.Timestamp
    def __init__(self, user_id: _Optional[str] = ..., events: _Optional[int] = ..., last_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
