// The live link to the gateway: the whole board at each change, a heartbeat in between.
//
// While the page is hidden or the machine sleeps, clocks and timers stand still: what was received
// before proves nothing. So after each of them the page is not sure until it has a new board.

const SILENCE = 18_000; // two missed heartbeats: the connection is dead, even if the browser reports it open
const OPENING = 4_000; // for the first event of a new connection; twice as long after each failure
const WAKING = 1_500; // the same, when somebody has just looked at the page
const RETRY = [250, 500, 1_000, 2_000, 4_000];
const PROBE = 1_000; // between two requests while the link is lost
const FULL = 4_000; // the same, where the server has no place for this tablet
const TICK = 1_000;
const STOOD_STILL = 4_000; // between two ticks: the machine slept

/** The server's time: a tablet's own clock may be wrong. */
let offset = Date.now() - performance.now();
export const now = () => offset + performance.now();

const tab = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) =>
  byte.toString(16).padStart(2, "0"),
).join("");

const visible = () => document.visibilityState === "visible";

/**
 * Connects, and connects again whenever the link breaks.
 *
 * `onBoard(board)` at each change, `onUnpaired()` if this tablet is not let in, `onLink(link)` with
 * `up` (`null` before the first board), `since` when nothing was received, `sure` whether the last
 * board is newer than the last sleep, `lookingOn` the number of open pages, and `full` if the server has no place for this tablet.
 */
export function connect({ onBoard, onLink, onUnpaired }) {
  const link = { up: null, sure: false, full: false, lookingOn: 0, since: now() };
  let source = null;
  let failures = 0;
  let timer = 0;

  function report(change) {
    const changed = Object.keys(change).some((key) => link[key] !== change[key]);
    Object.assign(link, change);
    if (changed) onLink({ ...link });
  }

  function expect(within) {
    clearTimeout(timer);
    timer = setTimeout(lost, within);
  }

  function heard() {
    failures = 0;
    link.since = now();
    expect(SILENCE);
  }

  function close() {
    clearTimeout(timer);
    source?.close();
    source = null;
  }

  function lost() {
    close();
    // A tablet that is not paired is not lost: the first answer says which it is.
    if (link.up !== null || failures > 0) report({ up: false });
    timer = setTimeout(probe, RETRY[Math.min(failures++, RETRY.length - 1)]);
  }

  /** Asks again each second until one request is answered: one that hangs may hang for minutes. */
  async function probe() {
    timer = setTimeout(() => {
      report({ up: false });
      probe();
    }, PROBE);
    const answer = await admission();
    if (source) return;
    if (answer === "none") return report({ up: false });
    clearTimeout(timer);
    if (answer === "not_paired") return onUnpaired();
    report({ full: answer === "full" });
    if (answer === "full") report({ up: false });
    if (answer === "full") timer = setTimeout(probe, FULL);
    else open();
  }

  function open(within = Math.min(OPENING * 2 ** failures, SILENCE)) {
    close();
    source = new EventSource(`/events?tab=${tab}`);
    expect(within);
    source.onerror = lost;
    source.addEventListener("beat", (event) => {
      const beat = JSON.parse(event.data);
      offset = Date.parse(beat.now) - performance.now();
      heard();
      report({ lookingOn: beat.looking_on });
    });
    source.addEventListener("board", (event) => {
      heard();
      report({ up: true, sure: visible(), full: false });
      onBoard(JSON.parse(event.data));
    });
  }

  function wake() {
    report({ sure: false });
    if (visible()) open(WAKING);
  }

  let ticked = Date.now();
  setInterval(() => {
    const stood = Date.now() - ticked > STOOD_STILL;
    ticked = Date.now();
    if (stood && visible()) wake();
  }, TICK);
  for (const event of ["visibilitychange", "resume", "freeze"]) document.addEventListener(event, wake);
  addEventListener("pageshow", (event) => event.persisted && wake());
  addEventListener("online", wake);
  addEventListener("offline", lost);
  open();
  return { open: () => open() };
}

/**
 * Whether the server would open an event stream, which the browser does not tell: "ok", the word for why
 * not, or "none" without an answer.
 */
async function admission() {
  try {
    const answer = await fetch(`/session?tab=${tab}`, { signal: AbortSignal.timeout(OPENING) });
    return answer.ok ? "ok" : (await answer.json()).error;
  } catch {
    return "none";
  }
}

let reported = new Set();

/** Tells the gateway, once each, which of its alerts are on the screen: it measures how long they take. */
export function reportShown(visits) {
  if (!visible()) return;
  const alerts = visits.filter((visit) => visit.announced_at).map((visit) => visit.visit);
  const fresh = alerts.filter((visit) => !reported.has(visit));
  reported = new Set(alerts);
  if (!fresh.length) return;
  // A task after the next frame: then it is painted.
  requestAnimationFrame(() => setTimeout(() => fresh.forEach((visit) => send(`/visits/${visit}/shown`, {}))));
}

/** Sends; "ok", or the word for what went wrong. */
export const send = async (path, body) => (await ask(path, body)).error ?? "ok";

/** Sends; the answer, with the word for what went wrong as `error`. */
export async function ask(path, body) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(8_000),
    });
    const said = await answer.json().catch(() => ({}));
    return answer.ok ? said : { error: said.error ?? "failed" };
  } catch {
    return { error: "failed" };
  }
}
