// What the marks teach: tiles below the screen give way to those that are likelier trouble now. What is on the screen stays.
import { filters, open, root, url } from "./page.js";
import { cards, replaceFrom } from "./cards.js";
import { current } from "./moving.js";
import { isSelected } from "./selection.js";
import { settled } from "./saving.js";

const PAUSE_MS = 150;
let waiting;
let asked = 0;

/** The number of tiles that must stay: up to the last one that is on the screen or above it, decided, selected or in focus. */
function settledTiles() {
  const stays = (c) =>
    c.dataset.action || isSelected(c.dataset.sha) || c === current() || c.getBoundingClientRect().top < innerHeight;
  return cards.findLastIndex(stays) + 1;
}

async function refill() {
  await settled();
  const mine = ++asked;
  const from = settledTiles();
  if (from >= cards.length) return;
  const kept = cards.slice(0, from).map((c) => c.dataset.sha);
  const answer = await fetch(`${url}/more?${filters}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ kept, count: cards.length - from }),
  }).catch(() => null);
  if (!answer?.ok) return;
  const html = await answer.text();
  if (mine === asked && settledTiles() <= from) replaceFrom(from, html);
}

export function wireLearning() {
  if (!open || !root.dataset.learns) return;
  document.addEventListener("keepset:marks", (e) => {
    if (!Object.keys(e.detail.changed).length) return;
    clearTimeout(waiting);
    waiting = setTimeout(refill, PAUSE_MS);
  });
}
