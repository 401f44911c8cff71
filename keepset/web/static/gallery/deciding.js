// Keep, delete, relabel: on the selection, else on the tile in focus. A decision moves on to the next undecided tile.
import { $, filters, labels, open, say, url } from "./page.js";
import { bySha, cards, paint, suggestionOf } from "./cards.js";
import { current, go, leave, onwards } from "./moving.js";
import { select, selected } from "./selection.js";
import { send } from "./saving.js";

/** What a decision is about: the selection, else the tile in focus; sha256s. */
export function chosen() {
  const several = selected();
  return several.length ? several : current() ? [current().dataset.sha] : [];
}

/** Save marks `[{sha256, action, label}]` (action null: take the mark away) as one step that can be undone as one. */
export function save(marks) {
  if (!open || !marks.length) return Promise.resolve(null);
  for (const m of marks) if (bySha.has(m.sha256)) paint(bySha.get(m.sha256), m.action ? m : null);
  return send("/marks", { marks });
}

/** Mark pictures. To relabel a picture to the class that it has is to keep it. */
export function mark(shas, action, label = null) {
  const same = (sha) => action === "relabel" && bySha.get(sha)?.dataset.label === label;
  return save(
    shas.map((sha256) =>
      same(sha256) ? { sha256, action: "keep", label: null } : { sha256, action, label: action === "relabel" ? label : null },
    ),
  );
}

/** `mark` for what is chosen; then on to the next undecided. */
export function decide(action, label) {
  const shas = chosen();
  const done = mark(shas, action, label);
  if (action) moveOn(shas, done);
}

export function takeSuggestion() {
  const shas = chosen().filter((s) => bySha.has(s) && suggestionOf(bySha.get(s)).action);
  if (!shas.length) return say("Nothing is suggested here: look, then press k, x or a class.");
  moveOn(shas, save(shas.map((sha256) => ({ sha256, ...suggestionOf(bySha.get(sha256)) }))));
}

/** Move on at once, and back to the first of these if they could not be saved. */
function moveOn(shas, done) {
  const mine = cards.filter((c) => shas.includes(c.dataset.sha));
  const last = mine.at(-1) ?? current();
  select([]);
  done.then((changed) => changed ?? go(mine[0]));
  if (last && !onwards(last) && document.querySelector(".pages a")) say("All on this page are decided. Press n for the next.");
}

/** All suggestions of the undecided pictures that fit the filters, on every page, as one step. */
export async function takeAll() {
  const changed = await send("/suggestions", {});
  if (changed) say(`Took ${Object.keys(changed).length} suggestions. Undo (u) takes them back.`);
}

/** Take back, or put back, this person's last step, and show where it was, unless the reviewer has moved on. */
export async function turn(path) {
  const before = current();
  const changed = await send(path, {});
  const first = changed && cards.find((c) => c.dataset.sha in changed);
  if (first && current() === before) go(first);
}

export const submit = () => leave(`${url}/submit${filters ? `?${filters}` : ""}`);

export const byNumber = (digit) => (labels.length <= 9 ? labels[digit - 1] : undefined);

// -- what the bar and the toolbar say
const many = (n, one, several = `${one}s`) => `${n} ${n === 1 ? one : several}`;
const listed = (counts) => ["delete", "relabel"].filter((a) => counts[a]).map((a) => `${a} ${counts[a]}`).join(", ");

export function showCounts({ counts: n, suggested }) {
  $("counts").textContent = `${n.marked} of ${n.total} decided`;
  $("counts").title = `${n.delete} to delete, ${n.relabel} to relabel, ${n.keep} to keep`;
  $("decided").value = n.marked;
  if (!$("take")) return;
  const all = suggested.delete + suggested.relabel;
  $("take").hidden = !all;
  $("take-what").textContent = `Take ${all === 1 ? "1 suggestion" : `all ${all} suggestions`}`;
  $("take-how").textContent = `${listed(suggested)}; leaves ${suggested.left} for you`;
}

export function showChosen() {
  const several = selected();
  const elsewhere = several.filter((s) => !bySha.has(s)).length;
  const one = current();
  $("chosen").textContent = several.length
    ? `${several.length} selected${elsewhere ? ` (${elsewhere} on other pages)` : ""}`
    : one ? `Picture ${Number(one.dataset.rank) + 1}` : many(0, "picture");
  $("none").hidden = !several.length;
}
