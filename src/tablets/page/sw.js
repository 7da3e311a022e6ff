// The service worker: the page's own files for a reload without a connection, so that the page itself
// says what is wrong. Nothing else passes through it: no board, no customer, no cookie is cached.

const CACHE = "grelot-page";
const NETWORK = 3_000;

const isPage = ({ pathname }) => pathname === "/" || pathname.startsWith("/page/");

addEventListener("install", (event) => {
  skipWaiting();
  event.waitUntil(fetch("/").then(store).catch(() => {}));
});
addEventListener("activate", (event) => event.waitUntil(clients.claim()));

addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== location.origin || !isPage(url)) return;
  event.respondWith(fromNetwork(event));
});

/** The network's answer, if its head comes in time; else what is kept. */
async function fromNetwork(event) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), NETWORK);
  try {
    const answer = await fetch(event.request, { signal: stop.signal });
    if (answer.ok) event.waitUntil(keep(event.request, answer.clone()).catch(() => {}));
    return answer;
  } catch (error) {
    const kept = await caches.match(event.request);
    if (kept) return kept;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function keep(request, answer) {
  const cache = await caches.open(CACHE);
  if (new URL(request.url).pathname !== "/") return cache.put(request, answer);
  const kept = await cache.match(request);
  if (!kept || (await kept.text()) !== (await answer.clone().text())) await store(answer);
}

/** Keeps the page `answer` and all that it links to, and nothing of an earlier version. */
async function store(answer) {
  await caches.delete(CACHE);
  const cache = await caches.open(CACHE);
  const links = (await answer.clone().text()).matchAll(/(?:src|href)="(\/[^"]*)"/g);
  await cache.put("/", answer);
  await cache.addAll([...links].map(([, path]) => path));
}

// Who taps the notification wants to see who waits.
addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(
    clients.matchAll({ type: "window" }).then(async ([page]) => {
      if (!page) return clients.openWindow("/#welcome");
      page.postMessage("welcome");
      await page.focus();
    }),
  );
});
