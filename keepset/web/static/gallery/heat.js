// What the model looks at: the picture in the full view under a heat map, for the predicted class, then for the given one.
import { $ } from "./page.js";
import { current } from "./moving.js";
import { isOpen, known, large, openFull } from "./full.js";

const links = () => [...$("full-body").querySelectorAll("a.heat")];
let showing; // the address of the picture under its heat map

/** The next of: predicted class, given class if it is another, the picture as it is. */
export async function toggleHeat() {
  if (!isOpen()) openFull();
  if (!(await known())) return;
  const all = links();
  const now = all.findIndex((a) => a.matches(".on"));
  if (now + 1 < all.length) return look(all[now + 1]);
  plain();
}

const plain = () => large(current().dataset.sha);

async function look(link) {
  large(current().dataset.sha, "Looking …");
  link.classList.add("on");
  const answer = await fetch(link.href, { headers: { accept: "image/jpeg, application/json" } }).catch(() => null);
  const still = () => link.isConnected && link.matches(".on") && isOpen();
  if (!answer?.ok) {
    const told = await answer?.json().catch(() => null);
    if (still()) $("full-peek").textContent = told ? `${told.message} ${told.remedy}` : "The gallery does not answer.";
    return;
  }
  const made = URL.createObjectURL(await answer.blob());
  if (!still()) return URL.revokeObjectURL(made);
  URL.revokeObjectURL(showing);
  showing = made;
  $("full-picture").src = made;
  const none = answer.headers.get("x-keepset-heat") === "none";
  $("full-peek").textContent = none
    ? `Nothing in the picture speaks for ‘${link.dataset.label}’.`
    : `Bright areas speak for ‘${link.dataset.label}’. The model does not see the dark margin.`;
}

export function wireHeat() {
  document.addEventListener("click", (e) => {
    const link = e.target.closest("#full-body a.heat");
    if (!link || e.ctrlKey || e.metaKey) return;
    e.preventDefault();
    if (link.matches(".on")) plain();
    else look(link);
  });
}
