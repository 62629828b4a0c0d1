"""The monitoring component: every expression is PromQL, and of metrics and labels that the code exports."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import promql_parser
import pytest
import yaml
from prometheus_client import CollectorRegistry

from services.common.callers import CALLERS
from services.common.telemetry import RpcMetrics
from services.scoring import drift
from tests.deploy.manifests import DEPLOY, ROOT, render, rendered

COMPONENT = DEPLOY / "k8s" / "components" / "monitoring"
RULES = yaml.safe_load((COMPONENT / "rules.yaml").read_text())
ALERTS: list[dict[str, Any]] = [rule for group in RULES["spec"]["groups"] for rule in group["rules"]]
SCRAPED = ("services", "cli")
"""Whose metrics Prometheus asks; the gateway serves its pod alone."""
DURATION = re.compile(r"(\d+(ms|[smhdwy]))+")
KINDS = {"Counter": ("_total",), "Gauge": ("",), "Histogram": ("_bucket", "_count", "_sum")}


class Metric(NamedTuple):
    """A time series that the code makes: its labels, and where."""

    labels: frozenset[str]
    where: str


def constant(node: ast.expr | None) -> Any:
    try:
        return None if node is None else ast.literal_eval(node)
    except ValueError:
        return None


def declared() -> dict[str, Metric]:
    """Time series by name, as the sources declare them; `f"..."` names are told by `RpcMetrics` itself."""
    found: dict[str, Metric] = {}
    for top in SCRAPED:
        for path in sorted((ROOT / top).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args):
                    continue
                name = constant(node.args[0])
                if node.func.id not in KINDS or not isinstance(name, str):
                    continue
                assert any(word.arg == "registry" for word in node.keywords), (
                    f"{path}: {name} is in no registry"
                )
                labels = frozenset(constant(node.args[2]) if len(node.args) > 2 else ())
                for suffix in KINDS[node.func.id]:
                    series = name.removesuffix("_total") + suffix
                    more = {"le"} if suffix == "_bucket" else set()
                    found[series] = Metric(labels | more, str(path.relative_to(ROOT)))
    for family in rpc_metrics().collect():
        for suffix in KINDS[family.type.capitalize()]:
            more = {"le"} if suffix == "_bucket" else set()
            labels = {"method", "code"} if family.name.endswith("handled") else {"method"}
            found[family.name + suffix] = Metric(frozenset(labels | more), "services/common/telemetry.py")
    return found


def rpc_metrics() -> CollectorRegistry:
    registry = CollectorRegistry()
    for side in ("server", "client"):
        RpcMetrics(registry, side)  # type: ignore[arg-type]
    return registry


METRICS = declared()


def nodes(expression: str) -> list[Any]:
    found: list[Any] = []
    promql_parser.walk(promql_parser.parse(expression), found.append)
    return found


def selectors(expression: str) -> list[Any]:
    return [node for node in nodes(expression) if isinstance(node, promql_parser.VectorSelector)]


def grouped_by(expression: str) -> Iterator[str]:
    for node in nodes(expression):
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            yield from node.modifier.labels


def test_the_sources_are_read_rightly() -> None:
    assert METRICS["usher_scoring_drift_psi"].labels == {"column"}
    assert METRICS["usher_events_decided_total"].labels == {"outcome", "event_class"}
    assert METRICS["usher_rpc_server_seconds_bucket"].labels == {"method", "le"}
    assert "usher_events_decided" not in METRICS, "a counter's series ends in _total"
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        nodes("sum(")
    with pytest.raises(ValueError, match="expected type matrix"):
        nodes("rate(usher_events_decided_total)")
    assert [one.name for one in selectors("absent(a) and sum(rate(b[5m])) > 1")] == ["a", "b"]


def test_it_is_what_the_operator_takes() -> None:
    """The fields of monitoring.coreos.com/v1 that these use, as its API reference has them."""
    assert (RULES["apiVersion"], RULES["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert set(RULES["spec"]) == {"groups"}
    names = [group["name"] for group in RULES["spec"]["groups"]]
    assert len(set(names)) == len(names)
    for group in RULES["spec"]["groups"]:
        assert set(group) == {"name", "rules"}
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS)
    for rule in ALERTS:
        assert set(rule) - {"for"} == {"alert", "expr", "labels", "annotations"}
        assert DURATION.fullmatch(rule.get("for", "1m"))
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_expressions_are_of_what_the_code_exports(rule: dict[str, Any]) -> None:
    asked = list(selectors(rule["expr"]))
    assert asked
    labels = set(grouped_by(rule["expr"]))
    for one in asked:
        assert one.name in METRICS, f"nothing exports {one.name}"
        known = METRICS[one.name].labels
        assert labels <= known, f"{one.name} has no label {labels - known}"
        for matcher in one.matchers.matchers:
            assert matcher.name in known
            check_value(matcher.name, str(matcher.op), matcher.value)
    # What a summary names is there after the aggregation.
    named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
    assert named <= labels


def check_value(label: str, op: str, value: str) -> None:
    known = {
        "code": {code.name for code in grpc.StatusCode},
        "method": {method.lstrip("/") for method in CALLERS},
        "column": set(drift.COLUMNS),
    }[label]
    pattern = value if op in ("MatchOp.Re", "MatchOp.NotRe") else re.escape(value)
    assert any(re.fullmatch(pattern, one) for one in known), f"{label} is never {value}"


@pytest.mark.parametrize("alert", [rule["alert"] for rule in ALERTS])
def test_each_alert_says_what_to_do(alert: str) -> None:
    rows = (ROOT / "docs" / "operations.md").read_text().splitlines()
    assert any(row.startswith("| `Usher") and f"`{alert}`" in row.split("|")[1] for row in rows)


def test_no_alert_is_described_that_is_not_there() -> None:
    text = (ROOT / "docs" / "operations.md").read_text().split("## Alerts of Prometheus")[1].split("\n## ")[0]
    described = set(re.findall(r"`(Usher[A-Za-z]+)`", text))
    assert described == {rule["alert"] for rule in ALERTS}


def test_pods_are_found_by_their_label_and_port(tmp_path: Path) -> None:
    folder = tmp_path / "overlay"
    folder.mkdir()
    relative = os.path.relpath(DEPLOY / "k8s", folder.resolve())
    (folder / "kustomization.yaml").write_text(
        f"resources: [{relative}/overlays/prod]\ncomponents: [{relative}/components/monitoring]\n"
    )
    objects = rendered(folder)
    before = {(one["kind"], one["metadata"]["name"]) for one in render("prod")}
    added = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    assert set(added) - before == {("PodMonitor", "usher"), ("PrometheusRule", "usher")}
    monitor = added["PodMonitor", "usher"]["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    scraped = set()
    for one in objects:
        if one["kind"] != "Deployment":
            continue
        template = one["spec"]["template"]
        ports = {port["name"] for port in template["spec"]["containers"][0].get("ports", [])}
        chosen = monitor["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        if chosen and endpoint["port"] in ports:
            scraped.add(one["metadata"]["name"])
    assert scraped == {"alerts", "compliance", "fraud", "ingest", "scoring"}
