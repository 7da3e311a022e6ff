// The page: puts together the link, the bell, who uses the tablet, and what is drawn.

import { attention, waits } from "./attention.js";
import { bellState, onBellChange, ring, switchBell, unlockBell } from "./bell.js";
import { called, draw, showNewest } from "./cards.js";
import { makeDesk, problem } from "./desk.js";
import { connect, now, reportShown, send } from "./link.js";
import { canNotify, clearNotice, notice, onNoticeTap, switchNotices } from "./notices.js";
import { badge, isOver, me, signIn, signOut, tablet, usedNames } from "./people.js";
import { truth } from "./truth.js";
import { loadWords, nextLanguage, say, switchLanguage, translate } from "./words.js";

const EMPTY = { visits: [], left: [], hidden: [], gateways: [], settings: { repeat_secs: 0, late_secs: 300 } };

// How the link's word looks in each state.
const LINK = { lost: "lost", broker: "lost", deaf: "warn", partial: "warn", off: "warn", locked: "warn", sleep: "live", calm: "live", unpaired: "warn" };

const $ = (id) => document.getElementById(id);
let board = null;
let link = { up: null, sure: false, since: null };
let unpaired = false;
let tapped = false; // whether a notification was tapped whose customer is not in view yet
let awake = false;
let afterName = null;
let bar = ""; // what the bar says
let spoken = []; // the visits whose arrival the screen reader has announced

await loadWords();

const desk = makeDesk({ changed: show, askName });

const live = connect({
  onBoard(next) {
    const first = !board;
    unpaired = false;
    board = { ...EMPTY, ...next };
    desk.settle(board);
    show();
    if (first && !me() && !$("name").open) askName();
  },
  onLink(next) {
    link = next;
    show();
  },
  onUnpaired() {
    board = null;
    unpaired = true;
    forget();
    show();
    if (!$("pair").open) $("pair").showModal();
  },
});

/** Takes everything of customers off the page. */
function forget() {
  desk.clear();
  spoken = [];
  $("heard").textContent = "";
  $("handle").value = "";
  $("check-in-outcome").textContent = "";
  for (const dialog of ["name", "tools"]) $(dialog).close();
  clearNotice();
}

/** Rings, speaks and notifies for what is new on a board that can be trusted. */
function attend() {
  const waiting = board.visits.filter(waits).length;
  const { peal, news, late } = attention(board, now());
  if (waiting === 0) clearNotice();
  const said = news.length ? ["arrived", news] : late.length ? ["not_met", late] : null;
  if (said) {
    spoken = said[1].map((visit) => visit.visit);
    $("heard").textContent = said[1].map((visit) => say(said[0], { name: called(visit) })).join(" ");
  } else if (peal) {
    $("heard").textContent = say("still_waiting", { n: waiting });
  }
  const ids = new Set(board.visits.map((visit) => visit.visit));
  if (!spoken.every((id) => ids.has(id))) {
    spoken = [];
    $("heard").textContent = "";
  }
  if (!peal) return;
  ring(peal);
  notice(say("notify_title"), say("notify_body", { n: waiting }));
}

/** Draws everything as it is now. */
function show() {
  const shown = truth({ link, board, unpaired, bell: bellState(), awake, now: now() });
  desk.cutOff = ["lost", "broker", "unpaired"].includes(shown.state) || !link.sure;
  $("board").toggleAttribute("data-stale", desk.cutOff);
  $("board").toggleAttribute("data-veiled", Boolean(board) && !link.sure);
  $("veil").hidden = !board || link.sure;
  write($("veil"), say(shown.state === "checking" ? "checking" : "unknown"));
  showTools();
  draw(board ?? EMPTY, now(), desk);
  showTruth(shown);
  write($("store"), board?.store.name ?? "Grelot");
  const waiting = (board?.visits ?? []).filter(waits).length;
  write($("who-waits"), waiting ? say("notify_body", { n: waiting }) : "");
  // Numbers only: titles end up in a browser's history.
  document.title = (waiting ? `(${waiting}) ` : "") + (board?.store.name ?? "Grelot");
  if (board && link.up && isOver(board.settings, now())) handOver();
  if (board && link.up && link.sure) reportShown(board.visits);
  // A hidden page rings for what it receives; one that has just woken up waits for a new board.
  if (board && link.up && (link.sure || document.hidden)) attend();
  if (!tapped || !board || !link.sure) return;
  tapped = false;
  showNewest();
}

function showTruth(shown) {
  document.body.dataset.truth = shown.state;
  const lines = shown.troubles;
  $("banner").hidden = lines.length === 0;
  $("banner").dataset.state = shown.severe ? "lost" : "warn";
  write($("headline"), say(shown.headline[0]));
  write($("headline-more"), say(shown.headline[1]));
  $("link").dataset.state = LINK[shown.state] ?? "wait";
  write($("link"), shown.chip);
  if (bar === lines.join()) return;
  bar = lines.join();
  $("banner").replaceChildren(...lines.map(paragraph));
}

function paragraph(text) {
  const line = document.createElement("span");
  line.textContent = text;
  return line;
}

function showTools() {
  $("sound").dataset.state = bellState();
  write($("sound-word"), say(`bell_${bellState()}`));
  const { tag, name } = nextLanguage();
  write($("language"), name);
  $("language").lang = tag;
  const { initials, hue } = badge(me() || "?", tablet);
  $("me-badge").hidden = !me();
  write($("me-badge"), initials);
  $("me-badge").dataset.hue = hue;
  write($("me-name"), me() || say("your_name"));
  $("me").toggleAttribute("data-named", Boolean(me()));
  $("more-tools").setAttribute("aria-label", say("tablet"));
  write($("looking-on"), link.up && link.lookingOn ? say("looking_on", { n: link.lookingOn }) : "");
  const notices = canNotify();
  $("notify").hidden = notices === "never";
  write($("notify"), { ask: say("notify"), never: "" }[notices] ?? say(`notify_${notices}`));
  $("notify").dataset.state = notices;
  $("notify").disabled = notices === "denied";
  write($("why-asleep"), !window.isSecureContext ? say("plain_http") : awake ? "" : say("no_wake_lock"));
}

function askName(then = null) {
  afterName = then;
  $("first-name").value = "";
  $("names").replaceChildren(
    ...usedNames().map((name) => {
      const [item, choice] = [document.createElement("li"), document.createElement("button")];
      choice.type = "button";
      choice.textContent = name;
      choice.onclick = () => iAm(name);
      item.append(choice);
      return item;
    }),
  );
  if (!$("name").open) $("name").showModal();
}

function iAm(name) {
  const then = afterName;
  signIn(name, now());
  $("name").close();
  show();
  then?.();
}

function handOver() {
  signOut();
  $("tools").close();
  show();
  if (!$("pair").open) askName();
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

$("name").querySelector("form").onsubmit = (event) => {
  event.preventDefault();
  const name = $("first-name").value.trim();
  if (name) iAm(name);
};
$("name").querySelector(".quiet").onclick = () => $("name").close();
$("name").onclose = () => (afterName = null);
$("me").onclick = () => askName();
$("sound").onclick = () => (bellWas === "locked" ? unlockBell().then(() => ring("arrival")) : switchBell());
$("language").onclick = () => {
  switchLanguage();
  translate(document);
  show();
};
const openTools = () => {
  write($("test-outcome"), "");
  write($("check-in-outcome"), "");
  $("handle").value = "";
  $("tools").showModal();
};
$("more-tools").onclick = openTools;
// What these say of the screen is explained there.
for (const id of ["link", "headline", "headline-more"]) {
  $(id).onclick = () => document.body.dataset.truth === "sleep" && openTools();
}
$("tools").onclick = ({ target }) => {
  // A handler that returns false would keep the form's button from submitting.
  if (target === $("tools")) $("tools").close();
};
$("tools-close").onclick = () => $("tools").close();
$("test-bell").onclick = async () => {
  await unlockBell();
  const silent = bellState() === "off" ? "test_silent" : "bell_is_locked";
  write($("test-outcome"), ring("arrival") ? "" : say(silent));
};
$("notify").onclick = () => switchNotices().then(show);
$("check-in").onsubmit = async (event) => {
  event.preventDefault();
  if (!me()) return askName();
  const outcome = await desk.checkIn($("handle").value.trim());
  if (outcome === "ok") return $("tools").close();
  write($("check-in-outcome"), problem(outcome));
};
$("hand-over").onclick = handOver;
$("undo").onclick = desk.undo;
addEventListener("keydown", (event) => {
  if (event.key !== "z" || !(event.ctrlKey || event.metaKey) || event.target.matches("input")) return;
  event.preventDefault();
  desk.undo();
});
$("pair").oncancel = (event) => event.preventDefault();
$("pair").querySelector("form").onsubmit = async (event) => {
  event.preventDefault();
  const outcome = await send("/pair", { code: $("code").value, label: $("label").value });
  $("pair-problem").textContent = outcome === "ok" ? "" : problem(outcome);
  if (outcome !== "ok") return;
  $("pair").close();
  unpaired = false;
  live.open();
};

// The QR code of `grelot tablets pair` brings the code behind #, which no server sees.
const offered = /^#pair=(\d{6,12})$/.exec(location.hash)?.[1];
if (offered) {
  $("code").value = offered;
  history.replaceState(null, "", "/");
}

// Any touch unlocks the bell; what the button shows is what its touch was meant for.
let bellWas = bellState();
for (const touch of ["pointerdown", "keydown"]) {
  addEventListener(touch, () => {
    bellWas = bellState();
    unlockBell();
  });
}

/** Keeps the screen on, where the browser allows; plain HTTP has no wake lock. */
async function stayAwake() {
  if (document.visibilityState !== "visible") return;
  try {
    const lock = await navigator.wakeLock.request("screen");
    lock.onrelease = () => keep(false);
    keep(true);
  } catch {
    keep(false);
  }
}
function keep(state) {
  awake = state;
  show();
}

document.addEventListener("visibilitychange", stayAwake);
onBellChange(show);
onNoticeTap(() => {
  tapped = true;
  show();
});
translate(document);
show();
stayAwake();
unlockBell(); // some browsers allow it at once: installed pages, kiosks
setInterval(show, 1_000);
