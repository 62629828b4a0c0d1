import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PHASE_UNSPECIFIED: _ClassVar[Phase]
    PHASE_INTENT: _ClassVar[Phase]
    PHASE_OCCURRED: _ClassVar[Phase]

class Origin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ORIGIN_UNSPECIFIED: _ClassVar[Origin]
    ORIGIN_LIVE: _ClassVar[Origin]
    ORIGIN_IMPORT: _ClassVar[Origin]

class EventClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_CLASS_UNSPECIFIED: _ClassVar[EventClass]
    EVENT_CLASS_PLAYBACK: _ClassVar[EventClass]
    EVENT_CLASS_LOGOUT: _ClassVar[EventClass]
    EVENT_CLASS_LOGIN: _ClassVar[EventClass]
    EVENT_CLASS_EXPORT: _ClassVar[EventClass]
    EVENT_CLASS_PAYMENT: _ClassVar[EventClass]
    EVENT_CLASS_CREDENTIAL: _ClassVar[EventClass]
    EVENT_CLASS_RIGHTS: _ClassVar[EventClass]

class CheckStage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHECK_STAGE_UNSPECIFIED: _ClassVar[CheckStage]
    CHECK_STAGE_SCHEMA: _ClassVar[CheckStage]
    CHECK_STAGE_SECURITY: _ClassVar[CheckStage]
    CHECK_STAGE_SANITISING: _ClassVar[CheckStage]

class PlaceFlag(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PLACE_FLAG_UNSPECIFIED: _ClassVar[PlaceFlag]
    PLACE_FLAG_HOSTING: _ClassVar[PlaceFlag]
    PLACE_FLAG_VPN: _ClassVar[PlaceFlag]
    PLACE_FLAG_TOR: _ClassVar[PlaceFlag]
    PLACE_FLAG_RELAY: _ClassVar[PlaceFlag]
    PLACE_FLAG_SHARED: _ClassVar[PlaceFlag]
    PLACE_FLAG_SPECIAL: _ClassVar[PlaceFlag]
    PLACE_FLAG_PROXY: _ClassVar[PlaceFlag]

class ItemFlag(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ITEM_FLAG_UNSPECIFIED: _ClassVar[ItemFlag]
    ITEM_FLAG_FOLD_ONLY: _ClassVar[ItemFlag]
    ITEM_FLAG_LATE: _ClassVar[ItemFlag]
    ITEM_FLAG_OLD: _ClassVar[ItemFlag]
    ITEM_FLAG_NO_FRAUD: _ClassVar[ItemFlag]
    ITEM_FLAG_NO_COMPLIANCE: _ClassVar[ItemFlag]
    ITEM_FLAG_IMPORT: _ClassVar[ItemFlag]
    ITEM_FLAG_SUPPRESSED: _ClassVar[ItemFlag]
    ITEM_FLAG_ATTACK_MARKED: _ClassVar[ItemFlag]
PHASE_UNSPECIFIED: Phase
PHASE_INTENT: Phase
PHASE_OCCURRED: Phase
ORIGIN_UNSPECIFIED: Origin
ORIGIN_LIVE: Origin
ORIGIN_IMPORT: Origin
EVENT_CLASS_UNSPECIFIED: EventClass
EVENT_CLASS_PLAYBACK: EventClass
EVENT_CLASS_LOGOUT: EventClass
EVENT_CLASS_LOGIN: EventClass
EVENT_CLASS_EXPORT: EventClass
EVENT_CLASS_PAYMENT: EventClass
EVENT_CLASS_CREDENTIAL: EventClass
EVENT_CLASS_RIGHTS: EventClass
CHECK_STAGE_UNSPECIFIED: CheckStage
CHECK_STAGE_SCHEMA: CheckStage
CHECK_STAGE_SECURITY: CheckStage
CHECK_STAGE_SANITISING: CheckStage
PLACE_FLAG_UNSPECIFIED: PlaceFlag
PLACE_FLAG_HOSTING: PlaceFlag
PLACE_FLAG_VPN: PlaceFlag
PLACE_FLAG_TOR: PlaceFlag
PLACE_FLAG_RELAY: PlaceFlag
PLACE_FLAG_SHARED: PlaceFlag
PLACE_FLAG_SPECIAL: PlaceFlag
PLACE_FLAG_PROXY: PlaceFlag
ITEM_FLAG_UNSPECIFIED: ItemFlag
ITEM_FLAG_FOLD_ONLY: ItemFlag
ITEM_FLAG_LATE: ItemFlag
ITEM_FLAG_OLD: ItemFlag
ITEM_FLAG_NO_FRAUD: ItemFlag
ITEM_FLAG_NO_COMPLIANCE: ItemFlag
ITEM_FLAG_IMPORT: ItemFlag
ITEM_FLAG_SUPPRESSED: ItemFlag
ITEM_FLAG_ATTACK_MARKED: ItemFlag

class Event(_message.Message):
    __slots__ = ("event_id", "user_id", "device_id", "content_id", "event_type", "event_time", "region", "is_eu", "has_consent", "ip_address", "subscription_plan", "error_code", "metadata_json", "phase", "intent_event_id", "origin", "import_id", "user_agent", "session_id", "stream_id", "payment_fingerprint", "data_volume_bytes", "time_zone", "account", "privacy", "unmapped", "unknown_json")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    DEVICE_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    REGION_FIELD_NUMBER: _ClassVar[int]
    IS_EU_FIELD_NUMBER: _ClassVar[int]
    HAS_CONSENT_FIELD_NUMBER: _ClassVar[int]
    IP_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTION_PLAN_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    METADATA_JSON_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    INTENT_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    IMPORT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    DATA_VOLUME_BYTES_FIELD_NUMBER: _ClassVar[int]
    TIME_ZONE_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    PRIVACY_FIELD_NUMBER: _ClassVar[int]
    UNMAPPED_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_JSON_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    user_id: str
    device_id: str
    content_id: str
    event_type: str
    event_time: _timestamp_pb2.Timestamp
    region: str
    is_eu: bool
    has_consent: bool
    ip_address: str
    subscription_plan: str
    error_code: str
    metadata_json: bytes
    phase: Phase
    intent_event_id: str
    origin: Origin
    import_id: str
    user_agent: str
    session_id: str
    stream_id: str
    payment_fingerprint: str
    data_volume_bytes: int
    time_zone: str
    account: AccountFacts
    privacy: PrivacyFacts
    unmapped: Unmapped
    unknown_json: bytes
    def __init__(self, event_id: _Optional[str] = ..., user_id: _Optional[str] = ..., device_id: _Optional[str] = ..., content_id: _Optional[str] = ..., event_type: _Optional[str] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., region: _Optional[str] = ..., is_eu: _Optional[bool] = ..., has_consent: _Optional[bool] = ..., ip_address: _Optional[str] = ..., subscription_plan: _Optional[str] = ..., error_code: _Optional[str] = ..., metadata_json: _Optional[bytes] = ..., phase: _Optional[_Union[Phase, str]] = ..., intent_event_id: _Optional[str] = ..., origin: _Optional[_Union[Origin, str]] = ..., import_id: _Optional[str] = ..., user_agent: _Optional[str] = ..., session_id: _Optional[str] = ..., stream_id: _Optional[str] = ..., payment_fingerprint: _Optional[str] = ..., data_volume_bytes: _Optional[int] = ..., time_zone: _Optional[str] = ..., account: _Optional[_Union[AccountFacts, _Mapping]] = ..., privacy: _Optional[_Union[PrivacyFacts, _Mapping]] = ..., unmapped: _Optional[_Union[Unmapped, _Mapping]] = ..., unknown_json: _Optional[bytes] = ...) -> None: ...

class AccountFacts(_message.Message):
    __slots__ = ("created_time", "email_domain", "email_verified", "signup_ip_address", "trial", "chargebacks", "stream_limit", "household_id", "registered_devices", "second_factor_enrolled", "plan")
    CREATED_TIME_FIELD_NUMBER: _ClassVar[int]
    EMAIL_DOMAIN_FIELD_NUMBER: _ClassVar[int]
    EMAIL_VERIFIED_FIELD_NUMBER: _ClassVar[int]
    SIGNUP_IP_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    CHARGEBACKS_FIELD_NUMBER: _ClassVar[int]
    STREAM_LIMIT_FIELD_NUMBER: _ClassVar[int]
    HOUSEHOLD_ID_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_DEVICES_FIELD_NUMBER: _ClassVar[int]
    SECOND_FACTOR_ENROLLED_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    created_time: _timestamp_pb2.Timestamp
    email_domain: str
    email_verified: bool
    signup_ip_address: str
    trial: bool
    chargebacks: int
    stream_limit: int
    household_id: str
    registered_devices: int
    second_factor_enrolled: bool
    plan: str
    def __init__(self, created_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., email_domain: _Optional[str] = ..., email_verified: _Optional[bool] = ..., signup_ip_address: _Optional[str] = ..., trial: _Optional[bool] = ..., chargebacks: _Optional[int] = ..., stream_limit: _Optional[int] = ..., household_id: _Optional[str] = ..., registered_devices: _Optional[int] = ..., second_factor_enrolled: _Optional[bool] = ..., plan: _Optional[str] = ...) -> None: ...

class PrivacyFacts(_message.Message):
    __slots__ = ("user_residence", "user_location", "user_age", "age_assured", "subject_type", "service_type", "controller_established_in", "operator_meets_thresholds", "purpose", "legal_basis_claimed", "data_categories", "terminal_storage_access", "terminal_strictly_necessary", "terminal_purpose", "consent", "signals", "third_party", "transfer", "rights_request", "breach", "retention", "annual_outbound_individuals", "child_directed", "ciio", "explicit_opt_out", "guardian_account_linked", "notice_given", "opt_out_link_offered", "opt_out_offered", "opt_out_received_time", "profiling_activated_by_user", "profiling_active", "storage_country", "user_objected", "uses_profiling", "data_origin", "honours_opt_out_signals", "most_protective_defaults", "best_interest_assessed", "bulk_export", "data_minimised", "existing_customer", "annual_outbound_sensitive_individuals")
    USER_RESIDENCE_FIELD_NUMBER: _ClassVar[int]
    USER_LOCATION_FIELD_NUMBER: _ClassVar[int]
    USER_AGE_FIELD_NUMBER: _ClassVar[int]
    AGE_ASSURED_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_TYPE_FIELD_NUMBER: _ClassVar[int]
    SERVICE_TYPE_FIELD_NUMBER: _ClassVar[int]
    CONTROLLER_ESTABLISHED_IN_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_MEETS_THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    LEGAL_BASIS_CLAIMED_FIELD_NUMBER: _ClassVar[int]
    DATA_CATEGORIES_FIELD_NUMBER: _ClassVar[int]
    TERMINAL_STORAGE_ACCESS_FIELD_NUMBER: _ClassVar[int]
    TERMINAL_STRICTLY_NECESSARY_FIELD_NUMBER: _ClassVar[int]
    TERMINAL_PURPOSE_FIELD_NUMBER: _ClassVar[int]
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    THIRD_PARTY_FIELD_NUMBER: _ClassVar[int]
    TRANSFER_FIELD_NUMBER: _ClassVar[int]
    RIGHTS_REQUEST_FIELD_NUMBER: _ClassVar[int]
    BREACH_FIELD_NUMBER: _ClassVar[int]
    RETENTION_FIELD_NUMBER: _ClassVar[int]
    ANNUAL_OUTBOUND_INDIVIDUALS_FIELD_NUMBER: _ClassVar[int]
    CHILD_DIRECTED_FIELD_NUMBER: _ClassVar[int]
    CIIO_FIELD_NUMBER: _ClassVar[int]
    EXPLICIT_OPT_OUT_FIELD_NUMBER: _ClassVar[int]
    GUARDIAN_ACCOUNT_LINKED_FIELD_NUMBER: _ClassVar[int]
    NOTICE_GIVEN_FIELD_NUMBER: _ClassVar[int]
    OPT_OUT_LINK_OFFERED_FIELD_NUMBER: _ClassVar[int]
    OPT_OUT_OFFERED_FIELD_NUMBER: _ClassVar[int]
    OPT_OUT_RECEIVED_TIME_FIELD_NUMBER: _ClassVar[int]
    PROFILING_ACTIVATED_BY_USER_FIELD_NUMBER: _ClassVar[int]
    PROFILING_ACTIVE_FIELD_NUMBER: _ClassVar[int]
    STORAGE_COUNTRY_FIELD_NUMBER: _ClassVar[int]
    USER_OBJECTED_FIELD_NUMBER: _ClassVar[int]
    USES_PROFILING_FIELD_NUMBER: _ClassVar[int]
    DATA_ORIGIN_FIELD_NUMBER: _ClassVar[int]
    HONOURS_OPT_OUT_SIGNALS_FIELD_NUMBER: _ClassVar[int]
    MOST_PROTECTIVE_DEFAULTS_FIELD_NUMBER: _ClassVar[int]
    BEST_INTEREST_ASSESSED_FIELD_NUMBER: _ClassVar[int]
    BULK_EXPORT_FIELD_NUMBER: _ClassVar[int]
    DATA_MINIMISED_FIELD_NUMBER: _ClassVar[int]
    EXISTING_CUSTOMER_FIELD_NUMBER: _ClassVar[int]
    ANNUAL_OUTBOUND_SENSITIVE_INDIVIDUALS_FIELD_NUMBER: _ClassVar[int]
    user_residence: str
    user_location: str
    user_age: int
    age_assured: bool
    subject_type: str
    service_type: str
    controller_established_in: _containers.RepeatedScalarFieldContainer[str]
    operator_meets_thresholds: bool
    purpose: str
    legal_basis_claimed: str
    data_categories: _containers.RepeatedScalarFieldContainer[str]
    terminal_storage_access: bool
    terminal_strictly_necessary: bool
    terminal_purpose: str
    consent: Consent
    signals: PreferenceSignals
    third_party: ThirdParty
    transfer: Transfer
    rights_request: RightsRequest
    breach: Breach
    retention: Retention
    annual_outbound_individuals: int
    child_directed: bool
    ciio: bool
    explicit_opt_out: bool
    guardian_account_linked: bool
    notice_given: bool
    opt_out_link_offered: bool
    opt_out_offered: bool
    opt_out_received_time: _timestamp_pb2.Timestamp
    profiling_activated_by_user: bool
    profiling_active: bool
    storage_country: str
    user_objected: bool
    uses_profiling: bool
    data_origin: str
    honours_opt_out_signals: bool
    most_protective_defaults: bool
    best_interest_assessed: bool
    bulk_export: bool
    data_minimised: bool
    existing_customer: bool
    annual_outbound_sensitive_individuals: int
    def __init__(self, user_residence: _Optional[str] = ..., user_location: _Optional[str] = ..., user_age: _Optional[int] = ..., age_assured: _Optional[bool] = ..., subject_type: _Optional[str] = ..., service_type: _Optional[str] = ..., controller_established_in: _Optional[_Iterable[str]] = ..., operator_meets_thresholds: _Optional[bool] = ..., purpose: _Optional[str] = ..., legal_basis_claimed: _Optional[str] = ..., data_categories: _Optional[_Iterable[str]] = ..., terminal_storage_access: _Optional[bool] = ..., terminal_strictly_necessary: _Optional[bool] = ..., terminal_purpose: _Optional[str] = ..., consent: _Optional[_Union[Consent, _Mapping]] = ..., signals: _Optional[_Union[PreferenceSignals, _Mapping]] = ..., third_party: _Optional[_Union[ThirdParty, _Mapping]] = ..., transfer: _Optional[_Union[Transfer, _Mapping]] = ..., rights_request: _Optional[_Union[RightsRequest, _Mapping]] = ..., breach: _Optional[_Union[Breach, _Mapping]] = ..., retention: _Optional[_Union[Retention, _Mapping]] = ..., annual_outbound_individuals: _Optional[int] = ..., child_directed: _Optional[bool] = ..., ciio: _Optional[bool] = ..., explicit_opt_out: _Optional[bool] = ..., guardian_account_linked: _Optional[bool] = ..., notice_given: _Optional[bool] = ..., opt_out_link_offered: _Optional[bool] = ..., opt_out_offered: _Optional[bool] = ..., opt_out_received_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., profiling_activated_by_user: _Optional[bool] = ..., profiling_active: _Optional[bool] = ..., storage_country: _Optional[str] = ..., user_objected: _Optional[bool] = ..., uses_profiling: _Optional[bool] = ..., data_origin: _Optional[str] = ..., honours_opt_out_signals: _Optional[bool] = ..., most_protective_defaults: _Optional[bool] = ..., best_interest_assessed: _Optional[bool] = ..., bulk_export: _Optional[bool] = ..., data_minimised: _Optional[bool] = ..., existing_customer: _Optional[bool] = ..., annual_outbound_sensitive_individuals: _Optional[int] = ...) -> None: ...

class Consent(_message.Message):
    __slots__ = ("status", "scope", "parental", "obtained_time", "withdrawn_time", "expires_time", "given_by", "separate", "verifiable", "vppa_separate_form", "tcf", "tcf_string", "gpp_string", "us_privacy_string", "explicit", "registered_time")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    PARENTAL_FIELD_NUMBER: _ClassVar[int]
    OBTAINED_TIME_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_TIME_FIELD_NUMBER: _ClassVar[int]
    GIVEN_BY_FIELD_NUMBER: _ClassVar[int]
    SEPARATE_FIELD_NUMBER: _ClassVar[int]
    VERIFIABLE_FIELD_NUMBER: _ClassVar[int]
    VPPA_SEPARATE_FORM_FIELD_NUMBER: _ClassVar[int]
    TCF_FIELD_NUMBER: _ClassVar[int]
    TCF_STRING_FIELD_NUMBER: _ClassVar[int]
    GPP_STRING_FIELD_NUMBER: _ClassVar[int]
    US_PRIVACY_STRING_FIELD_NUMBER: _ClassVar[int]
    EXPLICIT_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_TIME_FIELD_NUMBER: _ClassVar[int]
    status: str
    scope: _containers.RepeatedScalarFieldContainer[str]
    parental: bool
    obtained_time: _timestamp_pb2.Timestamp
    withdrawn_time: _timestamp_pb2.Timestamp
    expires_time: _timestamp_pb2.Timestamp
    given_by: str
    separate: bool
    verifiable: bool
    vppa_separate_form: bool
    tcf: TcfRecord
    tcf_string: str
    gpp_string: str
    us_privacy_string: str
    explicit: bool
    registered_time: _timestamp_pb2.Timestamp
    def __init__(self, status: _Optional[str] = ..., scope: _Optional[_Iterable[str]] = ..., parental: _Optional[bool] = ..., obtained_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., withdrawn_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., given_by: _Optional[str] = ..., separate: _Optional[bool] = ..., verifiable: _Optional[bool] = ..., vppa_separate_form: _Optional[bool] = ..., tcf: _Optional[_Union[TcfRecord, _Mapping]] = ..., tcf_string: _Optional[str] = ..., gpp_string: _Optional[str] = ..., us_privacy_string: _Optional[str] = ..., explicit: _Optional[bool] = ..., registered_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class TcfRecord(_message.Message):
    __slots__ = ("version", "disclosed_vendors_segment", "vendor_id", "vendor_disclosed", "vendor_consent", "purpose_consents", "purpose_legitimate_interests")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DISCLOSED_VENDORS_SEGMENT_FIELD_NUMBER: _ClassVar[int]
    VENDOR_ID_FIELD_NUMBER: _ClassVar[int]
    VENDOR_DISCLOSED_FIELD_NUMBER: _ClassVar[int]
    VENDOR_CONSENT_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_CONSENTS_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_LEGITIMATE_INTERESTS_FIELD_NUMBER: _ClassVar[int]
    version: str
    disclosed_vendors_segment: bool
    vendor_id: int
    vendor_disclosed: bool
    vendor_consent: bool
    purpose_consents: _containers.RepeatedScalarFieldContainer[int]
    purpose_legitimate_interests: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, version: _Optional[str] = ..., disclosed_vendors_segment: _Optional[bool] = ..., vendor_id: _Optional[int] = ..., vendor_disclosed: _Optional[bool] = ..., vendor_consent: _Optional[bool] = ..., purpose_consents: _Optional[_Iterable[int]] = ..., purpose_legitimate_interests: _Optional[_Iterable[int]] = ...) -> None: ...

class PreferenceSignals(_message.Message):
    __slots__ = ("gpc", "gpp_sids")
    GPC_FIELD_NUMBER: _ClassVar[int]
    GPP_SIDS_FIELD_NUMBER: _ClassVar[int]
    gpc: bool
    gpp_sids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, gpc: _Optional[bool] = ..., gpp_sids: _Optional[_Iterable[int]] = ...) -> None: ...

class ThirdParty(_message.Message):
    __slots__ = ("shared", "recipient_country", "recipient_type", "is_sale_or_share", "entrustment", "ordinary_course", "linked_to_person", "integral_to_service", "processor_contract")
    SHARED_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_COUNTRY_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    IS_SALE_OR_SHARE_FIELD_NUMBER: _ClassVar[int]
    ENTRUSTMENT_FIELD_NUMBER: _ClassVar[int]
    ORDINARY_COURSE_FIELD_NUMBER: _ClassVar[int]
    LINKED_TO_PERSON_FIELD_NUMBER: _ClassVar[int]
    INTEGRAL_TO_SERVICE_FIELD_NUMBER: _ClassVar[int]
    PROCESSOR_CONTRACT_FIELD_NUMBER: _ClassVar[int]
    shared: bool
    recipient_country: str
    recipient_type: str
    is_sale_or_share: bool
    entrustment: bool
    ordinary_course: bool
    linked_to_person: bool
    integral_to_service: bool
    processor_contract: bool
    def __init__(self, shared: _Optional[bool] = ..., recipient_country: _Optional[str] = ..., recipient_type: _Optional[str] = ..., is_sale_or_share: _Optional[bool] = ..., entrustment: _Optional[bool] = ..., ordinary_course: _Optional[bool] = ..., linked_to_person: _Optional[bool] = ..., integral_to_service: _Optional[bool] = ..., processor_contract: _Optional[bool] = ...) -> None: ...

class Transfer(_message.Message):
    __slots__ = ("cross_border", "destination_country", "mechanism", "impact_assessment_done", "recipient_dpf_certified", "recipient_role", "separate_consent", "standard_contract_signed_time", "standard_contract_notified_time", "information_given", "repetitive", "prior_authorisation", "written_agreement", "reasonable_steps_taken")
    CROSS_BORDER_FIELD_NUMBER: _ClassVar[int]
    DESTINATION_COUNTRY_FIELD_NUMBER: _ClassVar[int]
    MECHANISM_FIELD_NUMBER: _ClassVar[int]
    IMPACT_ASSESSMENT_DONE_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_DPF_CERTIFIED_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_ROLE_FIELD_NUMBER: _ClassVar[int]
    SEPARATE_CONSENT_FIELD_NUMBER: _ClassVar[int]
    STANDARD_CONTRACT_SIGNED_TIME_FIELD_NUMBER: _ClassVar[int]
    STANDARD_CONTRACT_NOTIFIED_TIME_FIELD_NUMBER: _ClassVar[int]
    INFORMATION_GIVEN_FIELD_NUMBER: _ClassVar[int]
    REPETITIVE_FIELD_NUMBER: _ClassVar[int]
    PRIOR_AUTHORISATION_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    REASONABLE_STEPS_TAKEN_FIELD_NUMBER: _ClassVar[int]
    cross_border: bool
    destination_country: str
    mechanism: str
    impact_assessment_done: bool
    recipient_dpf_certified: bool
    recipient_role: str
    separate_consent: bool
    standard_contract_signed_time: _timestamp_pb2.Timestamp
    standard_contract_notified_time: _timestamp_pb2.Timestamp
    information_given: bool
    repetitive: bool
    prior_authorisation: bool
    written_agreement: bool
    reasonable_steps_taken: bool
    def __init__(self, cross_border: _Optional[bool] = ..., destination_country: _Optional[str] = ..., mechanism: _Optional[str] = ..., impact_assessment_done: _Optional[bool] = ..., recipient_dpf_certified: _Optional[bool] = ..., recipient_role: _Optional[str] = ..., separate_consent: _Optional[bool] = ..., standard_contract_signed_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., standard_contract_notified_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., information_given: _Optional[bool] = ..., repetitive: _Optional[bool] = ..., prior_authorisation: _Optional[bool] = ..., written_agreement: _Optional[bool] = ..., reasonable_steps_taken: _Optional[bool] = ...) -> None: ...

class RightsRequest(_message.Message):
    __slots__ = ("type", "received_time", "answered_time", "extension_notified_time", "format", "identity_verified", "acknowledged_time", "response_date_given_time", "identity_verified_time")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_TIME_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_TIME_FIELD_NUMBER: _ClassVar[int]
    EXTENSION_NOTIFIED_TIME_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_VERIFIED_FIELD_NUMBER: _ClassVar[int]
    ACKNOWLEDGED_TIME_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_DATE_GIVEN_TIME_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_VERIFIED_TIME_FIELD_NUMBER: _ClassVar[int]
    type: str
    received_time: _timestamp_pb2.Timestamp
    answered_time: _timestamp_pb2.Timestamp
    extension_notified_time: _timestamp_pb2.Timestamp
    format: str
    identity_verified: bool
    acknowledged_time: _timestamp_pb2.Timestamp
    response_date_given_time: _timestamp_pb2.Timestamp
    identity_verified_time: _timestamp_pb2.Timestamp
    def __init__(self, type: _Optional[str] = ..., received_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., answered_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., extension_notified_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., format: _Optional[str] = ..., identity_verified: _Optional[bool] = ..., acknowledged_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., response_date_given_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., identity_verified_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Breach(_message.Message):
    __slots__ = ("affected", "aware_time", "regulator_notified_time", "risk", "reasons_for_delay_given", "subjects_notified_time", "assessed_time", "suspected_time", "encrypted", "major_incident", "small_agent", "unlawful_purpose", "sensitive_data", "final_report_time", "supplement_time")
    AFFECTED_FIELD_NUMBER: _ClassVar[int]
    AWARE_TIME_FIELD_NUMBER: _ClassVar[int]
    REGULATOR_NOTIFIED_TIME_FIELD_NUMBER: _ClassVar[int]
    RISK_FIELD_NUMBER: _ClassVar[int]
    REASONS_FOR_DELAY_GIVEN_FIELD_NUMBER: _ClassVar[int]
    SUBJECTS_NOTIFIED_TIME_FIELD_NUMBER: _ClassVar[int]
    ASSESSED_TIME_FIELD_NUMBER: _ClassVar[int]
    SUSPECTED_TIME_FIELD_NUMBER: _ClassVar[int]
    ENCRYPTED_FIELD_NUMBER: _ClassVar[int]
    MAJOR_INCIDENT_FIELD_NUMBER: _ClassVar[int]
    SMALL_AGENT_FIELD_NUMBER: _ClassVar[int]
    UNLAWFUL_PURPOSE_FIELD_NUMBER: _ClassVar[int]
    SENSITIVE_DATA_FIELD_NUMBER: _ClassVar[int]
    FINAL_REPORT_TIME_FIELD_NUMBER: _ClassVar[int]
    SUPPLEMENT_TIME_FIELD_NUMBER: _ClassVar[int]
    affected: int
    aware_time: _timestamp_pb2.Timestamp
    regulator_notified_time: _timestamp_pb2.Timestamp
    risk: str
    reasons_for_delay_given: bool
    subjects_notified_time: _timestamp_pb2.Timestamp
    assessed_time: _timestamp_pb2.Timestamp
    suspected_time: _timestamp_pb2.Timestamp
    encrypted: bool
    major_incident: bool
    small_agent: bool
    unlawful_purpose: bool
    sensitive_data: bool
    final_report_time: _timestamp_pb2.Timestamp
    supplement_time: _timestamp_pb2.Timestamp
    def __init__(self, affected: _Optional[int] = ..., aware_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., regulator_notified_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., risk: _Optional[str] = ..., reasons_for_delay_given: _Optional[bool] = ..., subjects_notified_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., assessed_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., suspected_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., encrypted: _Optional[bool] = ..., major_incident: _Optional[bool] = ..., small_agent: _Optional[bool] = ..., unlawful_purpose: _Optional[bool] = ..., sensitive_data: _Optional[bool] = ..., final_report_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., supplement_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Retention(_message.Message):
    __slots__ = ("days_since_no_longer_necessary", "indefinite", "pending_request_or_order", "policy_published")
    DAYS_SINCE_NO_LONGER_NECESSARY_FIELD_NUMBER: _ClassVar[int]
    INDEFINITE_FIELD_NUMBER: _ClassVar[int]
    PENDING_REQUEST_OR_ORDER_FIELD_NUMBER: _ClassVar[int]
    POLICY_PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    days_since_no_longer_necessary: int
    indefinite: bool
    pending_request_or_order: bool
    policy_published: bool
    def __init__(self, days_since_no_longer_necessary: _Optional[int] = ..., indefinite: _Optional[bool] = ..., pending_request_or_order: _Optional[bool] = ..., policy_published: _Optional[bool] = ...) -> None: ...

class Unmapped(_message.Message):
    __slots__ = ("payload", "media_type", "violations")
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    payload: bytes
    media_type: str
    violations: _containers.RepeatedCompositeFieldContainer[FieldViolation]
    def __init__(self, payload: _Optional[bytes] = ..., media_type: _Optional[str] = ..., violations: _Optional[_Iterable[_Union[FieldViolation, _Mapping]]] = ...) -> None: ...

class FieldViolation(_message.Message):
    __slots__ = ("field", "reason", "message", "stage")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    field: str
    reason: str
    message: str
    stage: CheckStage
    def __init__(self, field: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., stage: _Optional[_Union[CheckStage, str]] = ...) -> None: ...

class ItemError(_message.Message):
    __slots__ = ("index", "reason", "message", "field")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    index: int
    reason: str
    message: str
    field: str
    def __init__(self, index: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., field: _Optional[str] = ...) -> None: ...

class Places(_message.Message):
    __slots__ = ("country", "latitude_e4", "longitude_e4", "accuracy_km", "asn", "flags")
    COUNTRY_FIELD_NUMBER: _ClassVar[int]
    LATITUDE_E4_FIELD_NUMBER: _ClassVar[int]
    LONGITUDE_E4_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_KM_FIELD_NUMBER: _ClassVar[int]
    ASN_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    country: _containers.RepeatedScalarFieldContainer[int]
    latitude_e4: _containers.RepeatedScalarFieldContainer[int]
    longitude_e4: _containers.RepeatedScalarFieldContainer[int]
    accuracy_km: _containers.RepeatedScalarFieldContainer[int]
    asn: _containers.RepeatedScalarFieldContainer[int]
    flags: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, country: _Optional[_Iterable[int]] = ..., latitude_e4: _Optional[_Iterable[int]] = ..., longitude_e4: _Optional[_Iterable[int]] = ..., accuracy_km: _Optional[_Iterable[int]] = ..., asn: _Optional[_Iterable[int]] = ..., flags: _Optional[_Iterable[int]] = ...) -> None: ...
