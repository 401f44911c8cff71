// All like this: a page of the pictures nearest to the chosen ones, and how many of them are selected.
import { $, say, url } from "./page.js";
import { cards } from "./cards.js";
import { leave } from "./moving.js";
import { select } from "./selection.js";
import { chosen } from "./deciding.js";

/** As many examples as the server takes from an address. */
const MOST = 50;

/** The page of the pictures like the selection, else like the tile in focus. */
export function alike() {
  const shas = chosen();
  if (shas.length) leave(`${url}?like=${shas.slice(0, MOST).join(",")}&show=undecided`);
}

/** Select the undecided pictures that are at least as alike as the slider says. */
function choose(slider) {
  const least = 1 - Number(slider.value);
  const shas = cards.filter((c) => !c.dataset.action && Number(c.dataset.like) >= least).map((c) => c.dataset.sha);
  select(shas);
  if (shas.length && shas.length === cards.length) say("All on this page are selected; the next page has more.");
}

export const inLike = () => Boolean($("likeness"));
export const back = () => leave($("back").href);

export function wireAlike() {
  const slider = $("likeness");
  if (!slider) return;
  slider.value = String(1 - Number(slider.getAttribute("value")));
  slider.addEventListener("input", () => choose(slider));
  choose(slider);
  slider.focus({ preventScroll: true });
}
