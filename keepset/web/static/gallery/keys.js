// The keys. They are the same in the grid and in the full view.
import { $, labels, open } from "./page.js";
import { cards } from "./cards.js";
import { current, leaving, nextUndecided, stay, step } from "./moving.js";
import { select, selectRange, selected } from "./selection.js";
import { byNumber, chosen, decide, submit, takeSuggestion, turn } from "./deciding.js";
import { askLabel } from "./relabel.js";
import { alike, back, inLike } from "./alike.js";
import { selectPile } from "./piles.js";
import { isOpen, openFull, toggleWay } from "./full.js";
import { toggleHeat } from "./heat.js";
import { togglePanel } from "./panel.js";

/** An arrow; with Shift the selection grows. In the full view up and down are no places. */
const move = (by) => (e) => {
  const from = current();
  if (isOpen()) return step({ up: -1, down: 1 }[by] ?? by);
  step(by, { stay: e.shiftKey });
  if (e.shiftKey && from) selectRange(from, current());
};
export const relabel = () => askLabel(chosen(), (label) => decide("relabel", label));

const looking = {
  ArrowRight: move(1), ArrowLeft: move(-1), ArrowDown: move("down"), ArrowUp: move("up"),
  l: move(1), h: move(-1), j: move("down"), c: () => toggleWay("pair"), f: () => toggleWay("flicker"), w: toggleHeat,
};
const deciding = {
  x: () => decide("delete"), k: () => decide("keep"), Enter: takeSuggestion, Backspace: () => decide(null),
  r: relabel, m: alike, u: () => turn("/undo"), U: () => turn("/redo"),
};
const inGrid = {
  " ": () => openFull(), n: nextUndecided, i: () => togglePanel(),
};
const selecting = {
  a: () => select(cards.map((c) => c.dataset.sha)), s: () => current() && select([current().dataset.sha], "toggle"),
  g: selectPile,
  Escape: () => (selected().length ? select([]) : inLike() && back()),
};

function pressed(e) {
  if (leaving()) return act(e, () => e.key === "Escape" && stay());
  const full = isOpen(), keys = $("keys");
  if (keys?.open) return; // it lies above the full view too
  if ((document.querySelector("dialog[open]") && !full) || e.target.matches("select, textarea, input:not([type=range])")) return;
  if (e.target.matches("input[type=range]") && e.key.startsWith("Arrow")) return;
  if (open && e.ctrlKey && e.key === "Enter") return act(e, submit);
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  if ((e.key === "Enter" || e.key === " ") && e.target.matches("a, button, summary")) return;
  if (keys && e.key === "?") return act(e, () => keys.showModal());
  if (full && e.key === " ") return act(e, () => $("full").close());
  if (open && /^[1-9]$/.test(e.key) && byNumber(e.key)) return act(e, () => decide("relabel", byNumber(e.key)));
  const action = looking[e.key] ?? (open && deciding[e.key]) ?? null;
  if (action) return act(e, action);
  const here = !full && (inGrid[e.key] ?? (open && selecting[e.key]));
  if (here) act(e, here);
}

function act(e, action) {
  e.preventDefault();
  action(e);
}

export const wireKeys = () => document.addEventListener("keydown", pressed);
