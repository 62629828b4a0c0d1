"""Who may call which RPC: the allow-list of mutual TLS.

The identity of a caller is the first subject alternative name of its certificate: of a DNS name the first
label (`ingest.usher.svc` is `ingest`), of a URI the last segment of its path (`spiffe://usher/ingest` is
`ingest`). Over plaintext, which exists on loopback and unix sockets only, the identity is `loopback` and
everything is allowed.

The table below is the law; `docs/architecture.md` shows it under "Callers per RPC", and a test holds both
equal. An RPC that is not in the table may be called by nobody over TLS. Health is open to everyone,
reflection to every caller with a certificate.
"""

from __future__ import annotations

from collections.abc import Mapping

LOOPBACK = "loopback"
"""The identity of every caller over plaintext."""

CALLERS: dict[str, frozenset[str]] = {
    "/usher.ingest.v1.IngestService/SubmitEvents": frozenset({"backend", "gateway", "operator"}),
    "/usher.ingest.v1.IngestService/DecideEvents": frozenset({"backend", "gateway", "operator"}),
    "/usher.ingest.v1.IngestService/GetDecision": frozenset({"backend", "gateway", "operator"}),
    "/usher.ingest.v1.IngestService/ListDecisions": frozenset({"compliance", "gateway", "operator"}),
    "/usher.ingest.v1.IngestService/WatchDecisions": frozenset({"backend", "gateway", "operator"}),
    "/usher.ingest.v1.IngestService/GetAccounting": frozenset({"gateway", "operator"}),
    "/usher.ingest.v1.IngestService/ListFailedEvents": frozenset({"gateway", "operator"}),
    "/usher.ingest.v1.IngestService/GetFailedEvent": frozenset({"gateway", "operator"}),
    "/usher.ingest.v1.IngestService/ReplayFailedEvents": frozenset({"gateway", "operator"}),
    "/usher.ingest.v1.IngestService/GetSecurityStatus": frozenset({"gateway", "operator"}),
    "/usher.ingest.v1.IngestService/SetMode": frozenset({"gateway", "operator"}),
    "/usher.ingest.v1.IngestService/GetMode": frozenset({"gateway", "operator"}),
    "/usher.ingest.v1.LabelService/RecordLabels": frozenset(
        {"alerts", "backend", "compliance", "gateway", "operator"}
    ),
    "/usher.ingest.v1.LabelService/ListLabels": frozenset({"fraud", "gateway", "operator", "scoring"}),
    "/usher.ingest.v1.EnforcementService/ReportEnforcement": frozenset({"backend", "gateway", "operator"}),
    "/usher.ingest.v1.EnforcementService/ListEnforcements": frozenset({"compliance", "gateway", "operator"}),
    "/usher.ingest.v1.AccountService/RecordAccounts": frozenset({"backend", "gateway", "operator"}),
    "/usher.ingest.v1.AccountService/GetProfile": frozenset({"gateway", "operator"}),
    "/usher.ingest.v1.FeedbackService/ListTrainingEvents": frozenset({"operator", "scoring"}),
    "/usher.ingest.v1.FeedbackService/ListReviewSample": frozenset({"gateway", "operator"}),
    "/usher.ingest.v1.FeedbackService/PutFeedbackReport": frozenset({"operator", "scoring"}),
    "/usher.ingest.v1.FeedbackService/GetFeedbackReport": frozenset({"gateway", "operator"}),
    "/usher.ingest.v1.FeedbackService/GetControlGroup": frozenset({"gateway", "operator"}),
    "/usher.ingest.v1.ListService/SetListEntry": frozenset({"alerts", "gateway", "operator"}),
    "/usher.ingest.v1.ListService/ListEntries": frozenset({"alerts", "gateway", "operator"}),
    "/usher.ingest.v1.ListService/LiftListEntry": frozenset({"alerts", "gateway", "operator"}),
    "/usher.ingest.v1.ListService/PreviewListEntry": frozenset({"alerts", "gateway", "operator"}),
    "/usher.ingest.v1.KeyService/CreateKey": frozenset({"gateway", "operator"}),
    "/usher.ingest.v1.KeyService/ListKeys": frozenset({"gateway", "operator"}),
    "/usher.ingest.v1.KeyService/RotateKey": frozenset({"gateway", "operator"}),
    "/usher.ingest.v1.KeyService/RevokeKey": frozenset({"gateway", "operator"}),
    "/usher.ingest.v1.FlowService/ReportSource": frozenset({"backend", "operator"}),
    "/usher.ingest.v1.FlowService/ListSources": frozenset({"gateway", "operator"}),
    "/usher.ingest.v1.FlowService/AckDecisions": frozenset({"backend", "operator"}),
    "/usher.ingest.v1.FlowService/ListSubscribers": frozenset({"gateway", "operator"}),
    "/usher.policy.v1.PolicyService/GetActivePolicySet": frozenset(
        {"compliance", "gateway", "operator", "scoring"}
    ),
    "/usher.policy.v1.PolicyService/ActivatePolicySet": frozenset({"gateway", "operator", "scoring"}),
    "/usher.policy.v1.PolicyService/ListActivations": frozenset({"gateway", "operator", "scoring"}),
    "/usher.policy.v1.PolicySetService/LoadPolicySet": frozenset({"ingest"}),
    "/usher.compliance.v1.ComplianceService/EvaluateEvents": frozenset({"ingest"}),
    "/usher.compliance.v1.ComplianceService/ListRegulations": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.ComplianceService/EstimateImpact": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.ConsentService/RecordConsent": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.ConsentService/GetConsent": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.ConsentService/ListConsents": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.ConsentService/VerifyConsents": frozenset({"gateway", "operator"}),
    "/usher.scoring.v1.ScoringService/DecideEvents": frozenset({"ingest"}),
    "/usher.scoring.v1.ScoringService/ListFeatures": frozenset({"gateway", "operator"}),
    "/usher.scoring.v1.ScoringService/GetDrift": frozenset({"gateway", "operator"}),
    "/usher.scoring.v1.ScoringService/DescribeProfile": frozenset({"ingest"}),
    "/usher.scoring.v1.ScoringService/ListSegments": frozenset({"gateway", "operator"}),
    "/usher.fraud.v1.FraudService/AssessEvents": frozenset({"ingest"}),
    "/usher.fraud.v1.FraudService/Restore": frozenset({"ingest"}),
    "/usher.fraud.v1.FraudService/ListRings": frozenset({"gateway", "operator"}),
    "/usher.fraud.v1.FraudService/GetRing": frozenset({"gateway", "operator"}),
    "/usher.fraud.v1.FraudService/GetNeighbourhood": frozenset({"gateway", "operator"}),
    "/usher.fraud.v1.FraudService/SetRingStatus": frozenset({"gateway", "operator"}),
    "/usher.fraud.v1.FraudService/RecordOutcomes": frozenset({"ingest"}),
    "/usher.fraud.v1.FraudService/DescribeAddress": frozenset({"gateway", "operator"}),
    "/usher.alerts.v1.AlertsService/RaiseAlerts": frozenset(
        {"compliance", "fraud", "gateway", "ingest", "scoring"}
    ),
    "/usher.alerts.v1.AlertsService/ListAlerts": frozenset({"gateway", "operator"}),
    "/usher.alerts.v1.AlertsService/GetAlert": frozenset({"gateway", "operator"}),
    "/usher.alerts.v1.AlertsService/WatchAlerts": frozenset({"gateway", "operator"}),
    "/usher.alerts.v1.AlertsService/GetWorkQueue": frozenset({"gateway", "operator"}),
    "/usher.alerts.v1.AlertsService/ActOnAlerts": frozenset({"gateway", "operator"}),
    "/usher.alerts.v1.AlertsService/SnoozeEntity": frozenset({"gateway", "operator"}),
    "/usher.alerts.v1.AlertsService/LiftSnooze": frozenset({"gateway", "operator"}),
    "/usher.alerts.v1.AlertsService/ListSnoozes": frozenset({"gateway", "operator"}),
    "/usher.alerts.v1.AlertsService/ListDeliveries": frozenset({"gateway", "operator"}),
    "/usher.alerts.v1.AlertsService/ReplayDeliveries": frozenset({"gateway", "operator"}),
    "/usher.alerts.v1.AlertsService/TestRoute": frozenset({"gateway", "operator"}),
    "/usher.alerts.v1.AlertsService/CreateIncident": frozenset({"gateway", "operator"}),
    "/usher.alerts.v1.AlertsService/GetIncident": frozenset({"gateway", "operator"}),
    "/usher.alerts.v1.AlertsService/ListIncidents": frozenset({"gateway", "operator"}),
    "/usher.alerts.v1.AlertsService/UpdateIncident": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.SubjectRequestService/OpenSubjectRequest": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.SubjectRequestService/GetSubjectRequest": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.SubjectRequestService/ListSubjectRequests": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.SubjectRequestService/ActOnSubjectRequest": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.SubjectRequestService/DownloadSubjectExport": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.SubjectRequestService/PlaceLegalHold": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.SubjectRequestService/ReleaseLegalHold": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.SubjectRequestService/ListLegalHolds": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.BreachService/RegisterBreach": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.BreachService/UpdateBreach": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.BreachService/GetBreach": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.BreachService/ListBreaches": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.BreachService/DraftNotice": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.BreachService/RecordNotice": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.RetentionService/ListRetentionPolicies": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.RetentionService/RunRetention": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.RetentionService/ListRetentionRuns": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.EvidenceService/ExportEvidence": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.EvidenceService/GetSigningKey": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.EvidenceService/GetProcessingRecords": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.EvidenceService/AppendAudit": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.EvidenceService/ListAudit": frozenset({"gateway", "operator"}),
    "/usher.compliance.v1.EvidenceService/VerifyAudit": frozenset({"gateway", "operator"}),
    "/usher.subject.v1.SubjectDataService/ExportSubjectData": frozenset({"compliance"}),
    "/usher.subject.v1.SubjectDataService/ApplyRetention": frozenset({"compliance"}),
    "/usher.subject.v1.SubjectDataService/ListSubjectEvents": frozenset({"compliance"}),
    "/usher.subject.v1.SubjectDataService/GetErasureState": frozenset({"compliance"}),
    "/usher.subject.v1.SubjectDataService/ReapplyErasures": frozenset({"compliance"}),
    "/usher.subject.v1.SubjectDataService/EraseSubjectData": frozenset({"compliance"}),
    "/usher.subject.v1.SubjectDataService/VerifySubjectErasure": frozenset({"compliance"}),
}
"""Full method (`/usher.fraud.v1.FraudService/AssessEvents`) -> identities that may call it."""


def identity_of(auth_context: Mapping[str, list[bytes]]) -> str | None:
    """Returns the caller's identity from a call's auth context, None when its certificate names nobody."""
    names = auth_context.get("x509_subject_alternative_name") or ()
    for raw in names:
        name = bytes(raw).decode("utf-8", "replace")
        identity = name.rstrip("/").rsplit("/", 1)[-1] if "://" in name else name.split(".", 1)[0]
        return identity or None
    return None


def may_call(callers: Mapping[str, frozenset[str]], method: str, identity: str) -> bool:
    """Says whether the table lets the identity call the method (full name, with its leading slash)."""
    return identity in callers.get(method, frozenset())
