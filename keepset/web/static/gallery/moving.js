// Which tile has the focus, and the way from page to page.
import { $, emit, filters, open, root, url } from "./page.js";
import { bySha, cards, columns } from "./cards.js";
import { settled } from "./saving.js";

const here = `keepset:${root.dataset.batch}`;
let now = null;

/** The tile in focus, or null. */
export const current = () => now;
const at = () => (now ? cards.indexOf(now) : -1);

/** Give a tile the focus; the page scrolls only as far as it must. */
export function go(card, { block = "nearest" } = {}) {
  if (!card) return;
  if (now) now.tabIndex = -1;
  now = card;
  card.tabIndex = 0;
  if (!document.querySelector("dialog[open]")) card.focus({ preventScroll: true });
  if (block) card.scrollIntoView({ block });
  $("at").value = card.dataset.rank;
  sessionStorage.setItem(here, card.dataset.sha);
  emit("focus", { sha256: card.dataset.sha });
}

/** The tile `by` places on, `"up"` or `"down"`; over the ends of the page to the next one, unless `stay`. */
export function step(by, { stay = false } = {}) {
  if (!cards.length) return;
  const i = at();
  if (by === "down") return go(cards[i < 0 ? 0 : Math.min(i + columns(), cards.length - 1)]);
  if (by === "up") return go(cards[Math.max(0, i - columns())]);
  const next = i + by;
  if (!stay && i >= 0 && (next < 0 || next >= cards.length)) {
    const link = document.querySelector(`.pages a[rel=${next < 0 ? "prev" : "next"}]`);
    if (link) return leave(link.href, next < 0 ? "last" : "first");
  }
  go(cards[Math.max(0, Math.min(cards.length - 1, next))]);
}

/** After a decision: the next tile without one, else the next; false if all of the page are decided. */
export function onwards(from) {
  const i = cards.indexOf(from);
  const next = cards.slice(i + 1).find((c) => !c.dataset.action) ?? cards.find((c) => !c.dataset.action);
  go(next ?? cards[i]);
  return Boolean(next);
}

/** The next undecided picture, on whatever page. */
export function nextUndecided() {
  const next = cards.slice(at() + 1).find((c) => !c.dataset.action);
  if (next) return go(next);
  const after = cards.at(-1)?.dataset.rank ?? 0;
  leave(`${url}?${filters}${filters ? "&" : ""}next=${after}`);
}

/** Whether another page is on its way. A key that comes before it is meant for that page, not for a picture of this one. */
export const leaving = () => document.body.inert;

/** Leave after everything is saved, or stay if something is not; `to` is an address, or what submits a form. `place` is
 * where the next page begins: "first" or "last". */
export async function leave(to, place) {
  if (leaving()) return;
  document.querySelector("dialog[open]")?.close(); // a modal dialog is not inert with the page
  document.body.inert = true;
  if (!(await settled())) return stay();
  if (place) sessionStorage.setItem(here, place);
  if (typeof to === "string") location.href = to;
  else to();
}

/** Take keys and clicks again: the next page was called off, or the reviewer is back from it. */
export function stay() {
  document.body.inert = false;
  current()?.focus({ preventScroll: true });
}

/** Let the next page begin at its first undecided picture, not where this one was left. */
export function beginAnew() {
  sessionStorage.removeItem(here);
  $("at").disabled = true;
}

/** Where the page begins: what the address asks for, where this tab was, else the first undecided; a closed batch at its top. */
export function arrive() {
  const left = open ? sessionStorage.getItem(here) : "first";
  const card =
    bySha.get(root.dataset.focus) ?? bySha.get(left) ?? { first: cards[0], last: cards.at(-1) }[left] ??
    cards.find((c) => !c.dataset.action) ?? cards[0];
  const top = open || root.dataset.focus ? "nearest" : ""; // above a closed batch is what became of it
  go(card, { block: card === cards[0] ? top : "center" });
}
