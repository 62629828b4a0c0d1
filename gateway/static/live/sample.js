// Sample events: the original pipeline's one, variations of it, and a small batch of traffic around it.
// Addresses are those of RFC 5737 and RFC 3849, which belong to nobody: their place stays unknown.

export const ORIGINAL = Object.freeze({
  event_id: "evt_20260116_001",
  user_id: "user_42",
  device_id: "tv_lg_abc123",
  content_id: "movie_987",
  event_type: "PLAY",
  timestamp: "2026-01-16T12:34:56Z",
  region: "NL",
  is_eu: true,
  has_consent: false,
  ip_address: "203.0.113.10",
  subscription_plan: "premium",
  error_code: null,
  extra_metadata: { app_version: "1.2.3", network_type: "wifi", device_model: "LG_OLED_55" },
});

export function freshId() {
  return `evt_${crypto.randomUUID().replaceAll("-", "").slice(0, 20)}`;
}

/** The time `secondsAgo` before now, RFC 3339 in UTC. */
export function timeAgo(secondsAgo = 0) {
  return `${new Date(Date.now() - secondsAgo * 1000).toISOString().slice(0, 19)}Z`;
}

/** The same event with a fresh id and the current time. */
export function fresh(event) {
  return { ...event, event_id: freshId(), timestamp: timeAgo() };
}

const OWN_SERVICE = {
  privacy: { purpose: "basic_service", legal_basis_claimed: "contract" },
};

/** What the form can begin with: [name, event without id and time]. */
export const PRESETS = [
  ["the original's sample, without consent", ORIGINAL],
  ["the same, under contract", { ...ORIGINAL, ...OWN_SERVICE }],
  [
    "advertising against an opt-out signal",
    {
      ...ORIGINAL,
      region: "US-CA",
      is_eu: false,
      has_consent: null,
      privacy: {
        purpose: "targeted_advertising",
        operator_meets_thresholds: true,
        signals: { gpc: true },
        third_party: { shared: true, recipient_type: "ad_partner", is_sale_or_share: true },
      },
    },
  ],
  [
    "a full export from a new device",
    {
      ...ORIGINAL,
      device_id: "laptop_new_7",
      content_id: null,
      event_type: "data_export",
      phase: "intent",
      data_volume_bytes: 4_000_000_000,
      user_agent: "curl/8.5.0",
      ...OWN_SERVICE,
    },
  ],
];

const VIEWERS = [
  { user_id: "sample_ada", device_id: "tv_ada", region: "NL", is_eu: true, ip_address: "203.0.113.21" },
  { user_id: "sample_ben", device_id: "phone_ben", region: "DE", is_eu: true, ip_address: "203.0.113.22" },
  { user_id: "sample_cleo", device_id: "tv_cleo", region: "US-CA", is_eu: false, ip_address: "198.51.100.23" },
  { user_id: "sample_davi", device_id: "tv_davi", region: "BR", is_eu: false, ip_address: "198.51.100.24" },
  { user_id: "sample_emi", device_id: "tablet_emi", region: "TH", is_eu: false, ip_address: "192.0.2.25" },
  { user_id: "sample_fay", device_id: "stick_fay", region: "FR", is_eu: true, ip_address: "2001:db8::26" },
];

function any(list) {
  return list[Math.floor(Math.random() * list.length)];
}

const WATCHED = 20;

/**
 * A batch of 50 events, of each viewer in order of time, none older than 14 minutes. Ordinary watching; some of it with
 * consent missing, withdrawn or opted out; and an account that watches for a while, whose sign-ins then fail from
 * elsewhere until a new device gets in, changes the e-mail address and exports.
 */
export function traffic() {
  const run = crypto.randomUUID().slice(0, 8);
  const events = [];
  const add = (event) => events.push({ ...ORIGINAL, has_consent: null, ...event });

  const taken = { user_id: `sample_taken_${run}`, region: "NL", is_eu: true, content_id: null, ...OWN_SERVICE };
  const home = { ...taken, device_id: `tv_${run}`, ip_address: "203.0.113.40", content_id: "movie_101" };
  const thief = { ...taken, device_id: `laptop_${run}`, ip_address: "198.51.100.77", user_agent: "curl/8.5.0" };
  for (let beat = 0; beat < WATCHED; beat += 1) add({ ...home, event_type: beat === 0 ? "play" : "heartbeat" });

  for (const viewer of VIEWERS) {
    add({ ...viewer, ...OWN_SERVICE, event_type: "login", content_id: null });
    add({ ...viewer, ...OWN_SERVICE, event_type: "play", content_id: `movie_${any([101, 204, 387, 512])}` });
    add({ ...viewer, ...OWN_SERVICE, event_type: any(["heartbeat", "pause", "seek"]) });
  }
  add({ ...VIEWERS[0], event_type: "play", has_consent: false });
  add({
    ...VIEWERS[1],
    event_type: "access",
    privacy: {
      purpose: "targeted_advertising",
      legal_basis_claimed: "consent",
      consent: { status: "withdrawn", withdrawn_at: timeAgo(86_400) },
    },
  });
  add({ ...PRESETS[2][1], ...VIEWERS[2], event_type: "access" });

  for (let failure = 0; failure < 6; failure += 1) {
    add({ ...thief, event_type: "login_failed", error_code: "bad_password" });
  }
  add({ ...thief, event_type: "login" });
  add({ ...thief, event_type: "email_change" });
  add({ ...thief, event_type: "data_export", data_volume_bytes: 6_000_000_000, phase: "intent" });

  const step = (14 * 60) / events.length;
  return events.map((event, index) => ({
    ...event,
    event_id: freshId(),
    timestamp: timeAgo((events.length - 1 - index) * step),
  }));
}
