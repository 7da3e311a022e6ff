// Who is at this tablet. A name alone does not tell two people apart, so each tablet has an id.

const MOST_NAMES = 6;
const HUES = 8;
const LETTERS = "abcdefghjkmnpqrstuvwxyz23456789";

const names = JSON.parse(localStorage.getItem("names") ?? "[]");

/** The id that this tablet made up for itself. */
export const tablet = localStorage.getItem("tablet") ?? newId();

function newId() {
  const octets = crypto.getRandomValues(new Uint8Array(8));
  const id = Array.from(octets, (octet) => LETTERS[octet % LETTERS.length]).join("");
  localStorage.setItem("tablet", id);
  return id;
}

let since = Number(localStorage.getItem("since")) || null;
let touched = performance.now();
addEventListener("pointerdown", () => (touched = performance.now()));
addEventListener("keydown", () => (touched = performance.now()));

/** The name of who uses the tablet; empty after it was handed over. */
export const me = () => (localStorage.getItem("free") ? "" : (names[0] ?? ""));

/** Names that were used here before. */
export const usedNames = () => [...names];

export function signIn(name, now) {
  names.splice(0, names.length, ...[name, ...names.filter((other) => other !== name)].slice(0, MOST_NAMES));
  localStorage.setItem("names", JSON.stringify(names));
  localStorage.removeItem("free");
  started(now);
}

export const signOut = () => localStorage.setItem("free", "yes");

/** Whether the shift of who uses the tablet is over: the name ends with it. */
export function isOver({ shift_ended_at: ended, idle_mins: idle }, now) {
  if (!me()) return false;
  if (!since) started(now);
  const day = 86_400_000;
  // The next shift ends a day after the last one.
  const end = ended ? Date.parse(ended) + (now - Date.parse(ended) >= day ? day : 0) : 0;
  return since < end || (idle > 0 && performance.now() - touched > idle * 60_000);
}

function started(now) {
  since = now;
  localStorage.setItem("since", now);
}

const here = (by, id) => by === me() && (!id || id === tablet);

/** Whether a claim is of who uses this tablet. */
export const isMine = (claim) => Boolean(claim) && here(claim.by, claim.tablet);

/** Whether a claim is of somebody else of the same name. */
export const isNamesake = (claim) => claim.by === me() && !isMine(claim);

/** Initials and a colour: `by` at the tablet `id`. */
export function badge(by, id = "") {
  const words = by.split(/[\s-]+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)].map((word) => [...word][0]) : [...by].slice(0, 2);
  let hash = 0;
  for (const letter of by + id) hash = (hash * 31 + letter.codePointAt(0)) >>> 0;
  return { initials: letters.join("").toLocaleUpperCase(), hue: hash % HUES };
}
