// The live link to the gateway: the whole board at each change, a heartbeat in between.
//
// While the page is hidden or the machine sleeps, clocks and timers stand still: what was received
// before proves nothing. So after each of them the page is not sure until it has a new board.

const SILENCE = 18_000; // two missed heartbeats: the connection is dead, even if the browser reports it open
const OPENING = 4_000; // for the first event of a new connection; twice as long after each failure
const WAKING = 1_500; // the same, when somebody has just looked at the page
const RETRY = [250, 500, 1_000, 2_000, 4_000];
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

  async function lost() {
    close();
    report({ up: false });
    timer = setTimeout(open, RETRY[Math.min(failures++, RETRY.length - 1)]);
    const refused = await refusal();
    if (refused === "not_paired") {
      close();
      onUnpaired();
    } else if (!link.up) report({ full: refused === "full" });
  }

  function open(within = Math.min(OPENING * 2 ** failures, SILENCE)) {
    close();
    source = new EventSource(`/events?tab=${tab}`);
    expect(within);
    source.onerror = lost;
    source.addEventListener("beat", (event) => {
      const beat = JSON.parse(event.data);
      offset = Date.parse(beat.now) - performance.now();
      link.lookingOn = beat.looking_on;
      heard();
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

/** Why the server refuses an event stream, if it does: the browser does not tell. */
async function refusal() {
  try {
    const answer = await fetch(`/session?tab=${tab}`, { signal: AbortSignal.timeout(OPENING) });
    return answer.ok ? "none" : (await answer.json()).error;
  } catch {
    return "none";
  }
}

/** Sends; "ok", or the word for what went wrong. */
export async function send(path, body) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(8_000),
    });
    return answer.ok ? "ok" : (await answer.json()).error;
  } catch {
    return "failed";
  }
}
