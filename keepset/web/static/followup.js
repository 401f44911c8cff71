// Keeps the section "After the approval" up to date. Without JavaScript the page reloads itself instead.
"use strict";
(() => {
  const PAUSE_MS = 1500;
  const box = () => document.getElementById("followup");
  const look = async () => {
    let found;
    try {
      found = await (await fetch(document.documentElement.dataset.base + "/followup", { headers: { accept: "application/json" } })).json();
    } catch {
      setTimeout(look, 2 * PAUSE_MS); // the server is away: it may come back
      return;
    }
    const before = box().dataset.state;
    if (found.state !== before && !document.getElementById("gallery")) {
      location.reload(); // models, batches and counts have changed too
      return;
    }
    const fresh = document.createElement("template");
    fresh.innerHTML = found.html;
    box().replaceWith(fresh.content.getElementById("followup") ?? box());
    if (found.moves) setTimeout(look, PAUSE_MS);
  };
  if (box()?.dataset.moves) setTimeout(look, PAUSE_MS);
})();
