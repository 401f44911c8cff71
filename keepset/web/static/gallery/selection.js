// The selection: a set of sha256, which may name pictures of other pages too.
import { $, emit } from "./page.js";
import { bySha, cards } from "./cards.js";

const chosen = new Set();

export const selected = () => [...chosen];
export const isSelected = (sha) => chosen.has(sha);

/** Select these pictures: `how` is "only" (nothing else), "add", "remove" or "toggle". */
export function select(shas, how = "only") {
  const before = new Set(chosen);
  if (how === "only") chosen.clear();
  for (const sha of shas) {
    if (how === "remove" || (how === "toggle" && before.has(sha))) chosen.delete(sha);
    else chosen.add(sha);
  }
  for (const sha of new Set([...before, ...chosen])) show(sha);
  document.body.classList.toggle("selecting", chosen.size > 0);
  emit("selection", { shas: selected() });
}

function show(sha) {
  const card = bySha.get(sha);
  if (!card) return;
  card.classList.toggle("selected", chosen.has(sha));
  card.querySelector(".tick").setAttribute("aria-pressed", String(chosen.has(sha)));
}

/** Everything from one tile to another, in their order on screen, on top of what is selected. */
export function selectRange(from, to) {
  const [a, b] = [cards.indexOf(from), cards.indexOf(to)].sort((x, y) => x - y);
  select(cards.slice(Math.max(0, a), b + 1).map((c) => c.dataset.sha), "add");
}

// -- rubber band: from anywhere in the grid, with a mouse or a pen
const FAR_PX = 6;
const EDGE_PX = 48;
let dragged = false;

/** Whether the click that just came was the end of a drag. */
export function wasDrag() {
  const was = dragged;
  dragged = false;
  return was;
}

export function band(area) {
  area.addEventListener("pointerdown", (e) => {
    dragged = false;
    if (e.button !== 0 || e.pointerType === "touch" || e.target.closest("button, input, select, .pages")) return;
    const start = { x: e.pageX, y: e.pageY };
    const before = e.ctrlKey || e.metaKey || e.shiftKey ? selected() : [];
    const box = $("band");
    let last = e;
    const draw = () => {
      const to = { x: last.clientX + scrollX, y: last.clientY + scrollY };
      if (!dragged && Math.hypot(to.x - start.x, to.y - start.y) < FAR_PX) return;
      dragged = true;
      const [left, right] = [start.x, to.x].sort((a, b) => a - b);
      const [top, bottom] = [start.y, to.y].sort((a, b) => a - b);
      box.hidden = false;
      Object.assign(box.style, { left: `${left}px`, top: `${top}px`, width: `${right - left}px`, height: `${bottom - top}px` });
      const hit = cards.filter((c) => {
        const r = c.getBoundingClientRect();
        return r.left + scrollX < right && r.right + scrollX > left && r.top + scrollY < bottom && r.bottom + scrollY > top;
      });
      select([...before, ...hit.map((c) => c.dataset.sha)]);
    };
    const scroll = setInterval(() => {
      const by = last.clientY > innerHeight - 2 * EDGE_PX ? 18 : last.clientY < 2 * EDGE_PX ? -18 : 0;
      if (dragged && by) {
        scrollBy(0, by);
        draw();
      }
    }, 16);
    const move = (m) => {
      last = m;
      draw();
    };
    const end = () => {
      clearInterval(scroll);
      box.hidden = true;
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", end);
      removeEventListener("pointercancel", end);
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end);
    addEventListener("pointercancel", end);
  });
}
