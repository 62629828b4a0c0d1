// Calls to the gateway. Every failure is a Problem with a reason and a sentence for people.

const TIMEOUT_MS = 10_000;
const SILENCE_MS = 6_000;

export class Problem extends Error {
  constructor(status, reason, detail, body = {}) {
    super(detail);
    this.status = status;
    this.reason = reason;
    this.body = body;
  }

  /** Whether a key is missing, or the one that was shown does not open this. */
  get locked() {
    return this.status === 401 || this.reason.startsWith("KEY_");
  }

  /** Whether the mesh could not be reached, rather than having refused what was sent. */
  get away() {
    return this.status === 0 || this.status === 503 || this.status === 504;
  }
}

const tenant = new URLSearchParams(location.search).get("tenant");
const common = tenant === null ? {} : { "x-usher-tenant": tenant };

const KEY = "usher-key";

/** Whether a key is kept for this tab. It is in no address, and gone when the tab is closed. */
export function hasKey() {
  return sessionStorage.getItem(KEY) !== null;
}

/** Shows a key with every further call; null: none any more. */
export function useKey(key) {
  if (key === null) sessionStorage.removeItem(KEY);
  else sessionStorage.setItem(KEY, key);
}

async function send(path, options) {
  const key = sessionStorage.getItem(KEY);
  const shown = key === null ? {} : { "x-api-key": key };
  try {
    return await fetch(path, { cache: "no-store", ...options, headers: { ...common, ...shown, ...options.headers } });
  } catch (error) {
    if (options.signal?.reason?.name === "TimeoutError") {
      throw new Problem(0, "NO_ANSWER", `The gateway did not answer within ${TIMEOUT_MS / 1000} s.`);
    }
    if (options.signal?.aborted) throw error;
    throw new Problem(0, "GATEWAY_AWAY", "The gateway cannot be reached.");
  }
}

async function problemOf(answer) {
  const body = await answer.json().catch(() => ({}));
  return new Problem(
    answer.status,
    body.reason ?? `HTTP_${answer.status}`,
    body.detail ?? `The gateway answered ${answer.status}.`,
    body,
  );
}

async function json(path, options = {}) {
  const answer = await send(path, { ...options, signal: AbortSignal.timeout(TIMEOUT_MS) });
  if (!answer.ok) throw await problemOf(answer);
  try {
    return await answer.json();
  } catch {
    throw new Problem(0, "ANSWER_CUT", "The gateway's answer broke off.");
  }
}

export function decide(text) {
  return json("/api/v1/decisions", {
    method: "POST",
    body: text,
    headers: { "content-type": "application/json" },
  });
}

export function newest(limit) {
  return json(`/api/v1/decisions?limit=${limit}`);
}

export function decision(eventId) {
  return json(`/api/v1/decisions/${encodeURIComponent(eventId)}`);
}

/** How far features and scores have moved from the training of the model in use. */
export function drift() {
  return json("/api/v1/scoring/drift");
}

/** The tenant's books; null while it has none. */
export async function books() {
  return (await json("/api/v1/accounting")).accounts[0] ?? null;
}

/**
 * Follows the feed after a position until it ends, and throws the Problem that ended it. `heard(kind, data)` gets each
 * message. Silence of some seconds is an end too: the feed shows a sign of life every second.
 */
export async function follow(after, heard, signal) {
  const silence = new AbortController();
  let timer = 0;
  const rearm = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE_MS);
  };
  rearm();
  const lost = () => new Problem(0, "SILENT", `Nothing was heard for ${SILENCE_MS / 1000} s.`);
  try {
    const answer = await send(`/api/v1/decision-stream?after=${encodeURIComponent(after)}`, {
      signal: AbortSignal.any([signal, silence.signal]),
    });
    if (!answer.ok) throw await problemOf(answer);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new Problem(0, "FEED_ENDED", "The feed of decisions ended.");
      rearm();
      const messages = (rest + value).split("\n\n");
      rest = messages.pop();
      for (const message of messages) {
        const { kind, data } = read(message);
        if (kind === "end") throw new Problem(503, data.reason, sentence(data.message));
        if (kind !== "") heard(kind, data);
      }
    }
  } catch (error) {
    if (error instanceof Problem || signal.aborted) throw error;
    if (silence.signal.aborted) throw lost();
    throw new Problem(0, "FEED_BROKEN", "The feed of decisions broke off.");
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

function read(message) {
  let kind = "";
  let data = "";
  for (const line of message.split("\n")) {
    if (line.startsWith("event: ")) kind = line.slice(7);
    else if (line.startsWith("data: ")) data = line.slice(6);
  }
  return { kind, data: data === "" ? {} : JSON.parse(data) };
}

function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}
