// Draws the board: one card a stay, kept from one drawing to the next.

import { ago, clock, languageName, say } from "./i18n.js";

const NEW_FOR = 180_000; // after three minutes an arrival is no news any more
const SETTLING = 400; // about the time a finger is already on its way

const $ = (id) => document.getElementById(id);
const cards = new Map();

/** What to call a customer: the card's name where consent allows, the handle otherwise. */
export const called = (person) => person.card?.name ?? say("customer", { client: person.client });

/** Whether staff should still be drawn to a visit. */
export const isNews = (visit, now) =>
  !visit.claim && !visit.discreet && now - Date.parse(visit.announced_at ?? visit.arrived_at) < NEW_FOR;

/** Draws `board` as of `now`; `desk` says who is at the tablet, what is pending, what to do. */
export function draw(board, now, desk) {
  const byArrival = [...board.visits].sort((a, b) => b.arrived_at.localeCompare(a.arrived_at));
  const isMine = (visit) => visit.claim?.by === desk.me;
  const shown = new Map([
    ["welcome", byArrival.filter((visit) => !visit.claim && !visit.discreet)],
    ["care", byArrival.filter((visit) => visit.claim).sort((a, b) => isMine(b) - isMine(a))],
    ["discreet", byArrival.filter((visit) => !visit.claim && visit.discreet)],
  ]);
  for (const [place, visits] of shown) {
    lay($(place), visits.map((visit) => drawCard(visit, now, desk)));
    $(place).closest("section").hidden = place !== "welcome" && visits.length === 0;
    $(place).closest("section").querySelector(".count").textContent = visits.length || "";
  }
  $("calm").hidden = shown.get("welcome").length > 0;
  drawFarewells(board.left, now);
  const here = new Set(board.visits.map((visit) => visit.visit));
  for (const id of cards.keys()) if (!here.has(id)) cards.delete(id);
}

function drawCard(visit, now, desk) {
  const card = cards.get(visit.visit) ?? makeCard(visit.visit, desk);
  const mine = visit.claim?.by === desk.me && visit.claim;
  const pending = desk.pending.has(visit.visit);
  const part = (name) => card.querySelector(`.${name}`);
  write(part("tier"), visit.tier);
  write(part("when"), say("at", { when: ago(Date.parse(visit.arrived_at), now), gateway: visit.gateway }));
  write(part("name"), called(visit));
  write(part("about"), about(visit));
  write(part("note"), visit.card?.note ?? "");
  write(part("claim"), claimed(visit, mine));
  write(part("main"), say(visit.claim ? "give_back" : "take"));
  part("main").hidden = Boolean(visit.claim) && !mine;
  part("main").disabled = pending || desk.cutOff;
  part("absent").disabled = part("dismiss").disabled = pending || desk.cutOff;
  part("more").ariaLabel = say("more");
  write(part("absent"), say("was_not_here"));
  write(part("dismiss"), say("dismiss"));
  card.toggleAttribute("data-new", isNews(visit, now));
  card.toggleAttribute("data-mine", Boolean(mine));
  card.toggleAttribute("data-pending", pending);
  card.dataset.action = visit.claim ? "release" : "claim";
  return card;
}

function about(visit) {
  const language = visit.card?.language && languageName(visit.card.language);
  return [visit.card && visit.client, language && say("speaks", { language })].filter(Boolean).join(" · ");
}

function claimed({ claim }, mine) {
  if (!claim) return "";
  const time = clock(Date.parse(claim.since));
  return mine ? say("mine", { time }) : say("theirs", { by: claim.by, time });
}

function makeCard(id, desk) {
  const card = $("card").content.firstElementChild.cloneNode(true);
  const [menu, more] = [card.querySelector(".menu"), card.querySelector(".more")];
  const toggle = (open) => {
    menu.hidden = !open;
    more.ariaExpanded = String(open);
  };
  card.dataset.visit = id;
  more.onclick = () => toggle(menu.hidden);
  card.querySelector(".main").onclick = () => desk.act(id, card.dataset.action);
  card.querySelector(".dismiss").onclick = () => desk.act(id, "dismiss");
  card.querySelector(".absent").onclick = () => {
    toggle(false);
    desk.wasNotHere(id);
  };
  cards.set(id, card);
  return card;
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

function drawFarewells(left, now) {
  $("left").closest("section").hidden = left.length === 0;
  $("left").replaceChildren(
    ...left.slice(0, 8).map((visit) => {
      const [line, name, when] = ["li", "span", "span"].map((kind) => document.createElement(kind));
      [name.className, when.className] = ["name", "when"];
      name.textContent = called(visit);
      when.textContent = ago(Date.parse(visit.departed_at), now);
      line.append(name, when);
      return line;
    }),
  );
}

/** Leaves what is unchanged alone, so that a screen reader is not made to say it again. */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
