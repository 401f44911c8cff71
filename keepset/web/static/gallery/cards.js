// The tiles of this page and how they look. Nothing here asks the server.
import { base, emit, root } from "./page.js";

export const grid = root.querySelector(".cards");
/** In their order on screen. */
export const cards = [...grid.querySelectorAll(".card")];
export const bySha = new Map(cards.map((c) => [c.dataset.sha, c]));
const WORDS = { delete: "✕ Delete", keep: "✓ Keep" };
/** A thumbnail is 256 px long, so about 170 px short: a square that needs more takes a larger picture. */
const SHARP_PX = 190;

export const words = (m) => WORDS[m.action] ?? `→ ${m.label}`;

/** Show a mark `{action, label}`, or none (null). */
export function paint(card, m) {
  card.dataset.action = m?.action ?? "";
  card.dataset.relabel = m?.label ?? "";
  card.querySelector(".mark").textContent = m ? words(m) : "";
}

export const markOf = (card) =>
  card.dataset.action ? { action: card.dataset.action, label: card.dataset.relabel || null } : null;

export const suggestionOf = (card) =>
  ({ action: card.dataset.suggestion, label: card.dataset.suggestedLabel || null });

/** Tiles in a row, as they are laid out now. */
export const columns = () => getComputedStyle(grid).gridTemplateColumns.split(" ").length;

/** Other tiles (HTML) in place of those from number `from` on. */
export function replaceFrom(from, html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  template.content.querySelectorAll("noscript").forEach((e) => e.remove());
  const added = [...template.content.querySelectorAll(".card")];
  for (const old of cards.splice(from)) {
    bySha.delete(old.dataset.sha);
    old.remove();
  }
  for (const card of added) bySha.set(card.dataset.sha, card);
  cards.push(...added);
  grid.append(...added);
  sharpen();
  emit("tiles", { added });
}

/** Small tiles show thumbnails, large ones a larger picture. */
export function sharpen() {
  const large = cards.length > 0 && cards[0].clientWidth * devicePixelRatio > SHARP_PX;
  for (const card of cards) {
    const img = card.querySelector(".pic img");
    const wanted = large ? `${base}/pictures/${card.dataset.sha}.jpg?size=640` : `${base}/thumbs/${card.dataset.sha}.jpg`;
    if (img.getAttribute("src") !== wanted) img.src = wanted;
  }
}
