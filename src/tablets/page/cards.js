// Draws the board: one card a stay, kept from one drawing to the next.

import { waits } from "./attention.js";
import { badge, isMine, isNamesake } from "./people.js";
import { ago, clock, knows, languageName, say } from "./words.js";

const FRESH = 60_000; // an arrival is news for a minute
const STALE = 1_800_000; // after half an hour no one is likely to wait still
const CALLED = 3_000; // a card stands out that was asked for
const SETTLING = 400; // about the time a finger is already on its way
const SHAPES = { platinum: "◆", gold: "★", silver: "●", bronze: "▲" };
const OTHER_SHAPES = ["■", "✚", "⬟", "◗"];

const $ = (id) => document.getElementById(id);
const cards = new Map();
const lines = new Map();

/** What head office, or the language, calls a tier. */
function tierName({ tier, tier_name: name }) {
  if (name) return name;
  const key = `tier_${tier}`;
  return knows(key) ? say(key) : tier.slice(0, 1).toLocaleUpperCase() + tier.slice(1);
}

/** What to call a customer: the card's name where consent allows, the tier otherwise. */
export const called = (person) => person.card?.name ?? say("customer", { tier: tierName(person) });

/** How long a visit has waited: "fresh", "waiting", "late" or "stale". */
function age(visit, now, lateAfter) {
  const waited = now - Date.parse(visit.announced_at ?? visit.arrived_at);
  if (waited >= STALE) return "stale";
  if (visit.escalated || waited >= lateAfter) return "late";
  return waited < FRESH ? "fresh" : "waiting";
}

/** Draws `board` as of `now`; `desk` says what is pending and what to do. */
export function draw(board, now, desk) {
  const byArrival = [...board.visits].sort((a, b) => b.arrived_at.localeCompare(a.arrived_at));
  const claimed = byArrival.filter((visit) => visit.claim);
  const shown = new Map([
    ["welcome", byArrival.filter(waits)],
    ["care", claimed.sort((a, b) => isMine(b.claim) - isMine(a.claim))],
    ["discreet", byArrival.filter((visit) => !visit.claim && visit.discreet)],
  ]);
  const labels = new Map(board.gateways.map(({ name, label }) => [name, label ?? name]));
  const here = new Set(board.visits.map((visit) => visit.client));
  const context = { now, desk, labels, here, late: board.settings.late_secs * 1_000 };
  keepFocus(() => {
    for (const [place, visits] of shown) {
      lay($(place), visits.map((visit) => drawCard(visit, context)));
      const section = $(place).closest("section");
      section.hidden = place !== "welcome" && visits.length === 0;
      write(section.querySelector(".count"), visits.length || "");
    }
    drawLines("hidden", board.hidden, (visit) => say("hidden_by", { by: visit.by }), context);
    drawLines("left", board.left, (visit) => ago(Date.parse(visit.departed_at), now), context);
    keepOnly(cards, board.visits);
    keepOnly(lines, [...board.hidden, ...board.left]);
  });
  $("calm").hidden = shown.get("welcome").length > 0;
  const alone = ["care", "discreet", "hidden", "left"].every((place) => $(place).closest("section").hidden);
  $("board").toggleAttribute("data-alone", alone);
}

function keepOnly(kept, visits) {
  const ids = new Set(visits.map((visit) => visit.visit));
  for (const id of kept.keys()) if (!ids.has(id)) kept.delete(id);
}

function drawCard(visit, { now, desk, labels, late }) {
  const card = cards.get(visit.visit) ?? makeCard(visit.visit, desk);
  const part = (name) => card.querySelector(`.${name}`);
  const mine = isMine(visit.claim);
  const others = Boolean(visit.claim) && !mine;
  const pending = desk.pending.has(visit.visit);
  const name = called(visit);
  const state = visit.claim ? "cared" : visit.discreet ? "discreet" : age(visit, now, late);
  const shape = SHAPES[visit.tier] ?? OTHER_SHAPES[[...visit.tier].length % OTHER_SHAPES.length];
  write(part("shape"), shape);
  write(part("word"), tierName(visit));
  part("tier").dataset.tier = visit.tier;
  const gateway = labels.get(visit.gateway) ?? visit.gateway;
  write(part("when"), `${ago(Date.parse(visit.arrived_at), now)} · ${gateway}`);
  write(part("age"), waiting(visit, state, desk.givenBack.get(visit.visit)));
  write(part("name"), name);
  write(part("note"), visit.card?.note ?? "");
  for (const text of [part("name"), part("note")]) text.lang = visit.card?.language ?? "";
  part("name").toggleAttribute("data-long", [...name].length > 26);
  const language = visit.card?.language && languageName(visit.card.language);
  write(part("speaks"), language ? say("speaks", { language }) : "");
  write(part("handle"), visit.client);
  part("handle").toggleAttribute("data-long", visit.client.length > 22);
  part("file").hidden = !visit.crm_url;
  if (visit.crm_url) part("crm").href = visit.crm_url;
  button(part("crm"), say("crm"), name);
  drawClaim(card, visit.claim, mine);
  button(part("main"), say(visit.claim ? "give_back" : "take"), name);
  part("main").hidden = others;
  choice(part("take-over"), "take_over", name);
  part("take-over").hidden = !others;
  choice(part("present"), "was_here", name);
  choice(part("absent"), "was_not_here", name);
  choice(part("dismiss"), "dismiss", name);
  part("more").setAttribute("aria-label", `${say("more")}: ${name}`);
  for (const name of ["main", "take-over", "present", "absent", "dismiss"]) part(name).disabled = pending || desk.cutOff;
  card.dataset.age = state;
  card.toggleAttribute("data-new", state === "fresh");
  card.toggleAttribute("data-mine", mine);
  card.toggleAttribute("data-pending", pending);
  card.dataset.action = visit.claim ? "release" : "claim";
  return card;
}

/** What a card says of the waiting; `former` gave the customer back. */
function waiting(visit, state, former) {
  if (state === "stale") return say("stale");
  if (former && waits(visit)) return say("given_back", { by: former });
  return state === "late" ? say(visit.escalated ? "escalated" : "late") : "";
}

function drawClaim(card, claim, mine) {
  const [line, mark] = [card.querySelector(".by"), card.querySelector(".badge")];
  card.querySelector(".claim").hidden = !claim;
  if (!claim) return;
  const { initials, hue } = badge(claim.by, claim.tablet);
  write(mark, initials);
  mark.dataset.hue = hue;
  const word = mine ? "mine" : isNamesake(claim) ? "namesake" : "theirs";
  write(line, say(word, { by: claim.by, time: clock(Date.parse(claim.since)) }));
}

function makeCard(id, desk) {
  const card = $("card").content.firstElementChild.cloneNode(true);
  const on = (name, action) =>
    (card.querySelector(`.${name}`).onclick = () => {
      openMenu(null);
      action();
    });
  card.dataset.visit = id;
  card.querySelector(".more").onclick = () => openMenu(card.querySelector(".menu").hidden ? card : null);
  on("main", () => desk.act(id, card.dataset.action));
  on("take-over", () => desk.act(id, "take_over"));
  on("dismiss", () => desk.act(id, "dismiss"));
  on("present", () => desk.label(id, "was_here"));
  on("absent", () => desk.label(id, "was_not_here"));
  cards.set(id, card);
  return card;
}

/** Brings who came last of those who wait into view. */
export function showNewest() {
  const card = $("welcome").firstElementChild;
  if (!card) return;
  card.dataset.called = "";
  setTimeout(() => card.removeAttribute("data-called"), CALLED);
  card.scrollIntoView({ block: "center" });
  card.querySelector(".main").focus({ preventScroll: true });
}

/** Opens the menu of `card`, and closes every other. */
function openMenu(card) {
  for (const menu of document.querySelectorAll(".card .menu")) {
    menu.hidden = menu.closest(".card") !== card;
    menu.closest(".card").querySelector(".more").setAttribute("aria-expanded", !menu.hidden);
  }
  card?.querySelector(".menu").scrollIntoView({ block: "nearest" });
}

addEventListener("pointerdown", ({ target }) => {
  if (!(target instanceof Element) || !target.closest(".menu, .more")) openMenu(null);
});
addEventListener("keydown", ({ key }) => {
  const open = document.querySelector(".card .menu:not([hidden])");
  if (key !== "Escape" || !open) return;
  open.closest(".card").querySelector(".more").focus();
  openMenu(null);
});

/** The lists of visits that are over: all can be brought back. */
function drawLines(place, visits, when, { desk, here }) {
  const section = $(place).closest("section");
  section.hidden = visits.length === 0;
  const count = section.querySelector(".count");
  if (count) write(count, visits.length);
  const wanted = visits.map((visit) => {
    const line = lines.get(visit.visit) ?? makeLine(visit.visit, desk);
    const name = called(visit);
    write(line.querySelector(".name"), name);
    line.querySelector(".name").lang = visit.card?.language ?? "";
    write(line.querySelector(".when"), when(visit));
    const recall = line.querySelector(".recall");
    recall.hidden = place === "left" && here.has(visit.client);
    line.dataset.place = place;
    recall.disabled = desk.cutOff || desk.pending.has(visit.visit);
    button(recall, say("recall"), name);
    return line;
  });
  lay($(place), wanted);
}

function makeLine(id, desk) {
  const line = $("line").content.firstElementChild.cloneNode(true);
  line.dataset.visit = id;
  line.querySelector(".recall").onclick = () =>
    line.dataset.place === "left" ? desk.bringBack(id) : desk.act(id, "recall");
  lines.set(id, line);
  return line;
}

/** Puts `wanted` into `list` in this order, moving as little as possible. */
function lay(list, wanted) {
  const moved = wanted.length !== list.children.length || wanted.some((card, at) => list.children[at] !== card);
  if (!moved) return;
  wanted.forEach((card, at) => {
    if (list.children[at] !== card) list.insertBefore(card, list.children[at] ?? null);
  });
  while (list.children.length > wanted.length) list.lastElementChild.remove();
  list.toggleAttribute("data-settling", true);
  setTimeout(() => list.removeAttribute("data-settling"), SETTLING);
}

// Which visit has the focus. A button that is disabled or moved loses it without an event.
let held = null;
const visitOf = (target) => (target instanceof Element ? target.closest("[data-visit]")?.dataset.visit : null) ?? null;
for (const event of ["focusin", "pointerdown"]) addEventListener(event, ({ target }) => (held = visitOf(target)));

/** Draws, and leaves the focus with the card that had it, wherever that is now. */
function keepFocus(drawing) {
  drawing();
  if (!held || document.activeElement !== document.body) return;
  const place = document.querySelector(`[data-visit="${CSS.escape(held)}"]`);
  const usable = (button) => !button.disabled && !button.closest("[hidden], details:not([open])");
  const next = [...(place?.querySelectorAll("button") ?? [])].find(usable);
  if (next) return next.focus();
  if (place && !place.closest("details")) return;
  (usable($("undo")) ? $("undo") : $("welcome-title")).focus();
}

/** What a button says; a screen reader also hears for whom. */
function button(element, text, name) {
  write(element.querySelector(".do"), text);
  write(element.querySelector(".unseen"), `: ${name}`);
}

/** A button of a card's menu, which also says what it does. */
function choice(element, key, name) {
  button(element, say(key), name);
  write(element.querySelector(".why"), say(`${key}_more`));
}

/** Leaves what is unchanged alone, so that a screen reader is not made to say it again. */
function write(element, text) {
  if (element.textContent !== String(text)) element.textContent = text;
}
