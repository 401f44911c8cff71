// Groups in the grid: stacks of look-alikes, which open and close, classes and sources.
import { bySha, grid } from "./cards.js";
import { current } from "./moving.js";
import { select } from "./selection.js";
import { mark } from "./deciding.js";

/** Pictures that a closed stack shows. */
const SHOWN = 5;

const piles = () => [...grid.querySelectorAll(".pile")];
const members = (pile) => pile.dataset.shas.split(" ");
const undecided = (pile) => members(pile).filter((s) => !bySha.get(s)?.dataset.action);
const pileOf = (card) => piles().find((p) => members(p).includes(card?.dataset.sha));

function fold(pile, closed) {
  const button = pile.querySelector("[data-pile=fold]");
  const shas = members(pile).slice(SHOWN);
  button.hidden = !shas.length;
  button.setAttribute("aria-expanded", String(!closed));
  button.textContent = closed ? `Show ${shas.length} more` : "Close";
  for (const sha of shas) bySha.get(sha)?.classList.toggle("folded", closed);
}

/** Select the undecided pictures of the group that the tile in focus is in. */
export function selectPile() {
  const pile = pileOf(current());
  if (pile) select(undecided(pile));
}

const acts = {
  fold: (pile, button) => fold(pile, button.getAttribute("aria-expanded") === "true"),
  select: (pile) => select(undecided(pile)),
  delete: (pile) => mark(undecided(pile), "delete"),
  keep: (pile) => mark(undecided(pile), "keep"),
};

export function wirePiles() {
  for (const pile of piles()) {
    if (pile.matches(".stack")) fold(pile, true);
    pile.addEventListener("click", (e) => {
      const button = e.target.closest("[data-pile]");
      if (button) acts[button.dataset.pile](pile, button);
    });
  }
  document.addEventListener("keepset:focus", () => {
    if (current()?.matches(".folded")) fold(pileOf(current()), false);
  });
}
