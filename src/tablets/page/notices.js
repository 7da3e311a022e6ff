// Notifications of the system, while the page is hidden: how many wait, and never who.

const TAG = "grelot";

const worker = "serviceWorker" in navigator && window.isSecureContext;
if (worker) navigator.serviceWorker.register("/sw.js").catch(() => {});

/** Calls `listener` when a notification was tapped: on this page, or to open it. */
export function onNoticeTap(listener) {
  if (location.hash === "#welcome") {
    history.replaceState(null, "", "/");
    listener();
  }
  if (worker) navigator.serviceWorker.onmessage = ({ data }) => data === "welcome" && listener();
}

/** "never" without HTTPS, "ask", "on", "off" or "denied". */
export function canNotify() {
  if (!worker || !("Notification" in window)) return "never";
  const granted = localStorage.getItem("notices") === "off" ? "off" : "on";
  return { granted, denied: "denied", default: "ask" }[Notification.permission];
}

/** Asks the browser for leave, or switches between on and off. */
export async function switchNotices() {
  const wanted = canNotify() !== "on";
  localStorage.setItem("notices", wanted ? "on" : "off");
  if (canNotify() === "ask") await Notification.requestPermission().catch(() => {});
  if (!wanted) await takeBack();
}

/** Shows it, if the page is hidden and staff want it. */
export async function notice(title, body) {
  if (document.visibilityState === "visible" || canNotify() !== "on") return;
  const registration = await navigator.serviceWorker.ready;
  await registration.showNotification(title, { body, tag: TAG, renotify: true, icon: "/page/bell.svg" });
}

/** Takes it back: no one waits any more. */
export async function clearNotice() {
  if (canNotify() === "on") await takeBack();
}

async function takeBack() {
  const registration = await navigator.serviceWorker.getRegistration();
  for (const shown of (await registration?.getNotifications({ tag: TAG })) ?? []) shown.close();
}
