// The live link to the gateway: the whole board at each change, a heartbeat in between.

const SILENCE = 18_000; // two missed heartbeats: the connection is dead, even if the browser reports it open
const RETRY = [500, 1_000, 2_000, 4_000];

/** The server's time: a tablet's own clock may be wrong. */
let offset = Date.now() - performance.now();
export const now = () => offset + performance.now();

const tab = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) =>
  byte.toString(16).padStart(2, "0"),
).join("");

/**
 * Connects, and connects again whenever the link breaks.
 * `onBoard(board)` at each change, `onLink(up, since)`, `onUnpaired()` if this tablet is not let in.
 */
export function connect({ onBoard, onLink, onUnpaired }) {
  let source = null;
  let failures = 0;
  let timer = 0;
  let lastHeard = now();
  let up = null;

  function report(state) {
    if (state === up) return;
    up = state;
    onLink(up, lastHeard);
  }

  function heard() {
    failures = 0;
    lastHeard = now();
    clearTimeout(timer);
    timer = setTimeout(lost, SILENCE);
  }

  async function lost() {
    source?.close();
    source = null;
    clearTimeout(timer);
    report(false);
    timer = setTimeout(open, RETRY[Math.min(failures++, RETRY.length - 1)]);
    if (await turnedAway()) {
      clearTimeout(timer);
      onUnpaired();
    }
  }

  function open() {
    clearTimeout(timer);
    source?.close();
    source = new EventSource(`/events?tab=${tab}`);
    timer = setTimeout(lost, SILENCE);
    source.onerror = lost;
    source.addEventListener("beat", (event) => {
      offset = Date.parse(JSON.parse(event.data).now) - performance.now();
      heard();
    });
    source.addEventListener("board", (event) => {
      heard();
      report(true);
      onBoard(JSON.parse(event.data));
    });
  }

  // A tablet that wakes up, or finds its Wi-Fi again, need not wait.
  const hurry = () => {
    if (!up && document.visibilityState === "visible") open();
  };
  addEventListener("online", hurry);
  document.addEventListener("visibilitychange", hurry);
  open();
  return { open };
}

async function turnedAway() {
  try {
    return (await fetch("/session")).status === 401;
  } catch {
    return false;
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
