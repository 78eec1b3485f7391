// Headgate's beacon: load time and script errors of a page, sent once, when the visitor leaves it.
(() => {
  const to = new URL("beacon", document.currentScript.src);
  let errors = 0;
  const count = () => (errors += 1);
  addEventListener("error", count);
  addEventListener("unhandledrejection", count);
  const send = () => {
    if (document.visibilityState !== "hidden") return;
    removeEventListener("visibilitychange", send, true);
    const [page] = performance.getEntriesByType("navigation");
    const metrics = { page_errors: errors };
    if (page?.loadEventEnd > 0) metrics.page_load_ms = Math.round(page.loadEventEnd);
    if (page?.responseStatus > 0) metrics.page_failed = page.responseStatus < 500 ? 0 : 1;
    navigator.sendBeacon(to, JSON.stringify({ path: location.pathname, metrics }));
  };
  addEventListener("visibilitychange", send, true);
})();
