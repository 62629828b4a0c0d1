// The live page: follows the feed, shows it, sends samples, asks about one event.

import { act, answers, badge, processing, refusal } from "./answers.js";
import * as api from "./api.js";
import { byId, clock, count, el, say, whole, words } from "./dom.js";
import * as panels from "./panels.js";
import { fresh, PRESETS, traffic } from "./sample.js";

const HELD = 100;
const BOOKS_EVERY_MS = 2_000;
const SEND_EVERY_MS = 3_000;
const DRIFT_EVERY_MS = 30_000;
const LONGEST_RETRY_MS = 8_000;
/** After a longer gap the list begins anew, rather than replaying everything that was missed. */
const GAP_MS = 60_000;

const TILES = [
  ["ALLOW", "Yes", "good"],
  ["ALLOW_WITH_CAUTION", "With caution", "care"],
  ["REVIEW", "Wait for a look", "warn"],
  ["BLOCK", "No", "bad"],
];

const state = {
  decisions: [], // newest first, at most HELD
  outcomes: {},
  degraded: {},
  counted: 0,
  leftOut: 0,
  since: null,
  after: null, // position as text
  heard: 0, // milliseconds, of the last sign of life
  held: false, // the list stands still
  away: false,
  locked: false, // a key is asked for
};

// --- the feed -------------------------------------------------------------------------------------------

let following = null;
const retry = { timer: 0, delay: 1_000 };

async function connect() {
  clearTimeout(retry.timer);
  following?.abort();
  if (document.hidden || state.locked) return;
  const own = new AbortController();
  following = own;
  if (!state.away) connection("connecting", "Connecting");
  try {
    if (state.after === null || Date.now() - state.heard > GAP_MS) await begin(own.signal);
    if (own.signal.aborted) return;
    await api.follow(state.after, (kind, data) => heard(kind, data), own.signal);
  } catch (error) {
    if (own.signal.aborted) return;
    lost(error);
  }
}

/** Fills the list with what is newest and counts from here on. */
async function begin(signal) {
  const page = await api.newest(HELD);
  if (signal.aborted) return;
  state.decisions = page.decisions;
  state.after = page.after ?? "0";
  state.outcomes = {};
  state.degraded = {};
  state.counted = 0;
  state.leftOut = 0;
  state.since = new Date();
  drawAll();
}

function heard(kind, data) {
  state.heard = Date.now();
  retry.delay = 1_000;
  if (state.away || byId("connection").dataset.state !== "live") here();
  if (kind !== "decisions") return;
  state.after = data.position;
  state.counted += data.decided;
  state.leftOut += data.left_out;
  for (const [name, n] of Object.entries(data.outcomes)) state.outcomes[name] = (state.outcomes[name] ?? 0) + n;
  for (const [name, n] of Object.entries(data.degraded)) state.degraded[name] = (state.degraded[name] ?? 0) + n;
  const known = new Set(state.decisions.map((item) => item.event_id));
  const added = data.decisions.filter((item) => !known.has(item.event_id));
  state.decisions = [...added, ...state.decisions].slice(0, HELD);
  drawCounts();
  drawSide();
  if (!state.held) addRows(added);
}

function here() {
  state.away = false;
  byId("away").hidden = true;
  connection("live", "Live");
}

function lost(error) {
  following?.abort();
  if (error instanceof api.Problem && error.locked) {
    askForKey(error);
    return;
  }
  state.away = true;
  stopSending();
  connection("away", "Not connected");
  byId("away").hidden = false;
  const why = error instanceof api.Problem ? `${error.message} (${error.reason})` : "The page failed; load it again.";
  say(byId("away-text"), `The mesh does not answer, so nothing here is current. ${why}`);
  const last = state.heard === 0 ? "Nothing was heard yet." : `Last heard at ${clock(new Date(state.heard))}.`;
  say(byId("away-since"), `${last} Trying again every few seconds.`);
  retry.timer = setTimeout(connect, retry.delay);
  retry.delay = Math.min(LONGEST_RETRY_MS, retry.delay * 2);
  if (!(error instanceof api.Problem)) console.error(error);
}

// --- the key --------------------------------------------------------------------------------------------

function askForKey(error) {
  state.locked = true;
  stopSending();
  connection("away", "Key needed");
  byId("away").hidden = true;
  say(byId("sign-in-text"), api.hasKey() ? `This key does not open the page: ${error.message} (${error.reason})` : "");
  byId("sign-in").hidden = false;
  byId("key").focus();
}

function signIn() {
  const key = byId("key").value.trim();
  // A header takes no other characters; keys have none.
  if (!/^[\x21-\x7e]+$/.test(key)) {
    say(byId("sign-in-text"), "A key has letters, digits and _ only.");
    return;
  }
  byId("key").value = "";
  api.useKey(key);
  goOn();
}

function goOn() {
  byId("sign-in").hidden = true;
  byId("sign-out").hidden = !api.hasKey();
  state.locked = false;
  state.after = null;
  connect();
  readBooks();
  readDrift();
}

function connection(kind, text) {
  const pill = byId("connection");
  pill.dataset.state = kind;
  say(pill, text);
}

// --- what is shown --------------------------------------------------------------------------------------

function drawAll() {
  drawCounts();
  drawSide();
  byId("rows").replaceChildren();
  addRows(state.decisions);
}

function drawCounts() {
  const unknown = Object.keys(state.outcomes).filter((name) => state.outcomes[name] && !TILES.some(([known]) => known === name));
  byId("tiles").replaceChildren(
    ...[...TILES, ...unknown.map((name) => [name, name, "warn"])].map(([name, label, kind]) =>
      el(
        "div",
        { class: "tile", "data-kind": kind, "data-outcome": name },
        el("dt", {}, label, label === name ? null : el("code", {}, name)),
        el("dd", {}, whole(state.outcomes[name] ?? 0)),
      ),
    ),
  );
  if (state.since === null) return;
  const degraded = Object.entries(state.degraded);
  say(
    byId("since"),
    `${count(state.counted, "decision", "decisions")} since ${clock(state.since)}, when this page began to count` +
      (degraded.length === 0 ? "." : `; without ${degraded.map(([name, n]) => `${name} ${whole(n)}`).join(", without ")}.`),
  );
}

function drawSide() {
  byId("services").replaceChildren(...panels.services(state.decisions));
  byId("stages").replaceChildren(...panels.stages(state.decisions));
  const shown = state.decisions.length > 0;
  byId("list-empty").hidden = shown;
  byId("list-scroll").hidden = !shown;
  say(
    byId("list-note"),
    (shown ? `The last ${whole(state.decisions.length)} of at most ${HELD}.` : "") +
      (state.leftOut > 0 ? ` ${whole(state.leftOut)} came too fast to be listed; they are counted above.` : ""),
  );
}

function addRows(decisions) {
  const rows = byId("rows");
  const active = document.activeElement;
  rows.prepend(...decisions.map(row));
  while (rows.children.length > HELD) {
    // The one that has the focus stays until the focus leaves it.
    const last = rows.lastElementChild;
    if (last.contains(active)) break;
    last.remove();
  }
}

function row(decision) {
  const [text, kind] = act(decision.outcome);
  const [law, lawKind] = processing(decision);
  const first = decision.reasons[0]?.sentence ?? "";
  const more = decision.reasons.length > 1 ? ` and ${decision.reasons.length - 1} more` : "";
  const time = decision.processed_at === null ? "" : clock(decision.processed_at);
  return el(
    "tr",
    {},
    el(
      "td",
      {},
      el("button", { type: "button", class: "link", onclick: () => openDetail(decision) }, decision.event_id),
      el("span", { class: "sub" }, [time, words(decision.event_class), decision.user_id].filter(Boolean).join(" · ")),
    ),
    el(
      "td",
      { class: "act" },
      badge(text, kind, decision.outcome),
      el("span", { class: "sub narrow" }, `data: ${law.charAt(0).toLowerCase()}${law.slice(1)}`),
      decision.would_be === decision.outcome ? null : el("span", { class: "sub" }, `would be ${decision.would_be}`),
      decision.degraded.length === 0 ? null : el("span", { class: "sub" }, `without ${decision.degraded.join(", ")}`),
    ),
    el("td", { class: "wide" }, first, el("span", { class: "muted" }, more)),
    el(
      "td",
      { class: "middle" },
      badge(law, lawKind),
      el("span", { class: "sub" }, decision.compliance.applicable_regulations.join(", ")),
    ),
    el("td", { class: "wide figure" }, decision.risk.compared === null ? "–" : decision.risk.compared.toFixed(1)),
  );
}

async function openDetail(decision) {
  say(byId("detail-title"), decision.event_id);
  const event = el("div", { class: "panel" }, el("h3", {}, "The event, as decided"), el("p", { class: "muted" }, "Loading"));
  byId("detail-body").replaceChildren(el("div", { class: "answers" }, answers(decision)), event);
  byId("detail").showModal();
  let shown;
  try {
    const whole = await api.decision(decision.event_id);
    shown = el("pre", { tabindex: "0" }, JSON.stringify(whole.event, null, 2));
  } catch (error) {
    shown = el("p", { class: "muted" }, `It cannot be shown: ${error.message}`);
  }
  event.replaceChildren(el("h3", {}, "The event, as decided"), shown);
}

let booksTimer = 0;

async function readBooks() {
  clearTimeout(booksTimer);
  if (document.hidden) return;
  if (state.locked) {
    byId("books").replaceChildren(el("p", { class: "note" }, "Not read: a key is needed."));
    return;
  }
  if (!state.away) {
    try {
      byId("books").replaceChildren(...panels.books(await api.books()).filter(Boolean));
    } catch (error) {
      byId("books").replaceChildren(el("p", { class: "note" }, `Not current: ${error.message}`));
    }
  } else if (byId("books").querySelector(".note") === null) {
    byId("books").prepend(el("p", { class: "note" }, "Not current: the mesh is away."));
  }
  clearTimeout(booksTimer);
  booksTimer = setTimeout(readBooks, BOOKS_EVERY_MS);
}

let driftTimer = 0;

/** Reads drift while its panel is open. */
async function readDrift() {
  clearTimeout(driftTimer);
  if (document.hidden || state.locked || !byId("drift-panel").open) return;
  try {
    byId("drift").replaceChildren(...panels.drift(await api.drift()));
  } catch (error) {
    byId("drift").replaceChildren(el("p", { class: "note" }, `Not known: ${error.message}`));
  }
  clearTimeout(driftTimer);
  driftTimer = setTimeout(readDrift, DRIFT_EVERY_MS);
}

// --- sample traffic -------------------------------------------------------------------------------------

let sendTimer = 0;
let sending = false;

async function sendSample() {
  if (sending) return;
  sending = true;
  byId("send").disabled = true;
  try {
    const events = traffic();
    const { decisions } = await api.decide(JSON.stringify({ events }));
    const tally = {};
    for (const item of decisions) {
      const name = item.outcome ?? item.status;
      tally[name] = (tally[name] ?? 0) + 1;
    }
    const text = Object.entries(tally).map(([name, n]) => `${n} ${name}`).join(", ");
    const wrong = decisions.find((item) => item.outcome === undefined);
    say(
      byId("sent"),
      `${clock(new Date())}: ${count(decisions.length, "event", "events")} sent: ${text}.` +
        (wrong ? ` First that was not decided: ${wrong.reason}: ${wrong.message}` : ""),
    );
  } catch (error) {
    stopSending();
    say(byId("sent"), `Sample traffic was not decided: ${error.message}`);
  } finally {
    sending = false;
    byId("send").disabled = false;
  }
}

async function keepSending() {
  await sendSample();
  if (byId("keep").getAttribute("aria-pressed") === "true") sendTimer = setTimeout(keepSending, SEND_EVERY_MS);
}

function stopSending() {
  clearTimeout(sendTimer);
  byId("keep").setAttribute("aria-pressed", "false");
  say(byId("keep"), "Keep sending");
}

// --- one event ------------------------------------------------------------------------------------------

function fill(event) {
  byId("event").value = JSON.stringify(event, null, 2);
  complain("");
}

function complain(text) {
  say(byId("event-error"), text);
  byId("event").setAttribute("aria-invalid", text === "" ? "false" : "true");
}

/** The event in the form; null, and a message, where it is no JSON object. */
function typed() {
  let value;
  try {
    value = JSON.parse(byId("event").value);
  } catch (error) {
    complain(`This is not JSON: ${error.message}`);
    return null;
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) {
    complain("Send one event: a JSON object.");
    return null;
  }
  complain("");
  return value;
}

async function ask() {
  const place = byId("answers");
  if (typed() === null) {
    byId("event").focus();
    return;
  }
  byId("decide").disabled = true;
  place.setAttribute("aria-busy", "true");
  try {
    // As typed: what JSON.parse rounds or drops is the gateway's to judge.
    place.replaceChildren(...answers(await api.decide(byId("event").value)));
  } catch (error) {
    if (!(error instanceof api.Problem)) throw error;
    place.replaceChildren(refusal(error));
  } finally {
    byId("decide").disabled = false;
    place.removeAttribute("aria-busy");
  }
}

// --- beginning ------------------------------------------------------------------------------------------

byId("preset").append(...PRESETS.map(([name], index) => el("option", { value: index }, name)));
byId("preset").addEventListener("change", () => fill(fresh(PRESETS[byId("preset").value][1])));
byId("fresh").addEventListener("click", () => {
  const event = typed();
  if (event !== null) fill(fresh(event));
});
byId("form").addEventListener("submit", (submit) => {
  submit.preventDefault();
  ask();
});
byId("event").addEventListener("keydown", (key) => {
  if (key.key === "Enter" && (key.ctrlKey || key.metaKey)) {
    key.preventDefault();
    ask();
  }
});
byId("send").addEventListener("click", sendSample);
byId("keep").addEventListener("click", () => {
  if (byId("keep").getAttribute("aria-pressed") === "true") {
    stopSending();
    return;
  }
  byId("keep").setAttribute("aria-pressed", "true");
  say(byId("keep"), "Stop sending");
  keepSending();
});
byId("hold").addEventListener("click", () => {
  state.held = !state.held;
  byId("hold").setAttribute("aria-pressed", String(state.held));
  say(byId("hold"), state.held ? "Go on" : "Hold the list");
  if (!state.held) drawAll();
});
byId("try-now").addEventListener("click", () => {
  retry.delay = 1_000;
  connect();
});
byId("detail-close").addEventListener("click", () => byId("detail").close());
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    // Nobody looks: the mesh need not work for it.
    following?.abort();
    clearTimeout(retry.timer);
    stopSending();
    connection("paused", "Paused");
  } else {
    connect();
    readBooks();
    readDrift();
  }
});
byId("drift-panel").addEventListener("toggle", readDrift);

byId("sign-in").addEventListener("submit", (submit) => {
  submit.preventDefault();
  signIn();
});
byId("sign-out").addEventListener("click", () => {
  api.useKey(null);
  // What the key showed is gone from the page as well.
  location.reload();
});

byId("sign-out").hidden = !api.hasKey();
fill(fresh(PRESETS[0][1]));
drawCounts();
drawSide();
connect();
readBooks();
