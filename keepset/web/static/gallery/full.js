// One picture over the whole window, with the same keys.
import { $, base, open } from "./page.js";
import { bySha } from "./cards.js";
import { current } from "./moving.js";
import { select } from "./selection.js";

export const isOpen = () => $("full").open;

/** Open the full view on the tile in focus. */
export function openFull() {
  if (!current()) return;
  select([]);
  show();
  $("full").showModal();
}

function show() {
  const card = current();
  const img = $("full-picture");
  img.src = `${base}/pictures/${card.dataset.sha}.jpg`;
  img.alt = card.querySelector(".pic img").alt;
  $("full-body").replaceChildren(...[...card.querySelector(".body").childNodes].map((n) => n.cloneNode(true)));
  showMark();
}

function showMark() {
  const { action, relabel, suggestion, suggestedLabel } = current().dataset;
  const to = (label) => (label ? ` to ${label}` : "");
  $("full-mark").dataset.action = action;
  $("full-mark").textContent = action
    ? `Marked: ${action}${to(relabel)}`
    : open ? `Not marked; suggested: ${suggestion || "nothing"}${to(suggestedLabel)}` : "Left as it was";
}

export function wireFull() {
  document.addEventListener("keepset:focus", () => isOpen() && show());
  document.addEventListener("keepset:marks", () => isOpen() && showMark());
  $("full-close").addEventListener("click", () => $("full").close());
}
