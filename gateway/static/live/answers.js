// The two answers to one event, side by side: may the act go ahead, may its data be processed.

import { clock, count, el, words } from "./dom.js";

const ACT = {
  ALLOW: ["Yes", "good", "Nothing stands against it."],
  ALLOW_WITH_CAUTION: ["Yes, with caution", "care", "It may go ahead; something is unusual."],
  REVIEW: ["Wait for a look", "warn", "Playback goes on; what cannot be undone waits for a person."],
  BLOCK: ["No", "bad", "The caller stops the act."],
};

const STATES = {
  PERMITTED: ["permitted", "good"],
  SUPPRESS: ["suppressed", "bad"],
  GAP: ["fact missing", "warn"],
};

/** Short name, kind of colour and sentence of an outcome. What this page does not know counts as REVIEW. */
export function act(outcome) {
  return ACT[outcome] ?? ACT.REVIEW;
}

/** Short answer and kind of colour of a decision's processing. */
export function processing(decision) {
  if (decision.compliance.status === "not_evaluated") return ["Not evaluated", "warn"];
  const states = new Set(decision.processing.map((item) => item.state));
  if (states.has("SUPPRESS")) {
    return decision.processing.every((item) => item.state === "SUPPRESS" && item.purpose !== "*")
      ? ["Not for this purpose", "bad"]
      : ["Not for everything", "bad"];
  }
  if (states.has("GAP") || decision.gaps.length > 0) return ["Not known: facts missing", "warn"];
  return decision.findings.length > 0 ? ["Yes, with findings", "care"] : ["Yes", "good"];
}

export function badge(text, kind, title = null) {
  return el("span", { class: "badge", "data-kind": kind, title }, text);
}

/** Both answers as two cards, and below them what the decision was made of. */
export function answers(decision) {
  return [actCard(decision), processingCard(decision), origin(decision)];
}

function actCard(decision) {
  const [headline, kind, meaning] = act(decision.outcome);
  const observed =
    decision.mode === "observe"
      ? el("p", { class: "note" }, `Observing, so every answer is ALLOW. Enforcing would say ${decision.would_be}.`)
      : null;
  const degraded =
    decision.degraded.length > 0
      ? el("p", { class: "note" }, `Decided without ${decision.degraded.join(", ")}: no answer came.`)
      : null;
  return card("May the act go ahead?", headline, kind, meaning, decision.outcome, [
    observed,
    degraded,
    part("Why", reasons(decision.reasons), "Nothing speaks against it."),
    part("Risk", risk(decision)),
    decision.counterfactual.length > 0
      ? part("It would be ALLOW without", list(decision.counterfactual.map((code) => counter(code, decision))))
      : null,
    decision.network && decision.network.evidence.length > 0
      ? part("What fraud knows", reasons(decision.network.evidence))
      : null,
    part("To do", list(decision.actions.map(action)), "Nothing."),
  ]);
}

function processingCard(decision) {
  const [headline, kind] = processing(decision);
  const laws = decision.compliance.applicable_regulations;
  const evaluated = decision.compliance.status !== "not_evaluated";
  const meaning = evaluated
    ? `${count(decision.findings.length, "finding", "findings")}, ${count(decision.gaps.length, "gap", "gaps")}`
    : "Compliance did not answer: treat everything that needs a legal basis as suppressed.";
  return card("May its data be processed?", headline, kind, meaning, null, [
    part("For what and by whom", processingTable(decision.processing), evaluated ? "No purpose is suppressed." : ""),
    part("Findings", list(decision.findings.map(finding)), evaluated ? "None." : "Not evaluated."),
    part("Gaps: facts that are missing", list(decision.gaps.map(gap)), evaluated ? "None." : "Not evaluated."),
    part("Assumed from bare fields", list(decision.assumptions.map((text) => el("code", {}, text))), "Nothing."),
    part(
      "Law in force",
      laws.length > 0 ? el("p", {}, laws.join(", ")) : null,
      evaluated ? "None of the regulations held here applies." : "Not evaluated.",
    ),
  ]);
}

function card(question, headline, kind, meaning, code, parts) {
  return el(
    "section",
    { class: "panel answer", "data-kind": kind, "aria-label": question },
    el("p", { class: "question" }, question),
    el("p", { class: "headline" }, headline, code === null ? null : el("code", {}, code)),
    el("p", { class: "meaning" }, meaning),
    parts,
  );
}

function part(title, content, nothing = null) {
  if (content === null && nothing === null) return null;
  return el("div", { class: "part" }, el("h4", {}, title), content ?? el("p", { class: "muted" }, nothing));
}

function list(items) {
  return items.length === 0 ? null : el("ul", {}, items.map((item) => el("li", {}, item)));
}

function reasons(items) {
  return list(
    items.map((reason) => [
      reason.sentence,
      " ",
      el("span", { class: "muted small" }, reason.points ? `${reason.code}, ${figure(reason.points)} points` : reason.code),
    ]),
  );
}

function counter(code, decision) {
  const reason = decision.reasons.find((item) => item.code === code);
  return reason ? [reason.sentence, " ", el("span", { class: "muted small" }, code)] : el("code", {}, code);
}

function risk(decision) {
  const { compared, components } = decision.risk;
  if (compared === null) return el("p", { class: "muted" }, "Not scored.");
  const threshold = decision.threshold;
  const adjusted = threshold.adjustments.map((item) => `${words(item.name)} ${signed(item.points)}`).join(", ");
  return [
    el(
      "p",
      {},
      `${figure(compared)} of the ${figure(threshold.value)} points at which it is too much: ${decision.risk_level}.`,
    ),
    el(
      "p",
      { class: "small muted" },
      `Threshold ${figure(threshold.base)} for a viewer of segment "${words(decision.segment)}"`,
      adjusted === "" ? "." : `, adjusted: ${adjusted}.`,
    ),
    el(
      "dl",
      { class: "parts" },
      Object.entries(components).map(([name, points]) =>
        el("div", {}, el("dt", {}, name), el("dd", {}, points === null ? "unknown" : figure(points))),
      ),
    ),
    el(
      "p",
      { class: "small muted" },
      "Compliance is shown and left out of what is compared: a viewer does not pay for the operator's breach.",
    ),
  ];
}

function action(item) {
  const who = { caller: "(the caller)", usher: "(Usher)" }[item.enforced_by] ?? "";
  const until = item.until === null ? "" : `, until ${item.until}`;
  const message = item.viewer_message_key === null ? "" : `, message to the viewer: ${item.viewer_message_key}`;
  return `${words(item.kind)} ${who}${until}${message}`;
}

function processingTable(items) {
  if (items.length === 0) return null;
  return el(
    "ul",
    { class: "processing" },
    items.map((item) => {
      const [text, kind] = STATES[item.state] ?? STATES.SUPPRESS;
      const purpose = item.purpose === "*" ? "every purpose based on consent" : words(item.purpose);
      const recipient = item.recipient === null ? "" : `, to ${words(item.recipient)}`;
      const destination = item.destination === null ? "" : `, in ${item.destination}`;
      return el(
        "li",
        {},
        badge(text, kind),
        el("span", {}, `${purpose}${recipient}${destination}`, item.rule ? el("code", {}, item.rule) : null),
      );
    }),
  );
}

function finding(item) {
  const source = item.verification === "verified" ? "source verified" : "source not verified";
  const reviewed = item.reviewed_by === null ? "reviewed by nobody yet" : `reviewed by ${item.reviewed_by}`;
  return [
    el("strong", {}, `${item.regulation} ${item.article}: `),
    `${item.sentence} Remedy: ${words(item.remedy)}.`,
    item.forbids_act ? " It forbids the act itself." : "",
    " ",
    el(
      "span",
      { class: "muted small" },
      `${item.reason}, severity ${item.severity} of 5; rule ${item.rule}, pack ${item.pack_version}, ${source}, ${reviewed}`,
    ),
  ];
}

function gap(item) {
  return [
    el("strong", {}, `${item.regulation} ${item.article}: `),
    "needs ",
    item.missing.map((path, index) => [index > 0 ? ", " : "", el("code", {}, path)]),
    " ",
    el("span", { class: "muted small" }, item.rule),
  ];
}

function origin(decision) {
  const facts = [
    ["Event", decision.event_id],
    ["Viewer", decision.user_id],
    ["Class", words(decision.event_class)],
    ["Decided", decision.processed_at === null ? "unknown" : `${decision.processed_at} (${clock(decision.processed_at)})`],
    ["Policy set", decision.policy_set],
    ["Trace", decision.trace_id],
  ];
  if (decision.flags.length > 0) facts.push(["Came", decision.flags.map(words).join(", ")]);
  return el(
    "details",
    { class: "panel origin" },
    el("summary", {}, decision.status === "duplicate" ? "Decided before: this is the first answer" : "About this decision"),
    el("dl", { class: "facts" }, facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
  );
}

/** What stands in place of the answers when there is none. */
export function refusal(problem) {
  const errors = problem.body.errors ?? [];
  const kept = problem.body.failed_id ? ` It is kept as ${problem.body.failed_id}.` : "";
  return el(
    "section",
    { class: "panel answer", "data-kind": "bad", "aria-label": "No answer" },
    el("p", { class: "question" }, problem.away ? "The mesh is away" : "Not decided"),
    el("p", { class: "headline" }, "No answer", el("code", {}, problem.reason)),
    el("p", { class: "meaning" }, `${problem.message}${kept}`),
    errors.length === 0
      ? null
      : part("What is wrong", list(errors.map((error) => [el("code", {}, error.field), ` ${error.message} (${error.reason})`]))),
  );
}

function figure(number) {
  return Number(number.toFixed(2)).toLocaleString("en-GB");
}

function signed(number) {
  return `${number > 0 ? "+" : "−"}${figure(Math.abs(number))}`;
}
