// The batch page. Without JavaScript the page is one form and does the same, slower.
//
// Modules tell each other by events on document, with detail:
//   keepset:tiles {added}; keepset:focus {sha256}; keepset:selection {shas}; keepset:marks {version, status, counts, suggested, changed}
import { $, open } from "./page.js";
import { cards } from "./cards.js";
import { arrive, beginAnew, current, go, leave, stay } from "./moving.js";
import { band, select, selected, selectRange, wasDrag } from "./selection.js";
import { decide, showChosen, showCounts, submit, takeAll, takeSuggestion, turn } from "./deciding.js";
import { reload } from "./saving.js";
import { wireRelabel } from "./relabel.js";
import { openFull, wireFull } from "./full.js";
import { wireHeat } from "./heat.js";
import { wirePanel } from "./panel.js";
import { alike, wireAlike } from "./alike.js";
import { wireLearning } from "./learning.js";
import { wirePiles } from "./piles.js";
import { wireSize } from "./size.js";
import { onHold } from "./touch.js";
import { relabel, wireKeys } from "./keys.js";


function wireTile(card) {
  card.querySelectorAll(".js").forEach((e) => (e.hidden = false));
  card.querySelector(".pic").tabIndex = -1;
  const toggle = () => select([card.dataset.sha], "toggle");
  if (open) onHold(card, toggle);
  card.addEventListener("click", (e) => {
    if (e.target.closest(".body a")) return;
    e.preventDefault();
    if (wasDrag()) return;
    const from = current();
    go(card);
    if (open && e.shiftKey && from) return selectRange(from, card);
    const more = e.ctrlKey || e.metaKey || e.target.closest(".tick") || (e.pointerType === "touch" && selected().length);
    if (open && more) return toggle();
    openFull();
  });
}

function wireBar() {
  const on = (id, action) => $(id).addEventListener("click", (e) => {
    e.preventDefault();
    action();
  });
  on("undo", () => turn("/undo"));
  on("redo", () => turn("/redo"));
  on("help", () => $("keys").showModal());
  if ($("take")) on("take", takeAll);
  on("none", () => select([]));
  document.addEventListener("click", (e) => {
    const button = e.target.closest("[data-act]");
    if (!button) return;
    if (button.dataset.act === "ask") relabel();
    else if (button.dataset.act === "suggested") takeSuggestion();
    else if (button.dataset.act === "alike") alike();
    else decide(button.dataset.act, button.dataset.to);
  });
  $("gallery").addEventListener("submit", (e) => {
    e.preventDefault();
    submit();
  });
  wireRelabel();
  document.querySelectorAll("dialog").forEach((d) => d.addEventListener("close", () => current()?.focus({ preventScroll: true })));
  for (const name of ["selection", "focus"]) document.addEventListener(`keepset:${name}`, showChosen);
  document.addEventListener("keepset:marks", (e) => showCounts(e.detail));
  addEventListener("pageshow", (e) => {
    if (e.persisted) stay(); // the reviewer came back to this page as it was left
    reload();
  });
}

document.querySelectorAll(".js").forEach((e) => (e.hidden = false));
cards.forEach(wireTile);
wirePanel();
wireFull();
wireHeat();
wireSize();
wirePiles();
wireLearning();
wireKeys();
if (open) {
  band($("area"));
  wireBar();
}
document.querySelectorAll(".filters select").forEach((s) => s.addEventListener("change", () => leave(() => {
  if (s.name === "sort") beginAnew();
  s.form.requestSubmit();
})));
document.querySelectorAll(".pages a").forEach((a) => a.addEventListener("click", (e) => {
  e.preventDefault();
  leave(a.href, "first");
}));
document.addEventListener("keepset:tiles", (e) => e.detail.added.forEach(wireTile));
arrive();
if (open) wireAlike();
