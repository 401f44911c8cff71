// The list of classes to type into: what is suggested and what was used last comes first.
import { $, labels } from "./page.js";
import { bySha } from "./cards.js";

const recent = [];
let asked = null;
let hits = [];
let on = 0;

/** Ask for a class for these pictures; `then(label)` is called with the answer, if there is one. */
export function askLabel(shas, then) {
  if (!shas.length) return;
  asked = { shas, then };
  $("relabel-what").textContent = shas.length > 1 ? `${shas.length} pictures` : "this picture";
  $("relabel-to").value = "";
  fill();
  $("relabel").showModal();
  $("relabel-to").focus();
}

function ranked() {
  const card = asked.shas.length === 1 ? bySha.get(asked.shas[0]) : null;
  const first = [card?.dataset.suggestedLabel, ...recent].filter(Boolean);
  const own = card?.dataset.label;
  return [...new Set([...first, ...labels])].filter((x) => x !== own);
}

function fill() {
  const typed = $("relabel-to").value.trim().toLowerCase();
  const all = ranked();
  const starts = all.filter((x) => x.toLowerCase().startsWith(typed));
  hits = [...starts, ...all.filter((x) => !starts.includes(x) && x.toLowerCase().includes(typed))];
  on = 0;
  $("relabel-list").replaceChildren(
    ...hits.map((label, i) => {
      const li = document.createElement("li");
      li.id = `relabel-${i}`;
      li.role = "option";
      li.dir = "auto";
      li.textContent = label;
      li.addEventListener("click", () => answer(label));
      return li;
    }),
  );
  $("relabel-none").hidden = hits.length > 0;
  $("relabel-none").textContent = `There is no class like '${$("relabel-to").value}'.`;
  point();
}

function point() {
  [...$("relabel-list").children].forEach((li, i) => li.setAttribute("aria-selected", String(i === on)));
  $("relabel-to").setAttribute("aria-activedescendant", hits.length ? `relabel-${on}` : "");
  $("relabel-list").children[on]?.scrollIntoView({ block: "nearest" });
}

function answer(label) {
  recent.splice(0, recent.length, label, ...recent.filter((x) => x !== label).slice(0, 8));
  const { then } = asked;
  $("relabel").close();
  then(label);
}

export function wireRelabel() {
  $("relabel-to").addEventListener("input", fill);
  $("relabel-to").addEventListener("keydown", (e) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[e.key];
    if (by && hits.length) {
      e.preventDefault();
      on = (on + by + hits.length) % hits.length;
      point();
    }
    if (e.key === "Enter") {
      e.preventDefault();
      if (hits.length) answer(hits[on]);
    }
  });
}
