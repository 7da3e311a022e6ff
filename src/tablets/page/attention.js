// When to ring: once for an arrival, gently again until somebody takes it, and once more when it was
// escalated. A reload rings for nothing that rang before it.

const RING_FOR = 60_000; // older arrivals do not ring: the customer is already inside
const REMIND_FOR = 600_000; // who has waited longer has seen that no one comes

// The latest alert that this tablet knew before it was loaded: a time, and no customer.
const known = Number(localStorage.getItem("rung") ?? 0);
let latest = known;
const seen = new Set();
const escalated = new Set();
let last = null; // when the bell rang last

/** Whether staff should still come. */
export const waits = (visit) => !visit.claim && !visit.discreet;

const alerted = (visit) => Date.parse(visit.announced_at);

/**
 * What to ring for: `peal` is `null` if for nothing; `news` are arrivals, `late` are visits that
 * were escalated.
 */
export function attention({ visits, settings }, now) {
  const first = last === null;
  last ??= now;
  const alerts = visits.filter((visit) => visit.announced_at);
  const ids = (visit) => [visit.visit, ...visit.merged];
  const fresh = (visit) =>
    waits(visit) &&
    now - alerted(visit) < RING_FOR &&
    alerted(visit) > known &&
    !ids(visit).some((id) => seen.has(id));
  const news = alerts.filter(fresh);
  alerts.flatMap(ids).forEach((id) => seen.add(id));

  const risen = alerts.filter((visit) => visit.escalated && waits(visit) && !escalated.has(visit.visit));
  risen.forEach((visit) => escalated.add(visit.visit));
  const late = first ? [] : risen;

  const repeat = settings.repeat_secs * 1_000;
  const remind = (visit) => waits(visit) && now - alerted(visit) < REMIND_FOR;
  const due = repeat > 0 && now - last >= repeat && alerts.some(remind);
  const peal = late.length ? "urgent" : news.length ? "arrival" : due ? "reminder" : null;
  if (peal) last = now;
  const newest = Math.max(latest, ...alerts.map(alerted));
  if (newest > latest) localStorage.setItem("rung", (latest = newest));
  return { peal, news, late };
}
