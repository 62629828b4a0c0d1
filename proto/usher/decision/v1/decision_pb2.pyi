import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FactorModel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FACTOR_MODEL_UNSPECIFIED: _ClassVar[FactorModel]
    FACTOR_MODEL_ANOMALY: _ClassVar[FactorModel]
    FACTOR_MODEL_VIOLATION: _ClassVar[FactorModel]

class RiskFactor(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RISK_FACTOR_UNSPECIFIED: _ClassVar[RiskFactor]
    RISK_FACTOR_FREQUENT_NO_CONSENT: _ClassVar[RiskFactor]
    RISK_FACTOR_GDPR_VIOLATION_PATTERN: _ClassVar[RiskFactor]
    RISK_FACTOR_HIGH_DATA_ACCESS_FREQUENCY: _ClassVar[RiskFactor]
    RISK_FACTOR_REPEATED_AUTH_FAILURES: _ClassVar[RiskFactor]
    RISK_FACTOR_SUSPICIOUS_GEO_VARIANCE: _ClassVar[RiskFactor]
    RISK_FACTOR_ELEVATED_ERROR_RATE: _ClassVar[RiskFactor]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_ALLOW: _ClassVar[Outcome]
    OUTCOME_ALLOW_WITH_CAUTION: _ClassVar[Outcome]
    OUTCOME_REVIEW: _ClassVar[Outcome]
    OUTCOME_BLOCK: _ClassVar[Outcome]

class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODE_UNSPECIFIED: _ClassVar[Mode]
    MODE_OBSERVE: _ClassVar[Mode]
    MODE_ENFORCE: _ClassVar[Mode]

class RiskLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RISK_LEVEL_UNSPECIFIED: _ClassVar[RiskLevel]
    RISK_LEVEL_LOW: _ClassVar[RiskLevel]
    RISK_LEVEL_MEDIUM: _ClassVar[RiskLevel]
    RISK_LEVEL_HIGH: _ClassVar[RiskLevel]
    RISK_LEVEL_CRITICAL: _ClassVar[RiskLevel]

class Segment(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEGMENT_UNSPECIFIED: _ClassVar[Segment]
    SEGMENT_POWER: _ClassVar[Segment]
    SEGMENT_STANDARD: _ClassVar[Segment]
    SEGMENT_NEW: _ClassVar[Segment]
    SEGMENT_INACTIVE: _ClassVar[Segment]
    SEGMENT_DORMANT: _ClassVar[Segment]
    SEGMENT_SUSPICIOUS: _ClassVar[Segment]

class Service(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SERVICE_UNSPECIFIED: _ClassVar[Service]
    SERVICE_INGEST: _ClassVar[Service]
    SERVICE_COMPLIANCE: _ClassVar[Service]
    SERVICE_SCORING: _ClassVar[Service]
    SERVICE_FRAUD: _ClassVar[Service]
    SERVICE_ALERTS: _ClassVar[Service]

class ReasonCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    REASON_CODE_UNSPECIFIED: _ClassVar[ReasonCode]
    REASON_CODE_ACT_FORBIDDEN: _ClassVar[ReasonCode]
    REASON_CODE_TOR_EXIT: _ClassVar[ReasonCode]
    REASON_CODE_VPN: _ClassVar[ReasonCode]
    REASON_CODE_HOSTING: _ClassVar[ReasonCode]
    REASON_CODE_REGION_MISMATCH: _ClassVar[ReasonCode]
    REASON_CODE_IMPOSSIBLE_TRAVEL: _ClassVar[ReasonCode]
    REASON_CODE_NEW_COUNTRY: _ClassVar[ReasonCode]
    REASON_CODE_ANOMALY: _ClassVar[ReasonCode]
    REASON_CODE_NEW_DEVICE: _ClassVar[ReasonCode]
    REASON_CODE_AUTHENTICATION_FAILURES: _ClassVar[ReasonCode]
    REASON_CODE_HIGH_FREQUENCY: _ClassVar[ReasonCode]
    REASON_CODE_ERROR_RATE: _ClassVar[ReasonCode]
    REASON_CODE_NIGHT_ACTIVITY: _ClassVar[ReasonCode]
    REASON_CODE_DATA_VOLUME: _ClassVar[ReasonCode]
    REASON_CODE_TAKEOVER_SEQUENCE: _ClassVar[ReasonCode]
    REASON_CODE_BULK_EXPORT: _ClassVar[ReasonCode]
    REASON_CODE_SUSPICIOUS_SEGMENT: _ClassVar[ReasonCode]
    REASON_CODE_YOUNG_ACCOUNT: _ClassVar[ReasonCode]
    REASON_CODE_CHARGEBACKS: _ClassVar[ReasonCode]
    REASON_CODE_SHARED_DEVICE: _ClassVar[ReasonCode]
    REASON_CODE_SHARED_PAYMENT: _ClassVar[ReasonCode]
    REASON_CODE_RING_MEMBER: _ClassVar[ReasonCode]
    REASON_CODE_CREDENTIAL_STUFFING: _ClassVar[ReasonCode]
    REASON_CODE_DEVICE_FAILURES: _ClassVar[ReasonCode]
    REASON_CODE_COLD: _ClassVar[ReasonCode]
    REASON_CODE_DEGRADED: _ClassVar[ReasonCode]
    REASON_CODE_LATE: _ClassVar[ReasonCode]
    REASON_CODE_UNKNOWN_EVENT_TYPE: _ClassVar[ReasonCode]
    REASON_CODE_CONCURRENT_STREAMS: _ClassVar[ReasonCode]
    REASON_CODE_REQUEST_OVERDUE: _ClassVar[ReasonCode]
    REASON_CODE_REQUEST_DUE_SOON: _ClassVar[ReasonCode]
    REASON_CODE_BREACH_NOTICE_OVERDUE: _ClassVar[ReasonCode]
    REASON_CODE_BREACH_NOTICE_DUE_SOON: _ClassVar[ReasonCode]
    REASON_CODE_ERASURE_STALLED: _ClassVar[ReasonCode]
    REASON_CODE_RETENTION_FAILED: _ClassVar[ReasonCode]
    REASON_CODE_LISTED_BLOCK: _ClassVar[ReasonCode]
    REASON_CODE_LISTED_ALLOW: _ClassVar[ReasonCode]
    REASON_CODE_LISTED_LIMIT: _ClassVar[ReasonCode]
    REASON_CODE_CONTROL_GROUP: _ClassVar[ReasonCode]
    REASON_CODE_ATTACK_IN_TEXT: _ClassVar[ReasonCode]
    REASON_CODE_BRUTE_FORCE: _ClassVar[ReasonCode]
    REASON_CODE_DISTRIBUTED_STUFFING: _ClassVar[ReasonCode]
    REASON_CODE_PASSWORD_SPRAYING: _ClassVar[ReasonCode]
    REASON_CODE_GUESSED_FROM_MANY_ADDRESSES: _ClassVar[ReasonCode]
    REASON_CODE_ACCOUNT_SHARING: _ClassVar[ReasonCode]
    REASON_CODE_STREAM_LIMIT: _ClassVar[ReasonCode]
    REASON_CODE_CREDENTIAL_RESALE: _ClassVar[ReasonCode]
    REASON_CODE_SCRAPING: _ClassVar[ReasonCode]
    REASON_CODE_TRIAL_ABUSE: _ClassVar[ReasonCode]
    REASON_CODE_CHARGEBACK_CLUSTER: _ClassVar[ReasonCode]
    REASON_CODE_CONFIRMED_NEIGHBOURS: _ClassVar[ReasonCode]
    REASON_CODE_CONFIRMED_RING: _ClassVar[ReasonCode]
    REASON_CODE_ONLY_SHARED: _ClassVar[ReasonCode]

class ActionKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTION_KIND_UNSPECIFIED: _ClassVar[ActionKind]
    ACTION_KIND_BLOCK: _ClassVar[ActionKind]
    ACTION_KIND_REVIEW: _ClassVar[ActionKind]
    ACTION_KIND_SUPPRESS_PROCESSING: _ClassVar[ActionKind]
    ACTION_KIND_SECOND_FACTOR: _ClassVar[ActionKind]
    ACTION_KIND_FLAG_ACCOUNT: _ClassVar[ActionKind]
    ACTION_KIND_LIST_ADDRESS: _ClassVar[ActionKind]
    ACTION_KIND_LIMIT_RATE: _ClassVar[ActionKind]
    ACTION_KIND_OPEN_INCIDENT: _ClassVar[ActionKind]
    ACTION_KIND_NOTIFY: _ClassVar[ActionKind]
    ACTION_KIND_OFFER_UPGRADE: _ClassVar[ActionKind]

class EnforcedBy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENFORCED_BY_UNSPECIFIED: _ClassVar[EnforcedBy]
    ENFORCED_BY_CALLER: _ClassVar[EnforcedBy]
    ENFORCED_BY_USHER: _ClassVar[EnforcedBy]

class NumberIndex(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NUMBER_INDEX_PLACE_UNSPECIFIED: _ClassVar[NumberIndex]
    NUMBER_INDEX_ANOMALY: _ClassVar[NumberIndex]
    NUMBER_INDEX_SEGMENT: _ClassVar[NumberIndex]
    NUMBER_INDEX_NETWORK: _ClassVar[NumberIndex]
    NUMBER_INDEX_COMPLIANCE: _ClassVar[NumberIndex]
    NUMBER_INDEX_COMPARED: _ClassVar[NumberIndex]
    NUMBER_INDEX_BASE_THRESHOLD: _ClassVar[NumberIndex]
    NUMBER_INDEX_THRESHOLD: _ClassVar[NumberIndex]
    NUMBER_INDEX_ADJUST_NIGHT: _ClassVar[NumberIndex]
    NUMBER_INDEX_ADJUST_YOUNG: _ClassVar[NumberIndex]
    NUMBER_INDEX_ADJUST_TRUSTED: _ClassVar[NumberIndex]
    NUMBER_INDEX_ADJUST_LEARNT: _ClassVar[NumberIndex]
    NUMBER_INDEX_ENSEMBLE_SCORE: _ClassVar[NumberIndex]
    NUMBER_INDEX_ISOLATION_FOREST: _ClassVar[NumberIndex]
    NUMBER_INDEX_LOCAL_OUTLIER_FACTOR: _ClassVar[NumberIndex]
    NUMBER_INDEX_VIOLATION_LIKELIHOOD: _ClassVar[NumberIndex]
    NUMBER_INDEX_VIOLATION_CONFIDENCE: _ClassVar[NumberIndex]
    NUMBER_INDEX_PROFILE_EVENTS: _ClassVar[NumberIndex]
    NUMBER_INDEX_NEAREST_NEIGHBOURS: _ClassVar[NumberIndex]
    NUMBER_INDEX_SENSITIVITY: _ClassVar[NumberIndex]
    NUMBER_INDEX_ADJUST_RESIDENCE: _ClassVar[NumberIndex]
    NUMBER_INDEX_FIRST_FEATURE: _ClassVar[NumberIndex]

class StageIndex(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STAGE_INDEX_ACCEPT_UNSPECIFIED: _ClassVar[StageIndex]
    STAGE_INDEX_QUEUE: _ClassVar[StageIndex]
    STAGE_INDEX_LOOK_UP: _ClassVar[StageIndex]
    STAGE_INDEX_ASK: _ClassVar[StageIndex]
    STAGE_INDEX_DECIDE: _ClassVar[StageIndex]

class ComplianceStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPLIANCE_STATUS_UNSPECIFIED: _ClassVar[ComplianceStatus]
    COMPLIANCE_STATUS_COMPLIANT: _ClassVar[ComplianceStatus]
    COMPLIANCE_STATUS_VIOLATION: _ClassVar[ComplianceStatus]
    COMPLIANCE_STATUS_GAP: _ClassVar[ComplianceStatus]

class VerdictFlag(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_FLAG_UNSPECIFIED: _ClassVar[VerdictFlag]
    VERDICT_FLAG_FORBIDS_ACT: _ClassVar[VerdictFlag]
    VERDICT_FLAG_SUPPRESS: _ClassVar[VerdictFlag]
    VERDICT_FLAG_MINOR: _ClassVar[VerdictFlag]
    VERDICT_FLAG_AGE_UNKNOWN: _ClassVar[VerdictFlag]
    VERDICT_FLAG_SECURITY_SUPPRESSED: _ClassVar[VerdictFlag]

class ProcessingState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROCESSING_STATE_UNSPECIFIED: _ClassVar[ProcessingState]
    PROCESSING_STATE_PERMITTED: _ClassVar[ProcessingState]
    PROCESSING_STATE_SUPPRESS: _ClassVar[ProcessingState]
    PROCESSING_STATE_GAP: _ClassVar[ProcessingState]

class SignalIndex(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIGNAL_INDEX_PLACE_RISK_UNSPECIFIED: _ClassVar[SignalIndex]
    SIGNAL_INDEX_NETWORK_RISK: _ClassVar[SignalIndex]
    SIGNAL_INDEX_DEVICE_ACCOUNTS: _ClassVar[SignalIndex]
    SIGNAL_INDEX_PAYMENT_ACCOUNTS: _ClassVar[SignalIndex]
    SIGNAL_INDEX_ADDRESS_ACCOUNTS: _ClassVar[SignalIndex]
    SIGNAL_INDEX_ACCOUNT_FAILURES: _ClassVar[SignalIndex]
    SIGNAL_INDEX_ADDRESS_FAILURES: _ClassVar[SignalIndex]
    SIGNAL_INDEX_DEVICE_FAILURES: _ClassVar[SignalIndex]
    SIGNAL_INDEX_ADDRESS_FAILED_ACCOUNTS: _ClassVar[SignalIndex]
    SIGNAL_INDEX_RING_MEMBERS: _ClassVar[SignalIndex]
    SIGNAL_INDEX_RING_SCORE: _ClassVar[SignalIndex]
    SIGNAL_INDEX_TRAVEL_KMH: _ClassVar[SignalIndex]
    SIGNAL_INDEX_ADDRESS_CLASS: _ClassVar[SignalIndex]
    SIGNAL_INDEX_TITLES: _ClassVar[SignalIndex]
    SIGNAL_INDEX_CONCURRENT_STREAMS: _ClassVar[SignalIndex]
    SIGNAL_INDEX_ACCOUNT_EXPORTS: _ClassVar[SignalIndex]
    SIGNAL_INDEX_STUFFING: _ClassVar[SignalIndex]
    SIGNAL_INDEX_SPRAYING: _ClassVar[SignalIndex]
    SIGNAL_INDEX_BURST_FAILURES: _ClassVar[SignalIndex]
    SIGNAL_INDEX_FAILURE_SOURCES: _ClassVar[SignalIndex]
    SIGNAL_INDEX_TAKEOVER_STEPS: _ClassVar[SignalIndex]
    SIGNAL_INDEX_TRIAL_ACCOUNTS: _ClassVar[SignalIndex]
    SIGNAL_INDEX_CHARGEBACK_ACCOUNTS: _ClassVar[SignalIndex]
    SIGNAL_INDEX_STREAMS_OVER_LIMIT: _ClassVar[SignalIndex]
    SIGNAL_INDEX_SHARING: _ClassVar[SignalIndex]
    SIGNAL_INDEX_RESALE: _ClassVar[SignalIndex]
    SIGNAL_INDEX_CONFIRMED_NEIGHBOURS: _ClassVar[SignalIndex]
    SIGNAL_INDEX_RING_CONFIRMED: _ClassVar[SignalIndex]
FACTOR_MODEL_UNSPECIFIED: FactorModel
FACTOR_MODEL_ANOMALY: FactorModel
FACTOR_MODEL_VIOLATION: FactorModel
RISK_FACTOR_UNSPECIFIED: RiskFactor
RISK_FACTOR_FREQUENT_NO_CONSENT: RiskFactor
RISK_FACTOR_GDPR_VIOLATION_PATTERN: RiskFactor
RISK_FACTOR_HIGH_DATA_ACCESS_FREQUENCY: RiskFactor
RISK_FACTOR_REPEATED_AUTH_FAILURES: RiskFactor
RISK_FACTOR_SUSPICIOUS_GEO_VARIANCE: RiskFactor
RISK_FACTOR_ELEVATED_ERROR_RATE: RiskFactor
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_ALLOW: Outcome
OUTCOME_ALLOW_WITH_CAUTION: Outcome
OUTCOME_REVIEW: Outcome
OUTCOME_BLOCK: Outcome
MODE_UNSPECIFIED: Mode
MODE_OBSERVE: Mode
MODE_ENFORCE: Mode
RISK_LEVEL_UNSPECIFIED: RiskLevel
RISK_LEVEL_LOW: RiskLevel
RISK_LEVEL_MEDIUM: RiskLevel
RISK_LEVEL_HIGH: RiskLevel
RISK_LEVEL_CRITICAL: RiskLevel
SEGMENT_UNSPECIFIED: Segment
SEGMENT_POWER: Segment
SEGMENT_STANDARD: Segment
SEGMENT_NEW: Segment
SEGMENT_INACTIVE: Segment
SEGMENT_DORMANT: Segment
SEGMENT_SUSPICIOUS: Segment
SERVICE_UNSPECIFIED: Service
SERVICE_INGEST: Service
SERVICE_COMPLIANCE: Service
SERVICE_SCORING: Service
SERVICE_FRAUD: Service
SERVICE_ALERTS: Service
REASON_CODE_UNSPECIFIED: ReasonCode
REASON_CODE_ACT_FORBIDDEN: ReasonCode
REASON_CODE_TOR_EXIT: ReasonCode
REASON_CODE_VPN: ReasonCode
REASON_CODE_HOSTING: ReasonCode
REASON_CODE_REGION_MISMATCH: ReasonCode
REASON_CODE_IMPOSSIBLE_TRAVEL: ReasonCode
REASON_CODE_NEW_COUNTRY: ReasonCode
REASON_CODE_ANOMALY: ReasonCode
REASON_CODE_NEW_DEVICE: ReasonCode
REASON_CODE_AUTHENTICATION_FAILURES: ReasonCode
REASON_CODE_HIGH_FREQUENCY: ReasonCode
REASON_CODE_ERROR_RATE: ReasonCode
REASON_CODE_NIGHT_ACTIVITY: ReasonCode
REASON_CODE_DATA_VOLUME: ReasonCode
REASON_CODE_TAKEOVER_SEQUENCE: ReasonCode
REASON_CODE_BULK_EXPORT: ReasonCode
REASON_CODE_SUSPICIOUS_SEGMENT: ReasonCode
REASON_CODE_YOUNG_ACCOUNT: ReasonCode
REASON_CODE_CHARGEBACKS: ReasonCode
REASON_CODE_SHARED_DEVICE: ReasonCode
REASON_CODE_SHARED_PAYMENT: ReasonCode
REASON_CODE_RING_MEMBER: ReasonCode
REASON_CODE_CREDENTIAL_STUFFING: ReasonCode
REASON_CODE_DEVICE_FAILURES: ReasonCode
REASON_CODE_COLD: ReasonCode
REASON_CODE_DEGRADED: ReasonCode
REASON_CODE_LATE: ReasonCode
REASON_CODE_UNKNOWN_EVENT_TYPE: ReasonCode
REASON_CODE_CONCURRENT_STREAMS: ReasonCode
REASON_CODE_REQUEST_OVERDUE: ReasonCode
REASON_CODE_REQUEST_DUE_SOON: ReasonCode
REASON_CODE_BREACH_NOTICE_OVERDUE: ReasonCode
REASON_CODE_BREACH_NOTICE_DUE_SOON: ReasonCode
REASON_CODE_ERASURE_STALLED: ReasonCode
REASON_CODE_RETENTION_FAILED: ReasonCode
REASON_CODE_LISTED_BLOCK: ReasonCode
REASON_CODE_LISTED_ALLOW: ReasonCode
REASON_CODE_LISTED_LIMIT: ReasonCode
REASON_CODE_CONTROL_GROUP: ReasonCode
REASON_CODE_ATTACK_IN_TEXT: ReasonCode
REASON_CODE_BRUTE_FORCE: ReasonCode
REASON_CODE_DISTRIBUTED_STUFFING: ReasonCode
REASON_CODE_PASSWORD_SPRAYING: ReasonCode
REASON_CODE_GUESSED_FROM_MANY_ADDRESSES: ReasonCode
REASON_CODE_ACCOUNT_SHARING: ReasonCode
REASON_CODE_STREAM_LIMIT: ReasonCode
REASON_CODE_CREDENTIAL_RESALE: ReasonCode
REASON_CODE_SCRAPING: ReasonCode
REASON_CODE_TRIAL_ABUSE: ReasonCode
REASON_CODE_CHARGEBACK_CLUSTER: ReasonCode
REASON_CODE_CONFIRMED_NEIGHBOURS: ReasonCode
REASON_CODE_CONFIRMED_RING: ReasonCode
REASON_CODE_ONLY_SHARED: ReasonCode
ACTION_KIND_UNSPECIFIED: ActionKind
ACTION_KIND_BLOCK: ActionKind
ACTION_KIND_REVIEW: ActionKind
ACTION_KIND_SUPPRESS_PROCESSING: ActionKind
ACTION_KIND_SECOND_FACTOR: ActionKind
ACTION_KIND_FLAG_ACCOUNT: ActionKind
ACTION_KIND_LIST_ADDRESS: ActionKind
ACTION_KIND_LIMIT_RATE: ActionKind
ACTION_KIND_OPEN_INCIDENT: ActionKind
ACTION_KIND_NOTIFY: ActionKind
ACTION_KIND_OFFER_UPGRADE: ActionKind
ENFORCED_BY_UNSPECIFIED: EnforcedBy
ENFORCED_BY_CALLER: EnforcedBy
ENFORCED_BY_USHER: EnforcedBy
NUMBER_INDEX_PLACE_UNSPECIFIED: NumberIndex
NUMBER_INDEX_ANOMALY: NumberIndex
NUMBER_INDEX_SEGMENT: NumberIndex
NUMBER_INDEX_NETWORK: NumberIndex
NUMBER_INDEX_COMPLIANCE: NumberIndex
NUMBER_INDEX_COMPARED: NumberIndex
NUMBER_INDEX_BASE_THRESHOLD: NumberIndex
NUMBER_INDEX_THRESHOLD: NumberIndex
NUMBER_INDEX_ADJUST_NIGHT: NumberIndex
NUMBER_INDEX_ADJUST_YOUNG: NumberIndex
NUMBER_INDEX_ADJUST_TRUSTED: NumberIndex
NUMBER_INDEX_ADJUST_LEARNT: NumberIndex
NUMBER_INDEX_ENSEMBLE_SCORE: NumberIndex
NUMBER_INDEX_ISOLATION_FOREST: NumberIndex
NUMBER_INDEX_LOCAL_OUTLIER_FACTOR: NumberIndex
NUMBER_INDEX_VIOLATION_LIKELIHOOD: NumberIndex
NUMBER_INDEX_VIOLATION_CONFIDENCE: NumberIndex
NUMBER_INDEX_PROFILE_EVENTS: NumberIndex
NUMBER_INDEX_NEAREST_NEIGHBOURS: NumberIndex
NUMBER_INDEX_SENSITIVITY: NumberIndex
NUMBER_INDEX_ADJUST_RESIDENCE: NumberIndex
NUMBER_INDEX_FIRST_FEATURE: NumberIndex
STAGE_INDEX_ACCEPT_UNSPECIFIED: StageIndex
STAGE_INDEX_QUEUE: StageIndex
STAGE_INDEX_LOOK_UP: StageIndex
STAGE_INDEX_ASK: StageIndex
STAGE_INDEX_DECIDE: StageIndex
COMPLIANCE_STATUS_UNSPECIFIED: ComplianceStatus
COMPLIANCE_STATUS_COMPLIANT: ComplianceStatus
COMPLIANCE_STATUS_VIOLATION: ComplianceStatus
COMPLIANCE_STATUS_GAP: ComplianceStatus
VERDICT_FLAG_UNSPECIFIED: VerdictFlag
VERDICT_FLAG_FORBIDS_ACT: VerdictFlag
VERDICT_FLAG_SUPPRESS: VerdictFlag
VERDICT_FLAG_MINOR: VerdictFlag
VERDICT_FLAG_AGE_UNKNOWN: VerdictFlag
VERDICT_FLAG_SECURITY_SUPPRESSED: VerdictFlag
PROCESSING_STATE_UNSPECIFIED: ProcessingState
PROCESSING_STATE_PERMITTED: ProcessingState
PROCESSING_STATE_SUPPRESS: ProcessingState
PROCESSING_STATE_GAP: ProcessingState
SIGNAL_INDEX_PLACE_RISK_UNSPECIFIED: SignalIndex
SIGNAL_INDEX_NETWORK_RISK: SignalIndex
SIGNAL_INDEX_DEVICE_ACCOUNTS: SignalIndex
SIGNAL_INDEX_PAYMENT_ACCOUNTS: SignalIndex
SIGNAL_INDEX_ADDRESS_ACCOUNTS: SignalIndex
SIGNAL_INDEX_ACCOUNT_FAILURES: SignalIndex
SIGNAL_INDEX_ADDRESS_FAILURES: SignalIndex
SIGNAL_INDEX_DEVICE_FAILURES: SignalIndex
SIGNAL_INDEX_ADDRESS_FAILED_ACCOUNTS: SignalIndex
SIGNAL_INDEX_RING_MEMBERS: SignalIndex
SIGNAL_INDEX_RING_SCORE: SignalIndex
SIGNAL_INDEX_TRAVEL_KMH: SignalIndex
SIGNAL_INDEX_ADDRESS_CLASS: SignalIndex
SIGNAL_INDEX_TITLES: SignalIndex
SIGNAL_INDEX_CONCURRENT_STREAMS: SignalIndex
SIGNAL_INDEX_ACCOUNT_EXPORTS: SignalIndex
SIGNAL_INDEX_STUFFING: SignalIndex
SIGNAL_INDEX_SPRAYING: SignalIndex
SIGNAL_INDEX_BURST_FAILURES: SignalIndex
SIGNAL_INDEX_FAILURE_SOURCES: SignalIndex
SIGNAL_INDEX_TAKEOVER_STEPS: SignalIndex
SIGNAL_INDEX_TRIAL_ACCOUNTS: SignalIndex
SIGNAL_INDEX_CHARGEBACK_ACCOUNTS: SignalIndex
SIGNAL_INDEX_STREAMS_OVER_LIMIT: SignalIndex
SIGNAL_INDEX_SHARING: SignalIndex
SIGNAL_INDEX_RESALE: SignalIndex
SIGNAL_INDEX_CONFIRMED_NEIGHBOURS: SignalIndex
SIGNAL_INDEX_RING_CONFIRMED: SignalIndex

class Decision(_message.Message):
    __slots__ = ("factors", "explanation_failed", "risk_factors", "outcome", "would_be", "mode", "risk_score", "risk_level", "segment", "reasons", "actions", "numbers", "counterfactual", "verdict", "assessment", "event_id", "tenant", "user_id", "decided_time", "policy_set", "position", "degraded", "folded", "sighted", "stage_us", "trace_id", "item_flags", "event_class", "place_data", "country", "place_flags", "asn")
    FACTORS_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FAILED_FIELD_NUMBER: _ClassVar[int]
    RISK_FACTORS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    WOULD_BE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    RISK_SCORE_FIELD_NUMBER: _ClassVar[int]
    RISK_LEVEL_FIELD_NUMBER: _ClassVar[int]
    SEGMENT_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    ACTIONS_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    COUNTERFACTUAL_FIELD_NUMBER: _ClassVar[int]
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    ASSESSMENT_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    DECIDED_TIME_FIELD_NUMBER: _ClassVar[int]
    POLICY_SET_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    FOLDED_FIELD_NUMBER: _ClassVar[int]
    SIGHTED_FIELD_NUMBER: _ClassVar[int]
    STAGE_US_FIELD_NUMBER: _ClassVar[int]
    TRACE_ID_FIELD_NUMBER: _ClassVar[int]
    ITEM_FLAGS_FIELD_NUMBER: _ClassVar[int]
    EVENT_CLASS_FIELD_NUMBER: _ClassVar[int]
    PLACE_DATA_FIELD_NUMBER: _ClassVar[int]
    COUNTRY_FIELD_NUMBER: _ClassVar[int]
    PLACE_FLAGS_FIELD_NUMBER: _ClassVar[int]
    ASN_FIELD_NUMBER: _ClassVar[int]
    factors: _containers.RepeatedCompositeFieldContainer[Factor]
    explanation_failed: bool
    risk_factors: _containers.RepeatedScalarFieldContainer[RiskFactor]
    outcome: Outcome
    would_be: Outcome
    mode: Mode
    risk_score: float
    risk_level: RiskLevel
    segment: Segment
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    actions: _containers.RepeatedCompositeFieldContainer[Action]
    numbers: _containers.RepeatedScalarFieldContainer[float]
    counterfactual: _containers.RepeatedScalarFieldContainer[ReasonCode]
    verdict: Verdict
    assessment: Assessment
    event_id: str
    tenant: str
    user_id: str
    decided_time: _timestamp_pb2.Timestamp
    policy_set: str
    position: int
    degraded: _containers.RepeatedScalarFieldContainer[Service]
    folded: bool
    sighted: bool
    stage_us: _containers.RepeatedScalarFieldContainer[int]
    trace_id: bytes
    item_flags: int
    event_class: int
    place_data: str
    country: str
    place_flags: int
    asn: int
    def __init__(self, factors: _Optional[_Iterable[_Union[Factor, _Mapping]]] = ..., explanation_failed: _Optional[bool] = ..., risk_factors: _Optional[_Iterable[_Union[RiskFactor, str]]] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., would_be: _Optional[_Union[Outcome, str]] = ..., mode: _Optional[_Union[Mode, str]] = ..., risk_score: _Optional[float] = ..., risk_level: _Optional[_Union[RiskLevel, str]] = ..., segment: _Optional[_Union[Segment, str]] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ..., actions: _Optional[_Iterable[_Union[Action, _Mapping]]] = ..., numbers: _Optional[_Iterable[float]] = ..., counterfactual: _Optional[_Iterable[_Union[ReasonCode, str]]] = ..., verdict: _Optional[_Union[Verdict, _Mapping]] = ..., assessment: _Optional[_Union[Assessment, _Mapping]] = ..., event_id: _Optional[str] = ..., tenant: _Optional[str] = ..., user_id: _Optional[str] = ..., decided_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., policy_set: _Optional[str] = ..., position: _Optional[int] = ..., degraded: _Optional[_Iterable[_Union[Service, str]]] = ..., folded: _Optional[bool] = ..., sighted: _Optional[bool] = ..., stage_us: _Optional[_Iterable[int]] = ..., trace_id: _Optional[bytes] = ..., item_flags: _Optional[int] = ..., event_class: _Optional[int] = ..., place_data: _Optional[str] = ..., country: _Optional[str] = ..., place_flags: _Optional[int] = ..., asn: _Optional[int] = ...) -> None: ...

class Factor(_message.Message):
    __slots__ = ("model", "feature", "value", "normal", "own_normal", "contribution")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    NORMAL_FIELD_NUMBER: _ClassVar[int]
    OWN_NORMAL_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    model: FactorModel
    feature: str
    value: float
    normal: float
    own_normal: bool
    contribution: float
    def __init__(self, model: _Optional[_Union[FactorModel, str]] = ..., feature: _Optional[str] = ..., value: _Optional[float] = ..., normal: _Optional[float] = ..., own_normal: _Optional[bool] = ..., contribution: _Optional[float] = ...) -> None: ...

class Reason(_message.Message):
    __slots__ = ("code", "values", "words", "points")
    CODE_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    WORDS_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    code: ReasonCode
    values: _containers.RepeatedScalarFieldContainer[float]
    words: _containers.RepeatedScalarFieldContainer[str]
    points: float
    def __init__(self, code: _Optional[_Union[ReasonCode, str]] = ..., values: _Optional[_Iterable[float]] = ..., words: _Optional[_Iterable[str]] = ..., points: _Optional[float] = ...) -> None: ...

class Action(_message.Message):
    __slots__ = ("kind", "enforced_by", "until_time", "viewer_message_key", "channels", "priority")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ENFORCED_BY_FIELD_NUMBER: _ClassVar[int]
    UNTIL_TIME_FIELD_NUMBER: _ClassVar[int]
    VIEWER_MESSAGE_KEY_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    kind: ActionKind
    enforced_by: EnforcedBy
    until_time: _timestamp_pb2.Timestamp
    viewer_message_key: str
    channels: _containers.RepeatedScalarFieldContainer[str]
    priority: str
    def __init__(self, kind: _Optional[_Union[ActionKind, str]] = ..., enforced_by: _Optional[_Union[EnforcedBy, str]] = ..., until_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., viewer_message_key: _Optional[str] = ..., channels: _Optional[_Iterable[str]] = ..., priority: _Optional[str] = ...) -> None: ...

class Verdict(_message.Message):
    __slots__ = ("status", "applicable", "findings", "gaps", "processing", "assumptions", "risk", "flags", "ledger_version", "conflicts", "remedies", "consent_conflicts", "consent_problems", "ledger_consent")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    APPLICABLE_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    GAPS_FIELD_NUMBER: _ClassVar[int]
    PROCESSING_FIELD_NUMBER: _ClassVar[int]
    ASSUMPTIONS_FIELD_NUMBER: _ClassVar[int]
    RISK_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    LEDGER_VERSION_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    REMEDIES_FIELD_NUMBER: _ClassVar[int]
    CONSENT_CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    CONSENT_PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    LEDGER_CONSENT_FIELD_NUMBER: _ClassVar[int]
    status: ComplianceStatus
    applicable: _containers.RepeatedScalarFieldContainer[str]
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    gaps: _containers.RepeatedCompositeFieldContainer[Gap]
    processing: _containers.RepeatedCompositeFieldContainer[Processing]
    assumptions: _containers.RepeatedScalarFieldContainer[str]
    risk: float
    flags: int
    ledger_version: int
    conflicts: _containers.RepeatedCompositeFieldContainer[Conflict]
    remedies: _containers.RepeatedCompositeFieldContainer[RemedyAction]
    consent_conflicts: _containers.RepeatedCompositeFieldContainer[ConsentConflict]
    consent_problems: _containers.RepeatedCompositeFieldContainer[ConsentStringProblem]
    ledger_consent: LedgerConsent
    def __init__(self, status: _Optional[_Union[ComplianceStatus, str]] = ..., applicable: _Optional[_Iterable[str]] = ..., findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ..., gaps: _Optional[_Iterable[_Union[Gap, _Mapping]]] = ..., processing: _Optional[_Iterable[_Union[Processing, _Mapping]]] = ..., assumptions: _Optional[_Iterable[str]] = ..., risk: _Optional[float] = ..., flags: _Optional[int] = ..., ledger_version: _Optional[int] = ..., conflicts: _Optional[_Iterable[_Union[Conflict, _Mapping]]] = ..., remedies: _Optional[_Iterable[_Union[RemedyAction, _Mapping]]] = ..., consent_conflicts: _Optional[_Iterable[_Union[ConsentConflict, _Mapping]]] = ..., consent_problems: _Optional[_Iterable[_Union[ConsentStringProblem, _Mapping]]] = ..., ledger_consent: _Optional[_Union[LedgerConsent, _Mapping]] = ...) -> None: ...

class ConsentConflict(_message.Message):
    __slots__ = ("fact", "value", "decided_by", "overruled")
    FACT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_FIELD_NUMBER: _ClassVar[int]
    OVERRULED_FIELD_NUMBER: _ClassVar[int]
    fact: str
    value: str
    decided_by: str
    overruled: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, fact: _Optional[str] = ..., value: _Optional[str] = ..., decided_by: _Optional[str] = ..., overruled: _Optional[_Iterable[str]] = ...) -> None: ...

class ConsentStringProblem(_message.Message):
    __slots__ = ("field", "reason", "message")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    field: str
    reason: str
    message: str
    def __init__(self, field: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class LedgerConsent(_message.Message):
    __slots__ = ("granted", "denied", "status", "obtained_time", "withdrawn_time", "expires_time", "opted_out_time", "objected_time", "restricted_time")
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    DENIED_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OBTAINED_TIME_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_TIME_FIELD_NUMBER: _ClassVar[int]
    OPTED_OUT_TIME_FIELD_NUMBER: _ClassVar[int]
    OBJECTED_TIME_FIELD_NUMBER: _ClassVar[int]
    RESTRICTED_TIME_FIELD_NUMBER: _ClassVar[int]
    granted: _containers.RepeatedScalarFieldContainer[str]
    denied: _containers.RepeatedScalarFieldContainer[str]
    status: str
    obtained_time: _timestamp_pb2.Timestamp
    withdrawn_time: _timestamp_pb2.Timestamp
    expires_time: _timestamp_pb2.Timestamp
    opted_out_time: _timestamp_pb2.Timestamp
    objected_time: _timestamp_pb2.Timestamp
    restricted_time: _timestamp_pb2.Timestamp
    def __init__(self, granted: _Optional[_Iterable[str]] = ..., denied: _Optional[_Iterable[str]] = ..., status: _Optional[str] = ..., obtained_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., withdrawn_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., opted_out_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., objected_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., restricted_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("regulation", "article", "reason", "rule", "pack_version", "remedy", "verification", "reviewed_by", "severity", "forbids_act", "consent_cannot_cure")
    REGULATION_FIELD_NUMBER: _ClassVar[int]
    ARTICLE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    PACK_VERSION_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    VERIFICATION_FIELD_NUMBER: _ClassVar[int]
    REVIEWED_BY_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    FORBIDS_ACT_FIELD_NUMBER: _ClassVar[int]
    CONSENT_CANNOT_CURE_FIELD_NUMBER: _ClassVar[int]
    regulation: str
    article: str
    reason: str
    rule: str
    pack_version: str
    remedy: str
    verification: str
    reviewed_by: str
    severity: int
    forbids_act: bool
    consent_cannot_cure: bool
    def __init__(self, regulation: _Optional[str] = ..., article: _Optional[str] = ..., reason: _Optional[str] = ..., rule: _Optional[str] = ..., pack_version: _Optional[str] = ..., remedy: _Optional[str] = ..., verification: _Optional[str] = ..., reviewed_by: _Optional[str] = ..., severity: _Optional[int] = ..., forbids_act: _Optional[bool] = ..., consent_cannot_cure: _Optional[bool] = ...) -> None: ...

class Conflict(_message.Message):
    __slots__ = ("purpose", "recipient", "destination", "decided_by", "rule", "state", "less_strict")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    DECIDED_BY_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    LESS_STRICT_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    recipient: str
    destination: str
    decided_by: str
    rule: str
    state: ProcessingState
    less_strict: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, purpose: _Optional[str] = ..., recipient: _Optional[str] = ..., destination: _Optional[str] = ..., decided_by: _Optional[str] = ..., rule: _Optional[str] = ..., state: _Optional[_Union[ProcessingState, str]] = ..., less_strict: _Optional[_Iterable[str]] = ...) -> None: ...

class RemedyAction(_message.Message):
    __slots__ = ("remedy", "rules", "severity", "enforced_by")
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    ENFORCED_BY_FIELD_NUMBER: _ClassVar[int]
    remedy: str
    rules: _containers.RepeatedScalarFieldContainer[str]
    severity: int
    enforced_by: EnforcedBy
    def __init__(self, remedy: _Optional[str] = ..., rules: _Optional[_Iterable[str]] = ..., severity: _Optional[int] = ..., enforced_by: _Optional[_Union[EnforcedBy, str]] = ...) -> None: ...

class Gap(_message.Message):
    __slots__ = ("regulation", "article", "rule", "missing")
    REGULATION_FIELD_NUMBER: _ClassVar[int]
    ARTICLE_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    regulation: str
    article: str
    rule: str
    missing: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, regulation: _Optional[str] = ..., article: _Optional[str] = ..., rule: _Optional[str] = ..., missing: _Optional[_Iterable[str]] = ...) -> None: ...

class Processing(_message.Message):
    __slots__ = ("purpose", "recipient", "destination", "state", "rule")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    purpose: str
    recipient: str
    destination: str
    state: ProcessingState
    rule: str
    def __init__(self, purpose: _Optional[str] = ..., recipient: _Optional[str] = ..., destination: _Optional[str] = ..., state: _Optional[_Union[ProcessingState, str]] = ..., rule: _Optional[str] = ...) -> None: ...

class Assessment(_message.Message):
    __slots__ = ("signals", "evidence", "ring_id")
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    RING_ID_FIELD_NUMBER: _ClassVar[int]
    signals: _containers.RepeatedScalarFieldContainer[float]
    evidence: _containers.RepeatedCompositeFieldContainer[Reason]
    ring_id: str
    def __init__(self, signals: _Optional[_Iterable[float]] = ..., evidence: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ..., ring_id: _Optional[str] = ...) -> None: ...
