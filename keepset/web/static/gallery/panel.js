// The panel beside the grid: what is known of the tile in focus.
import { $, base } from "./page.js";
import { current } from "./moving.js";

const key = "keepset:panel";

function fill() {
  const card = current();
  if (!card || document.body.classList.contains("no-panel")) return;
  sharpen(card.dataset.sha);
  $("panel-body").replaceChildren(...[...card.querySelector(".body").childNodes].map((n) => n.cloneNode(true)));
}

/** The thumbnail at once, the larger picture when it is there. */
function sharpen(sha) {
  const shown = $("panel-picture");
  shown.src = `${base}/thumbs/${sha}.jpg`;
  const large = new Image();
  large.onload = () => current()?.dataset.sha === sha && (shown.src = large.src);
  large.src = `${base}/pictures/${sha}.jpg?size=640`;
}

/** Open or close the panel; the browser remembers it. */
export function togglePanel(shown = document.body.classList.contains("no-panel")) {
  document.body.classList.toggle("no-panel", !shown);
  $("details").setAttribute("aria-pressed", String(shown));
  localStorage.setItem(key, shown ? "shown" : "hidden");
  fill();
}

export function wirePanel() {
  if (localStorage.getItem(key) === "hidden") togglePanel(false);
  document.addEventListener("keepset:focus", fill);
  $("details").addEventListener("click", () => togglePanel());
}
