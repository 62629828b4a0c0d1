// What stands beside the list: the books, the services asked, the time of each stage.

import { count, el, whole, words } from "./dom.js";
import { badge } from "./answers.js";

const STAGES = {
  accept: "check and receipts",
  queue: "wait for a batch",
  look_up: "profiles and places",
  ask: "compliance and fraud",
  decide: "scoring",
};
const ASKED = ["compliance", "fraud", "scoring"];

/** The books with both of their identities, each added up here as well. */
export function books(account) {
  if (account === null) return [el("p", { class: "empty" }, "This tenant has no books yet: nothing came in.")];
  const reasons = Object.entries(account.refused_by_reason);
  return [
    identity(account, "received", ["accepted", "duplicate", "conflict", "refused"]),
    identity(account, "accepted", ["decided", "failed", "superseded", "pending"]),
    el(
      "p",
      { class: "small muted" },
      `Tenant ${account.tenant}, since the beginning.`,
      account.pending > 0 ? ` The oldest waits for ${whole(account.oldest_pending_ms)} ms.` : "",
      reasons.length > 0 ? ` Refused: ${reasons.map(([reason, n]) => `${reason} ${whole(n)}`).join(", ")}.` : "",
    ),
    account.balanced ? null : el("p", { class: "note" }, "Ingest itself says that its books do not balance."),
  ];
}

function identity(account, whole_, parts) {
  const holds = account[whole_] === parts.reduce((sum, name) => sum + account[name], 0);
  const term = (name) =>
    el("span", { class: "term" }, el("b", {}, whole(account[name])), " ", el("span", {}, name));
  return el(
    "p",
    { class: "identity", "data-identity": whole_ },
    term(whole_),
    el("span", { class: "sign" }, holds ? "=" : "≠"),
    parts.map((name, index) => [index > 0 ? el("span", { class: "sign" }, "+") : null, term(name)]),
    badge(holds ? "holds" : "does not hold", holds ? "good" : "bad"),
  );
}

/** Which of the services answered, as the decisions held here tell it; newest first. */
export function services(decisions) {
  if (decisions.length === 0) return [el("p", { class: "empty" }, "Not observed: no decision yet.")];
  return [
    el(
      "ul",
      { class: "services" },
      ASKED.map((name) => {
        const without = decisions.filter((item) => item.degraded.includes(name)).length;
        const now = decisions[0].degraded.includes(name);
        return el(
          "li",
          { "data-service": name },
          el("span", {}, name),
          badge(now ? "does not answer" : "answers", now ? "bad" : "good"),
          without > 0 ? el("span", { class: "small" }, `missing in ${without} of the last ${decisions.length}`) : null,
        );
      }),
    ),
    el("p", { class: "small muted" }, `As the last ${count(decisions.length, "decision tells", "decisions tell")} it.`),
  ];
}

/** Median and 95th percentile of each stage over the decisions held here. */
export function stages(decisions) {
  const rows = Object.entries(STAGES)
    .map(([name, label]) => {
      const spent = decisions.map((item) => item.stage_us[name]).filter((us) => us !== undefined);
      spent.sort((a, b) => a - b);
      return { label, name, median: quantile(spent, 0.5), high: quantile(spent, 0.95), n: spent.length };
    })
    .filter((row) => row.n > 0);
  if (rows.length === 0) return [el("p", { class: "empty" }, "Not observed: no decision yet.")];
  const most = Math.max(1, ...rows.map((row) => row.high));
  return [
    el(
      "table",
      { class: "stages" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", { scope: "col" }, "Stage"),
          el("th", { scope: "col", class: "figure" }, "median"),
          el("th", { scope: "col", class: "figure" }, "95 %"),
        ),
      ),
      el(
        "tbody",
        {},
        rows.map((row) => {
          const bar = el("span", { class: "bar", "aria-hidden": "true" });
          bar.style.width = `${Math.max(1, (row.high / most) * 100)}%`;
          return el(
            "tr",
            {},
            el("th", { scope: "row" }, row.label, bar),
            el("td", { class: "figure" }, milliseconds(row.median)),
            el("td", { class: "figure" }, milliseconds(row.high)),
          );
        }),
      ),
    ),
    el("p", { class: "small muted" }, `Of the last ${count(decisions.length, "decision", "decisions")}; the bar is the 95 %.`),
  ];
}

const MOVED = [
  [0.25, "moved much", "bad"],
  [0.1, "moved", "warn"],
];
const LISTED = 10;

/** Features and scores that moved most from the training of the model in use. */
export function drift(answer) {
  if (!answer.has_snapshot) {
    return [el("p", { class: "empty" }, "Not observed: the card of the model in use tells nothing of its training.")];
  }
  if (answer.columns.length === 0) {
    return [el("p", { class: "empty" }, `Not observed: ${whole(answer.rows)} rows counted, and 2,000 are needed.`)];
  }
  const listed = answer.columns.slice(0, LISTED);
  const most = Math.max(MOVED[0][0], listed[0].psi);
  const much = answer.columns.filter((column) => column.psi > MOVED[0][0]).length;
  return [
    el(
      "table",
      { class: "stages" },
      el(
        "thead",
        {},
        el("tr", {}, el("th", { scope: "col" }, "Feature or score"), el("th", { scope: "col", class: "figure" }, "PSI")),
      ),
      el(
        "tbody",
        {},
        listed.map(({ name, psi }) => {
          const bar = el("span", { class: "bar", "aria-hidden": "true" });
          bar.style.width = `${Math.max(1, (psi / most) * 100)}%`;
          const [, text, kind] = MOVED.find(([above]) => psi > above) ?? [0, null, null];
          return el(
            "tr",
            {},
            el("th", { scope: "row" }, words(name), " ", text === null ? null : badge(text, kind), bar),
            el("td", { class: "figure" }, psi.toFixed(3)),
          );
        }),
      ),
    ),
    el(
      "p",
      { class: "small muted" },
      `Population stability index over ${whole(answer.rows)} rows: ${much} of ${answer.columns.length} above 0.25. `,
      `Policy set ${answer.policy_set}, as one scoring process sees it.`,
    ),
  ];
}

/** The smallest value that at least this share of the sorted values does not exceed. */
function quantile(sorted, share) {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
}

function milliseconds(us) {
  const ms = us / 1000;
  return `${ms >= 100 ? ms.toFixed(0) : ms.toFixed(ms >= 10 ? 1 : 2)} ms`;
}
