// The batch page. Without JavaScript the page is one form and does the same, slower.
//
// For modules that add to the page (sorting, "alike"):
//   gallery.cards()                  the tiles of this page, in their order on screen (dataset: sha, rank, label, ...)
//   gallery.current()                the tile in focus, or null
//   gallery.select(shas, how)        how: "only" (default), "add", "remove", "toggle"; shas of other pages too
//   gallery.selected()               the sha256 of what is selected
//   gallery.mark(shas, action, label) keep, delete, relabel or null; one step that can be undone as one
//   gallery.reorder(shas)            the tiles in this order
//   gallery.say(words)               a sentence above the bar
// Controls belong into #tools-sort and #tools-alike of the toolbar. Events on document, with detail:
//   keepset:focus {sha256}; keepset:selection {shas}; keepset:marks {version, status, counts, suggested, changed}
import { $, open, say } from "./page.js";
import * as tiles from "./cards.js";
import { arrive, beginAnew, current, go, leave } from "./moving.js";
import { band, select, selected, selectRange, wasDrag } from "./selection.js";
import { decide, mark, showChosen, showCounts, submit, takeAll, turn } from "./deciding.js";
import { reload } from "./saving.js";
import { wireRelabel } from "./relabel.js";
import { openFull, wireFull } from "./full.js";
import { wirePanel } from "./panel.js";
import { alike, wireAlike } from "./alike.js";
import { wireLearning } from "./learning.js";
import { wirePiles } from "./piles.js";
import { wireSize } from "./size.js";
import { relabel, wireKeys } from "./keys.js";

export const gallery = { cards: () => tiles.cards, current, select, selected, mark, reorder: tiles.reorder, say };

const HOLD_MS = 450;

function wireTile(card) {
  card.querySelectorAll(".js").forEach((e) => (e.hidden = false));
  card.querySelector(".pic").tabIndex = -1;
  let held, touch;
  card.addEventListener("pointerdown", (e) => {
    touch = e.pointerType === "touch";
    if (touch) held = setTimeout(() => { select([card.dataset.sha], "toggle"); held = "done"; }, HOLD_MS);
  });
  for (const end of ["pointerup", "pointercancel", "pointermove"]) card.addEventListener(end, () => held !== "done" && clearTimeout(held));
  card.addEventListener("contextmenu", (e) => touch && e.preventDefault());
  card.addEventListener("click", (e) => {
    if (e.target.closest(".body a")) return;
    e.preventDefault();
    const wasHeld = held === "done";
    held = null;
    if (wasHeld || wasDrag()) return;
    const from = current();
    go(card);
    if (e.shiftKey && from) return selectRange(from, card);
    if (e.ctrlKey || e.metaKey || e.target.closest(".tick") || (touch && selected().length)) return select([card.dataset.sha], "toggle");
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
  addEventListener("pageshow", reload);
}

document.querySelectorAll(".js").forEach((e) => (e.hidden = false));
tiles.cards.forEach(wireTile);
band($("area"));
wirePanel();
wireFull();
wireSize();
wirePiles();
wireLearning();
wireKeys();
if (open) wireBar();
document.querySelectorAll(".filters select").forEach((s) => s.addEventListener("change", () => {
  if (s.name === "sort") beginAnew();
  s.form.requestSubmit();
}));
document.querySelectorAll(".pages a").forEach((a) => a.addEventListener("click", (e) => {
  e.preventDefault();
  leave(a.href, "first");
}));
document.addEventListener("keepset:tiles", (e) => e.detail.added.forEach(wireTile));
arrive();
if (open) wireAlike();
