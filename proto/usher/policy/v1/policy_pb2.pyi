import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PartKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PART_KIND_UNSPECIFIED: _ClassVar[PartKind]
    PART_KIND_REGULATION_PACK: _ClassVar[PartKind]
    PART_KIND_SCORING_RULES: _ClassVar[PartKind]
    PART_KIND_MODEL: _ClassVar[PartKind]
    PART_KIND_MODEL_CARD: _ClassVar[PartKind]
    PART_KIND_NORMS: _ClassVar[PartKind]
    PART_KIND_FRAUD_PARAMETERS: _ClassVar[PartKind]
PART_KIND_UNSPECIFIED: PartKind
PART_KIND_REGULATION_PACK: PartKind
PART_KIND_SCORING_RULES: PartKind
PART_KIND_MODEL: PartKind
PART_KIND_MODEL_CARD: PartKind
PART_KIND_NORMS: PartKind
PART_KIND_FRAUD_PARAMETERS: PartKind

class LoadPolicySetRequest(_message.Message):
    __slots__ = ("policy_set",)
    POLICY_SET_FIELD_NUMBER: _ClassVar[int]
    policy_set: str
    def __init__(self, policy_set: _Optional[str] = ...) -> None: ...

class LoadPolicySetResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PolicySetManifest(_message.Message):
    __slots__ = ("policy_set", "parts")
    POLICY_SET_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    policy_set: str
    parts: _containers.RepeatedCompositeFieldContainer[PolicyPart]
    def __init__(self, policy_set: _Optional[str] = ..., parts: _Optional[_Iterable[_Union[PolicyPart, _Mapping]]] = ...) -> None: ...

class PolicyPart(_message.Message):
    __slots__ = ("kind", "name", "digest", "size_bytes")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    kind: PartKind
    name: str
    digest: str
    size_bytes: int
    def __init__(self, kind: _Optional[_Union[PartKind, str]] = ..., name: _Optional[str] = ..., digest: _Optional[str] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class GetActivePolicySetRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetActivePolicySetResponse(_message.Message):
    __slots__ = ("manifest", "activated_time")
    MANIFEST_FIELD_NUMBER: _ClassVar[int]
    ACTIVATED_TIME_FIELD_NUMBER: _ClassVar[int]
    manifest: PolicySetManifest
    activated_time: _timestamp_pb2.Timestamp
    def __init__(self, manifest: _Optional[_Union[PolicySetManifest, _Mapping]] = ..., activated_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ActivatePolicySetRequest(_message.Message):
    __slots__ = ("policy_set", "actor")
    POLICY_SET_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    policy_set: str
    actor: str
    def __init__(self, policy_set: _Optional[str] = ..., actor: _Optional[str] = ...) -> None: ...

class ActivatePolicySetResponse(_message.Message):
    __slots__ = ("activated_time",)
    ACTIVATED_TIME_FIELD_NUMBER: _ClassVar[int]
    activated_time: _timestamp_pb2.Timestamp
    def __init__(self, activated_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListActivationsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListActivationsResponse(_message.Message):
    __slots__ = ("activations", "next_page_token")
    ACTIVATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    activations: _containers.RepeatedCompositeFieldContainer[Activation]
    next_page_token: str
    def __init__(self, activations: _Optional[_Iterable[_Union[Activation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Activation(_message.Message):
    __slots__ = ("policy_set", "activated_time", "actor")
    POLICY_SET_FIELD_NUMBER: _ClassVar[int]
    ACTIVATED_TIME_FIELD_NUMBER: _ClassVar[int]
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    policy_set: str
    activated_time: _timestamp_pb2.Timestamp
    actor: str
    def __init__(self, policy_set: _Optional[str] = ..., activated_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., actor: _Optional[str] = ...) -> None: ...
