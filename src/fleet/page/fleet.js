// All stores: what the server has read of head office's database, again every ten seconds.

const AGAIN = 10_000;
const LONGEST_PRESS = 2_000;
const PAGE = 100;
const SVG = "http://www.w3.org/2000/svg";
const LONGEST_TROUBLES = 3;

const $ = (id) => document.getElementById(id);
const asked = { condition: "", attention: false, search: "", sort: "condition", down: false, count: PAGE };
let reading = null; // the newest question: the answer to an older one is dropped
let released = Promise.resolve(); // what is under a finger is not replaced

function element(name, text = "", properties = {}) {
  const made = Object.assign(document.createElement(name), properties);
  made.textContent = text;
  return made;
}

async function fetchJson(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(20_000) });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

/** Asks for the stores that are to be shown. */
async function read() {
  const mine = (reading = {});
  const query = new URLSearchParams({ search: asked.search, sort: asked.sort, down: asked.down, attention: asked.attention });
  if (asked.condition) query.set("condition", asked.condition);
  try {
    const stores = [];
    let summary;
    do {
      query.set("offset", stores.length);
      summary = await fetchJson(`/stores.json?${query}`);
      stores.push(...summary.stores);
    } while (stores.length < Math.min(asked.count, summary.matching) && summary.stores.length);
    await released;
    if (mine === reading) show(summary, stores);
  } catch {
    if (mine !== reading) return;
    $("summary").dataset.state = "lost";
    $("summary").textContent = "Head office’s program does not answer";
  } finally {
    if (mine === reading) reading = null;
  }
}

/** Asks again, for other stores than are shown. */
function ask(change) {
  Object.assign(asked, { count: PAGE }, change);
  read();
}

function show(summary, stores) {
  $("summary").dataset.state = summary.attention ? "warn" : "live";
  const need = summary.attention === 1 ? "1 needs attention" : `${summary.attention} need attention`;
  $("summary").textContent = `${summary.all} stores, ${summary.attention ? need : "all is well"}`;
  const choices = [["", "all", summary.all], ["!", "need attention", summary.attention], ...summary.conditions.map(([word, count]) => [word, word, count])];
  const pressed = asked.attention ? "!" : asked.condition;
  const held = document.activeElement?.dataset?.choice;
  $("conditions").replaceChildren(
    ...choices.map(([value, word, count]) => {
      const button = element("button", "", { type: "button", onclick: () => choose(value) });
      button.dataset.choice = value;
      button.setAttribute("aria-pressed", String(value === pressed));
      if (value && value !== "!") button.append(element("span", "", { className: `mark ${value}` }));
      button.append(`${word} ${count}`);
      return button;
    }),
  );
  if (held !== undefined) $("conditions").querySelector(`[data-choice="${held}"]`)?.focus();
  $("matching").textContent = summary.matching;
  $("more").hidden = stores.length >= summary.matching;
  for (const button of document.querySelectorAll("[data-sort]")) {
    const on = button.dataset.sort === asked.sort;
    on ? (button.dataset.order = asked.down ? "down" : "up") : delete button.dataset.order;
    button.closest("th").setAttribute("aria-sort", on ? (asked.down ? "descending" : "ascending") : "none");
  }
  const focused = document.activeElement?.dataset?.store;
  $("stores").replaceChildren(...stores.flatMap((store) => lines(store, summary.now)));
  if (focused) $("stores").querySelector(`[data-store="${focused}"]`)?.focus();
}

function lines(store, now) {
  const line = document.createElement("tr");
  const cell = (content, className = "") => {
    const made = element("td", "", { className });
    made.append(content);
    line.append(made);
    return made;
  };
  const open = element("button", store.store, { type: "button", onclick: () => tell(store.store) });
  open.dataset.store = store.store;
  open.setAttribute("aria-label", `Store ${store.store}`);
  cell(open);
  cell(element("span", "", { className: `mark ${store.condition}` })).append(
    store.condition + (store.condition !== "well" && !store.attention ? " (known)" : ""),
  );
  cell(store.figures.arrivals, "number");
  cell(store.figures.alerts, "number");
  cell(store.claimed_after_s === null ? "–" : seconds(store.claimed_after_s), "number");
  const share = cell(range(store.false_alerts), "share");
  share.append(judged(store.false_alerts));
  cell(store.heard === null ? "–" : percent(store.heard, 1), "number");
  cell(store.documents.map(settings).join(", ") || "–");
  cell(ago(store.seen_at, now));
  if (!store.troubles.length) return [line];
  const more = store.troubles.length - LONGEST_TROUBLES;
  const text = store.troubles.slice(0, LONGEST_TROUBLES).join("; ") + (more > 0 ? `; ${more} more` : "");
  const second = document.createElement("tr");
  second.append(element("td", text, { className: "trouble", colSpan: 9 }));
  return [line, second];
}

const percent = (share, digits = 0) => `${(share * 100).toFixed(digits)} %`;

function seconds(count) {
  const whole = Math.round(count);
  return whole < 120 ? `${whole} s` : `${Math.round(whole / 60)} min`;
}

function judged({ share, low, high, of }) {
  if (share === null) return "not judged";
  return `${percent(share)} (${(low * 100).toFixed()} to ${(high * 100).toFixed()}) of ${of}`;
}

/** A share and its range on a line from 0 to 100 %. */
function range({ share, low, high }) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 110 14");
  svg.setAttribute("aria-hidden", "true");
  const bar = (className, from, to, high) => {
    const made = document.createElementNS(SVG, "rect");
    const values = { class: className, x: 110 * from, width: Math.max(110 * (to - from), 3), y: (14 - high) / 2, height: high, rx: 2 };
    Object.entries(values).forEach(([name, value]) => made.setAttribute(name, value));
    svg.append(made);
  };
  bar("range", low, high, 8);
  if (share !== null) bar("point", Math.min(share, 0.97), Math.min(share, 0.97), 14);
  return svg;
}

function settings({ reach, serial, state }) {
  const word = { in_force: "", waits: " waits", other_stores: " outside ring", fell_back: " taken back", shadow: " in the shadow" }[state] ?? ` ${state}`;
  return `${reach === "fleet" ? "" : `${reach} `}${serial ?? ""}${word}`;
}

function ago(at, now) {
  const passed = Math.max(0, (Date.parse(now) - Date.parse(at)) / 1000);
  if (passed < 90) return "now";
  if (passed < 5_400) return `${Math.round(passed / 60)} min ago`;
  return passed < 129_600 ? `${Math.round(passed / 3_600)} h ago` : `${Math.round(passed / 86_400)} days ago`;
}

function choose(value) {
  const attention = value === "!";
  ask({ attention, condition: attention ? "" : value });
}

async function drawMap() {
  const answer = await fetch("/map.svg").catch(() => null);
  if (!answer?.ok) return;
  const picture = new DOMParser().parseFromString(await answer.text(), "image/svg+xml").documentElement;
  $("map").replaceChildren(picture);
  const stores = (picture.dataset.stores || "").split(",").filter(Boolean).flatMap((range) => {
    const [first, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, at) => first + at);
  });
  const under = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM().inverse());
    const [columns, tile] = [Number(picture.dataset.columns), Number(picture.dataset.tile)];
    const column = Math.floor(point.x / tile);
    return column >= 0 && column < columns ? stores[Math.floor(point.y / tile) * columns + column] : undefined;
  };
  picture.onmousemove = (event) => ($("under").textContent = under(event) ? `Store ${under(event)}` : "");
  picture.onclick = (event) => under(event) && tell(under(event));
}

async function tell(number) {
  const { store, gateways, hours, most, reports } = await fetchJson(`/stores/${number}`);
  $("story-title").textContent = `Store ${store.store}: ${store.condition}`;
  $("story-troubles").textContent = store.troubles.join("; ") || "Nothing is wrong.";
  // The server's own picture, which holds numbers alone.
  $("story-hours").replaceChildren(new DOMParser().parseFromString(hours, "image/svg+xml").documentElement);
  $("story-most").textContent = most ? `At most ${most} in an hour; dark: those that alerted staff; red: nothing received.` : "No hour was reported yet.";
  $("story-gateways").replaceChildren(
    ...gateways.map((gateway) => {
      const known = gateway.acknowledged === null ? "" : ` – known: ${gateway.acknowledged || "yes"}`;
      const behind = gateway.withdrawals_behind ? `, ${gateway.withdrawals_behind} withdrawals not acknowledged` : "";
      const parts = [gateway.version ?? "no version", `settings ${gateway.config ?? "unknown"}`, ...gateway.documents.map(settings)];
      return element("li", `${gateway.gateway}: ${gateway.condition} (${parts.join(", ")}${behind})${known}`);
    }),
  );
  $("story-reports").replaceChildren(...(reports.length ? reports.map(report) : [element("li", "None yet.")]));
  if (!$("story").open) $("story").showModal();
}

function report({ at, kind, ...said }) {
  const when = at.slice(0, 16).replace("T", " ");
  if (kind === "label") return element("li", `${when}  ${said.was_here ? "was here" : "was not here"}`);
  const met = said.claimed_after_s === undefined ? "no one came" : `met after ${seconds(said.claimed_after_s)}`;
  const rang = said.announced ? met : "quiet";
  return element("li", `${when}  visit of ${seconds(said.stayed_s)}, ${percent(said.confidence)} sure, ${rang}`);
}

for (const button of document.querySelectorAll("[data-sort]")) {
  button.onclick = () => {
    const { sort } = button.dataset;
    const down = asked.sort === sort ? !asked.down : !["store", "condition", "heard", "seen"].includes(sort);
    ask({ sort, down });
  };
}
let typing = 0;
$("search").oninput = () => {
  clearTimeout(typing);
  typing = setTimeout(() => ask({ search: $("search").value }), 200);
};
$("more").onclick = () => ask({ count: asked.count + PAGE });
addEventListener("pointerdown", () => {
  released = new Promise((then) => {
    ["pointerup", "pointercancel"].forEach((end) => addEventListener(end, () => setTimeout(then), { once: true }));
    setTimeout(then, LONGEST_PRESS);
  });
});
$("story-close").onclick = () => $("story").close();
$("story").onclick = ({ target }) => target === $("story") && $("story").close();

read();
drawMap();
setInterval(() => {
  if (document.visibilityState !== "visible") return;
  if (!reading) read();
  drawMap();
}, AGAIN);
