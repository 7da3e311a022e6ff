// Notifications of the system, while the page is hidden: how many wait, and never who.

const TAG = "grelot";

const worker = "serviceWorker" in navigator && window.isSecureContext;
if (worker) navigator.serviceWorker.register("/sw.js").catch(() => {});

/** "never" without HTTPS, "ask", "on" or "denied". */
export function canNotify() {
  if (!worker || !("Notification" in window)) return "never";
  return { granted: "on", denied: "denied", default: "ask" }[Notification.permission];
}

export const wantNotices = () => Notification.requestPermission().catch(() => {});

/** Shows it, if the page is hidden and staff want it. */
export async function notice(title, body) {
  if (document.visibilityState === "visible" || canNotify() !== "on") return;
  const registration = await navigator.serviceWorker.ready;
  await registration.showNotification(title, { body, tag: TAG, renotify: true, icon: "/page/bell.svg" });
}

/** Takes it back: no one waits any more. */
export async function clearNotice() {
  if (canNotify() !== "on") return;
  const registration = await navigator.serviceWorker.getRegistration();
  for (const shown of (await registration?.getNotifications({ tag: TAG })) ?? []) shown.close();
}
