// One picture over the whole window, with the same keys; its copies side by side, or one after the other in place.
import { $, base, open, say, url } from "./page.js";
import { cards, markOf, suggestionOf, words } from "./cards.js";
import { current, step } from "./moving.js";
import { select } from "./selection.js";
import { mark } from "./deciding.js";
import { onSwipe } from "./touch.js";

const FLICKER_MS = 700;
const about = new Map(); // what the server has said of a picture, by sha256
let way = "single"; // or "pair", "flicker"
let flickering;
let telling; // resolves to whether all that is known of the picture in focus is shown

/** Wait for what the server knows of the picture in focus: false if it did not answer, or the reviewer has moved on. */
export async function known() {
  const card = current();
  return (await telling) && isOpen() && current() === card;
}
export const isOpen = () => $("full").open;

/** Open the full view on the tile in focus, at once as "pair" if its copies are asked for. */
export function openFull(as = "single") {
  if (!current()) return;
  select([]);
  if (!isOpen()) $("full").showModal();
  $("full").append($("said")); // a modal dialog covers everything else
  $("full-stage").focus();
  telling = show(as);
}

const picture = (sha) => `${base}/pictures/${sha}.jpg`;

async function show(as = "single") {
  const card = current();
  const sha = card.dataset.sha;
  setWay("single");
  $("full-peek").textContent = "";
  const img = $("full-picture");
  img.src = card.querySelector(".pic img").src; // at once; the large one replaces it
  const large = new Image();
  large.onload = () => current() === card && !$("full-peek").textContent && (img.src = large.src);
  large.src = picture(sha);
  img.alt = card.querySelector(".pic img").alt;
  $("full-place").textContent = `Picture ${Number(card.dataset.rank) + 1}`;
  $("full-body").replaceChildren(...[...card.querySelector(".body").childNodes].map((n) => n.cloneNode(true)));
  $("full-side").scrollTop = 0;
  if (document.activeElement.closest("#full-side .acts")) $("full-stage").focus(); // or Enter would press that button again
  showMark();
  const told = await ask(sha);
  if (!told && current() === card) say("The gallery does not answer.", true);
  if (!told || current() !== card || !isOpen()) return false;
  $("full-body").replaceChildren(told.cloneNode(true));
  $("full-body").querySelectorAll(".js").forEach((e) => (e.hidden = false));
  if (as !== "single") setWay(as);
  const next = cards[cards.indexOf(card) + 1];
  if (next) [new Image().src] = [picture(next.dataset.sha)];
  return true;
}

/** What is known of a picture, as the server writes it; null if it does not answer. */
async function ask(sha) {
  if (about.has(sha)) return about.get(sha);
  const answer = await fetch(`${url}/pictures/${sha}?part=yes`).catch(() => null);
  if (!answer?.ok) return null;
  const holder = document.createElement("template");
  holder.innerHTML = await answer.text();
  about.set(sha, holder.content.querySelector(".about"));
  return about.get(sha);
}

function showMark() {
  const card = current();
  const m = markOf(card);
  $("full-mark").dataset.action = m?.action ?? "";
  $("full-mark").textContent = m ? words(m) : "Not decided";
  if (!open) return;
  const asked = suggestionOf(card);
  $("full-suggest").hidden = !asked.action;
  $("full-suggest-words").textContent = { delete: "delete", keep: "keep" }[asked.action] ?? `relabel to ${asked.label}`;
}

/** The picture alone, with words above it that say what it is if it is not the one in focus. */
export function large(sha, words = "") {
  setWay("single");
  $("full-body").querySelectorAll("a.on").forEach((l) => l.classList.remove("on"));
  $("full-picture").src = picture(sha);
  $("full-peek").textContent = words;
}

/** Show another picture in place of this one, such as a similar one; the same link leads back. */
function peek(link) {
  const back = link.matches(".on");
  const words = link.querySelector("img").alt;
  if (back) return large(current().dataset.sha);
  large(link.dataset.sha, `${words[0].toUpperCase()}${words.slice(1)}. Click it again to go back.`);
  link.classList.add("on");
}

// -- copies
const copies = () => [...$("full-body").querySelectorAll(".copies-of figure")];

/** Toggle between the picture alone and its copies "pair" or "flicker". */
export async function toggleWay(wanted) {
  if (!isOpen()) return openFull(wanted);
  if (await known()) setWay(way === wanted ? "single" : wanted);
}

function setWay(wanted) {
  clearInterval(flickering);
  if (wanted !== "single" && copies().length < 2) {
    say("This picture has no copy.");
    wanted = "single";
  }
  way = wanted;
  $("full-stage").dataset.way = way;
  if (way === "single") return $("full-copies").replaceChildren();
  $("full-copies").replaceChildren(...copies().slice(0, 4).map(copyOf));
  if (way !== "flicker") return;
  let on = 0;
  const turn = () => [...$("full-copies").children].forEach((f, i, all) => f.classList.toggle("on", i === on % all.length));
  turn();
  flickering = setInterval(() => { on += 1; turn(); }, FLICKER_MS);
}

function copyOf(known) {
  const { sha } = known.dataset;
  const figure = document.createElement("figure");
  figure.dataset.sha = sha;
  const img = new Image();
  img.src = picture(sha);
  img.alt = known.dataset.words;
  const caption = document.createElement("figcaption");
  caption.textContent = sha === current().dataset.sha ? `${known.dataset.words} (this one)` : known.dataset.words;
  figure.append(img, caption);
  if (open) {
    for (const [action, name] of [["keep", "Keep"], ["delete", "Delete"]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = action;
      button.textContent = name;
      button.addEventListener("click", () => mark([sha], action));
      caption.append(" ", button);
    }
  }
  paintCopy(figure, known.dataset.action ? { action: known.dataset.action, label: known.dataset.relabel } : null);
  return figure;
}

function paintCopy(figure, m) {
  figure.dataset.action = m?.action ?? "";
  figure.querySelectorAll("button").forEach((b) => b.setAttribute("aria-pressed", String(b.className === m?.action)));
}

function marked({ detail }) {
  for (const [sha, m] of Object.entries(detail.changed)) {
    for (const told of about.values()) {
      const known = told.querySelector(`.copies-of figure[data-sha="${sha}"]`);
      if (known) Object.assign(known.dataset, { action: m?.action ?? "", relabel: m?.label ?? "" });
    }
    const figure = $("full-copies").querySelector(`figure[data-sha="${sha}"]`);
    if (figure) paintCopy(figure, m);
  }
  if (isOpen()) showMark();
}

export function wireFull() {
  document.addEventListener("keepset:focus", () => isOpen() && (telling = show()));
  document.addEventListener("keepset:marks", marked);
  document.addEventListener("click", (e) => {
    if (e.target.closest("#panel a.compare, #full a.compare")) {
      e.preventDefault();
      openFull("pair");
    }
    const other = e.target.closest("#full-body .similar");
    if (other && !e.ctrlKey && !e.metaKey) {
      e.preventDefault();
      peek(other);
    }
    const button = e.target.closest("#full-body [data-way]");
    if (button) toggleWay(button.dataset.way);
  });
  $("full").addEventListener("close", () => {
    setWay("single");
    $("main").append($("said"));
  });
  $("full-close").addEventListener("click", () => $("full").close());
  $("full-prev").addEventListener("click", () => step(-1));
  $("full-next").addEventListener("click", () => step(1));
  onSwipe($("full-stage"), step);
}
