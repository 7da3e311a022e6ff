// What staff do: sent to the gateway that opened the visit, decided by it, and undone within ten seconds.

import { called } from "./cards.js";
import { ask, send } from "./link.js";
import { isMine, me, tablet } from "./people.js";
import { knows, say } from "./words.js";

const ANSWER = 6_000; // for a gateway's answer to a tap
const UNDO = 10_000;
const READ = 5_000;

const $ = (id) => document.getElementById(id);
const INVERSE = { claim: "release", release: "claim", take_over: "hand_over", dismiss: "recall", recall: "dismiss" };

export const problem = (word) => say(word === "broker_away" ? "broker_away_now" : knows(word) ? word : "failed");

/** `changed()` draws the page again; `askName(then)` asks who is at the tablet. */
export function makeDesk({ changed, askName }) {
  const desk = { pending: new Map(), givenBack: new Map(), cutOff: true, act, label, checkIn, bringBack, settle, undo, clear };
  let board = { visits: [], hidden: [], left: [] };
  let message = null; // what the toast says: of which visit, and how it is undone
  let timer = 0;

  const find = (id, visits = board.visits) => visits.find((visit) => visit.visit === id);

  async function act(visit, action, more = {}) {
    if (!me()) return askName(() => act(visit, action, more));
    if (desk.pending.has(visit)) return;
    const of = find(visit) ?? find(visit, board.hidden);
    const overdue = setTimeout(() => {
      forget(visit);
      toast(say("no_answer"));
      changed();
    }, ANSWER);
    desk.pending.set(visit, { action, overdue, before: of?.claim, name: of ? called(of) : "", ...more });
    changed();
    const outcome = await send(`/visits/${visit}/claim`, { by: me(), tablet, action, to: more.to });
    if (outcome === "ok" || !desk.pending.has(visit)) return;
    forget(visit);
    toast(problem(outcome));
    changed();
  }

  /** Says whether the customer was really here; one who was not is hidden on all tablets. */
  async function label(visit, verdict) {
    if (!me()) return askName(() => label(visit, verdict));
    const outcome = await send(`/visits/${visit}/feedback`, { verdict });
    if (outcome !== "ok") return toast(problem(outcome));
    const unlabel = () => send(`/visits/${visit}/feedback`, { verdict: "none" });
    if (verdict === "was_not_here") return act(visit, "dismiss", { thanks: true, unlabel });
    toast(say("thanks"), { visit, undo: async () => ((await unlabel()) === "ok" ? toast(say("undone")) : toast(say("failed"))) });
  }

  /** Shows a customer as present whose phone is not received; the word for what went wrong, or "ok". */
  async function checkIn(client, text = say("checked_in"), visit = null) {
    const { error, outcome } = await ask("/check-in", { client, by: me() });
    if (error) return error;
    if (outcome === "already_here") return outcome;
    const opened = () => board.visits.find((other) => other.client === client);
    toast(text, { visit, undo: () => opened() && act(opened().visit, "dismiss", { undoing: true }) });
    return "ok";
  }

  /** Takes back that a customer has left. */
  async function bringBack(id) {
    if (!me()) return askName(() => bringBack(id));
    const visit = find(id, board.left);
    if (!visit) return;
    const outcome = await checkIn(visit.client, say("did_recall", { name: called(visit) }), id);
    if (outcome !== "ok") toast(problem(outcome));
  }

  function forget(visit) {
    clearTimeout(desk.pending.get(visit)?.overdue);
    desk.pending.delete(visit);
  }

  /** Takes the gateway's new board: ends pending taps that it decides, and says what others did. */
  function settle(next) {
    const former = board;
    const answered = new Set(); // visits about which the page has just said something
    board = next;
    for (const [id, tap] of desk.pending) {
      const visit = find(id);
      const decided = {
        claim: visit?.claim,
        release: !isMine(visit?.claim),
        take_over: isMine(visit?.claim),
        hand_over: !isMine(visit?.claim),
        dismiss: !visit,
        recall: visit,
      }[tap.action];
      if (decided) {
        answered.add(id);
        decide(id, tap, visit);
      } else if (!visit && tap.action !== "recall") forget(id);
    }
    for (const visit of former.visits) {
      const now = find(visit.visit);
      const claim = now?.claim;
      if (visit.claim && now && !claim) desk.givenBack.set(visit.visit, visit.claim.by);
      if (!now || claim) desk.givenBack.delete(visit.visit);
      if (isMine(visit.claim) && claim && !isMine(claim) && !answered.has(visit.visit)) {
        toast(say("taken_over", { by: claim.by, name: called(visit) }), { visit: visit.visit });
      }
    }
    const known = (id) => find(id) ?? find(id, board.hidden) ?? find(id, board.left);
    if (message?.visit && !known(message.visit)) hide();
  }

  function decide(id, tap, visit) {
    forget(id);
    const { action, before, name } = tap;
    if (["claim", "release"].includes(action) && visit?.claim && !isMine(visit.claim)) {
      const word = action === "claim" ? "faster" : "taken_over";
      return toast(say(word, { by: visit.claim.by, name }), { visit: id });
    }
    if (tap.undoing) {
      tap.unlabel?.();
      return toast(say("undone"), { visit: id });
    }
    const text = tap.thanks ? say("thanks") : say(`did_${action}`, { name, by: before?.by ?? visit?.claim?.by });
    const more = { undoing: true, unlabel: tap.unlabel };
    if (action === "take_over" && before) more.to = { by: before.by, tablet: before.tablet };
    toast(text, { visit: id, undo: () => act(id, INVERSE[action], more) });
  }

  /** Shows `text`; with the way back for ten seconds. */
  function toast(text, { visit = null, undo: back = null } = {}) {
    message = { visit, back };
    $("toast-text").textContent = text;
    $("undo").hidden = !back;
    $("toast").hidden = false;
    clearTimeout(timer);
    timer = setTimeout(hide, back ? UNDO : READ);
    if (visit) requestAnimationFrame(() => uncover(visit));
  }

  /** Scrolls, if the toast covers the card that it is about. */
  function uncover(visit) {
    const card = document.querySelector(`.card[data-visit="${CSS.escape(visit)}"]`)?.getBoundingClientRect();
    const cover = $("toast").getBoundingClientRect();
    if (card && card.top < cover.top && card.bottom > cover.top) scrollBy(0, card.bottom - cover.top + 8);
  }

  function hide() {
    const focused = document.activeElement === $("undo");
    message = null;
    $("toast").hidden = true;
    $("toast-text").textContent = "";
    if (focused) $("welcome-title").focus();
  }

  /** Forgets all customers: the tablet may not see them any more. */
  function clear() {
    for (const id of [...desk.pending.keys()]) forget(id);
    board = { visits: [], hidden: [], left: [] };
    desk.givenBack.clear();
    hide();
  }

  function undo() {
    const back = message?.back;
    if (!back) return;
    hide();
    back();
  }

  return Object.assign(desk, { toast });
}
