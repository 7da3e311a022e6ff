// The page: who uses this tablet, what they do, and whether what they see can be trusted.

import { bellState, onBellChange, ring, switchBell, unlockBell } from "./bell.js";
import { called, draw } from "./cards.js";
import { connect, now, send } from "./link.js";
import { clock, knows, say, spoken, switchLanguage, translate } from "./i18n.js";

const RING_FOR = 60_000; // older arrivals do not ring: the customer is already inside
const ANSWER = 6_000; // for a gateway's answer to a tap
const MOST_NAMES = 6;

const $ = (id) => document.getElementById(id);
const firstSeen = new Map(); // when this page first saw a gateway in its present state
const names = JSON.parse(localStorage.getItem("names") ?? "[]");
const seen = new Set();
let board = null;
let link = { up: null, since: now() };
let afterName = null;

const desk = { me: names[0] ?? "", pending: new Map(), cutOff: true, act, wasNotHere };

const live = connect({
  onBoard(next) {
    if (!board && !desk.me && !$("name").open) askName();
    board = next;
    noteGateways(board.gateways);
    welcome(board.visits);
    settle(board.visits);
    show();
  },
  onLink(up, since) {
    link = { up, since };
    show();
  },
  onUnpaired() {
    board = null;
    show();
    $("name").close();
    if (!$("pair").open) $("pair").showModal();
  },
});

/** Rings for arrivals that are new to this tablet. */
function welcome(visits) {
  const ids = (visit) => [visit.visit, ...visit.merged];
  const news = visits.filter(
    (visit) =>
      visit.announced_at &&
      !visit.claim &&
      now() - Date.parse(visit.announced_at) < RING_FOR &&
      !ids(visit).some((id) => seen.has(id)),
  );
  visits.filter((visit) => visit.announced_at).flatMap(ids).forEach((id) => seen.add(id));
  if (news.length === 0) return;
  ring();
  $("heard").textContent = news.map((visit) => say("arrived", { name: called(visit) })).join(" ");
}

/** Ends pending taps that the gateway has decided: the visit's new state says how. */
function settle(visits) {
  for (const [id, { action }] of desk.pending) {
    const visit = visits.find((visit) => visit.visit === id);
    const decided = { claim: visit?.claim, release: !visit?.claim, dismiss: !visit }[action];
    if (visit && !decided) continue;
    forget(id);
    if (action === "claim" && visit?.claim && visit.claim.by !== desk.me) {
      toast(say("faster", { by: visit.claim.by }));
    }
  }
}

async function act(visit, action) {
  if (!desk.me) return askName(() => act(visit, action));
  if (desk.pending.has(visit)) return;
  const overdue = setTimeout(() => {
    forget(visit);
    toast(say("no_answer"));
    show();
  }, ANSWER);
  desk.pending.set(visit, { action, overdue });
  show();
  const outcome = await send(`/visits/${visit}/claim`, { by: desk.me, action });
  if (outcome !== "ok" && desk.pending.has(visit)) {
    forget(visit);
    toast(problem(outcome));
    show();
  }
}

/** Reports a false arrival to the gateway, and hides the card on all tablets. */
async function wasNotHere(visit) {
  if (!desk.me) return askName(() => wasNotHere(visit));
  const outcome = await send(`/visits/${visit}/feedback`, { verdict: "was_not_here" });
  toast(outcome === "ok" ? say("thanks") : problem(outcome));
  if (outcome === "ok") act(visit, "dismiss");
}

function forget(visit) {
  clearTimeout(desk.pending.get(visit)?.overdue);
  desk.pending.delete(visit);
}

const problem = (word) => say(word === "broker_away" ? "broker_away_now" : knows(word) ? word : "failed");

/** Remembers since when each gateway is in its state: a last will does not say it. */
function noteGateways(gateways) {
  const states = new Map(gateways.map(({ name, state }) => [JSON.stringify([name, state]), now()]));
  for (const key of firstSeen.keys()) if (!states.has(key)) firstSeen.delete(key);
  for (const [key, time] of states) if (!firstSeen.has(key)) firstSeen.set(key, time);
}

/** What is wrong, the worst first; nothing if the board can be trusted. */
function trouble() {
  if (link.up === false) return { state: "lost", text: say("lost_more", { time: clock(link.since) }) };
  if (!board) return null;
  const since = (time) => clock(Date.parse(time));
  const { broker, gateways } = board;
  if (broker.state !== "live") return { state: "lost", text: say("broker_away", { time: since(broker.since) }) };
  const mute = gateways.filter((gateway) => gateway.state !== "online");
  if (mute.length === 0) return null;
  const tell = ({ name, state, since: time }) =>
    say(state, { gateway: name, time: time ? since(time) : clock(firstSeen.get(JSON.stringify([name, state]))) });
  return { state: "warn", text: mute.map(tell).join(" ") };
}

/** What an empty board says: calm only if nothing is wrong. */
function headline(wrong) {
  if (!board || board.gateways.length === 0) return ["waiting", "waiting_more"];
  if (wrong) return ["unknown", "unknown_more"];
  if (bellState() !== "on") return ["calm_silent", bellState() === "off" ? "bell_is_off" : "bell_is_locked"];
  // Without TLS browsers offer no wake lock.
  return ["calm", "wakeLock" in navigator ? "calm_more" : "may_sleep"];
}

function showHeadline(wrong) {
  const [title, more] = headline(wrong);
  $("calm").dataset.state = title;
  for (const [id, word] of [["headline", title], ["headline-more", more]]) {
    if ($(id).textContent !== say(word)) $(id).textContent = say(word);
  }
}

function show() {
  const wrong = trouble();
  desk.cutOff = wrong?.state === "lost" || !link.up;
  $("banner").hidden = !wrong;
  $("banner").dataset.state = wrong?.state ?? "";
  if ($("banner").textContent !== (wrong?.text ?? "")) $("banner").textContent = wrong?.text ?? "";
  $("board").toggleAttribute("data-stale", desk.cutOff);
  showLink(wrong);
  showTools();
  const empty = { visits: [], left: [] };
  draw(board ?? empty, now(), desk);
  showHeadline(wrong);
  $("store").textContent = board?.store.name ?? "Grelot";
  const waiting = (board?.visits ?? []).filter((visit) => !visit.claim && !visit.discreet).length;
  // Numbers only: titles end up in a browser's history.
  document.title = (waiting ? `(${waiting}) ` : "") + (board?.store.name ?? "Grelot");
}

function showLink(wrong) {
  const state = link.up === null ? "wait" : (wrong?.state ?? "live");
  const words = {
    wait: () => say("connecting"),
    live: () => say("live"),
    lost: () => say("lost", { time: clock(link.up ? Date.parse(board.broker.since) : link.since) }),
    warn: () => say("unsure"),
  };
  $("link").dataset.state = state;
  if ($("link").textContent !== words[state]()) $("link").textContent = words[state]();
}

function showTools() {
  $("sound").dataset.state = bellState();
  $("sound").textContent = say(`bell_${bellState()}`);
  $("language").textContent = say("language");
  $("language").lang = spoken() === "fr" ? "en" : "fr";
  $("me").textContent = desk.me || say("nobody");
}

function askName(then = null) {
  afterName = then;
  $("first-name").value = "";
  $("names").replaceChildren(
    ...names.map((name) => {
      const [item, choice] = [document.createElement("li"), document.createElement("button")];
      choice.type = "button";
      choice.textContent = name;
      choice.onclick = () => iAm(name);
      item.append(choice);
      return item;
    }),
  );
  $("name").showModal();
}

function iAm(name) {
  desk.me = name;
  names.splice(0, names.length, ...[name, ...names.filter((other) => other !== name)].slice(0, MOST_NAMES));
  localStorage.setItem("names", JSON.stringify(names));
  $("name").close();
  show();
  const then = afterName;
  afterName = null;
  then?.();
}

let toasting = 0;
function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(toasting);
  toasting = setTimeout(() => ($("toast").hidden = true), 5_000);
}

$("name").querySelector("form").onsubmit = (event) => {
  event.preventDefault();
  const name = $("first-name").value.trim();
  if (name) iAm(name);
};
$("name").querySelector(".quiet").onclick = () => $("name").close();
$("name").onclose = () => (afterName = null);
$("me").onclick = () => askName();
$("sound").onclick = () => (bellWas === "locked" ? unlockBell().then(ring) : switchBell());
$("language").onclick = () => {
  switchLanguage();
  translate(document);
  show();
};
$("pair").oncancel = (event) => event.preventDefault();
$("pair").querySelector("form").onsubmit = async (event) => {
  event.preventDefault();
  const outcome = await send("/pair", { code: $("code").value, label: $("label").value });
  $("pair-problem").textContent = outcome === "ok" ? "" : problem(outcome);
  if (outcome !== "ok") return;
  $("pair").close();
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

// The screen stays on where the browser allows.
const stayAwake = () => {
  if (document.visibilityState === "visible") navigator.wakeLock?.request("screen").catch(() => {});
};
document.addEventListener("visibilitychange", stayAwake);
stayAwake();

onBellChange(show);
translate(document);
show();
setInterval(show, 5_000);
