// What the server wrote into the page: the batch, its classes, and the address of its routes.
export const $ = (id) => document.getElementById(id);
export const root = document.querySelector("[data-batch]");
export const open = root.dataset.open === "yes";
export const labels = JSON.parse(root.dataset.labels);
export const base = document.documentElement.dataset.base;
export const url = `${base}/batches/${root.dataset.batch}`;
export const filters = root.dataset.filters;
/** Tell the other modules, and whoever else listens on `document`. */
export const emit = (name, detail) => document.dispatchEvent(new CustomEvent(`keepset:${name}`, { detail }));

let fading;
/** A sentence above the bar. It fades unless it is about trouble. */
export function say(words, trouble = false) {
  clearTimeout(fading);
  $("said").textContent = words;
  $("said").classList.toggle("trouble", trouble);
  if (!trouble) fading = setTimeout(() => ($("said").textContent = ""), 6000);
}
