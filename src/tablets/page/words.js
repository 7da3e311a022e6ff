// The page's texts: one table per language, from the server, so that a language needs no rebuild.

const RETRY = 1_000;
const TIMEOUT = 4_000;

let tables = {};
let language = "en";

/** Fetches the tables, until they come: without them the page has nothing to say. */
export async function loadWords() {
  for (;;) {
    try {
      tables = await (await fetch(new URL("words.json", import.meta.url), { signal: AbortSignal.timeout(TIMEOUT) })).json();
      break;
    } catch {
      await new Promise((over) => setTimeout(over, RETRY));
    }
  }
  const wanted = [localStorage.getItem("language"), ...navigator.languages.flatMap((tag) => [tag, tag.split("-")[0]])];
  language = wanted.find((tag) => Object.hasOwn(tables, tag)) ?? "en";
}

export const spoken = () => language;

/** The language that the next switch chooses: its tag and its own name. */
export function nextLanguage() {
  const tags = Object.keys(tables);
  const tag = tags[(tags.indexOf(language) + 1) % tags.length];
  return { tag, name: tables[tag].name };
}

export function switchLanguage() {
  language = nextLanguage().tag;
  localStorage.setItem("language", language);
}

export const knows = (key) => Object.hasOwn(tables[language].words, key);

/** The text for `key`, with the values in braces filled in; `n` chooses the plural form. */
export function say(key, fill = {}) {
  let text = tables[language].words[key];
  if (typeof text === "object") text = text[new Intl.PluralRules(language).select(fill.n)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (_, name) => fill[name] ?? "");
}

/** Sets the text of every element with a key. */
export function translate(root) {
  document.documentElement.lang = language;
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = say(element.dataset.t);
}

/** 14:05, in every language: short, and never two o'clock at night. With the day if it was another. */
export function clock(time, now = time) {
  const style = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  if (Math.abs(now - time) > 18 * 3_600_000) Object.assign(style, { day: "numeric", month: "short" });
  return new Intl.DateTimeFormat(language, style).format(time);
}

/** "just now", "4 min ago", "since 14:05". */
export function ago(time, now) {
  const minutes = Math.floor((now - time) / 60_000);
  if (minutes < 1) return say("now");
  if (minutes < 60) return say("minutes", { n: minutes });
  return say("since", { time: clock(time, now) });
}

/** "Door and Till", each in quotation marks. */
export const list = (names) => new Intl.ListFormat(language).format(names.map(quoted));

const quoted = (name) => (language === "fr" ? `« ${name} »` : language === "de" ? `„${name}“` : `“${name}”`);

/** The name of a language, where the browser knows it: "fr" is "French". */
export function languageName(tag) {
  try {
    return new Intl.DisplayNames([language], { type: "language", fallback: "none" }).of(tag);
  } catch {
    return undefined;
  }
}
