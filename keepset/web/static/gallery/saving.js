// Marks go to the server one request after the other, so that versions follow each other.
import { $, emit, filters, root, say, url } from "./page.js";
import { bySha, cards, markOf, paint } from "./cards.js";

let version = Number(root.dataset.version);
let saving = Promise.resolve();
let pending = 0;
let failed = 0;
// What the server has confirmed of the tiles on this page; a mark is painted before that, and taken back if refused.
const saved = new Map(cards.map((c) => [c.dataset.sha, markOf(c)]));

document.addEventListener("keepset:tiles", (e) => e.detail.added.forEach((c) => saved.set(c.dataset.sha, markOf(c))));

/** Resolves when everything sent so far is answered: whether all of it was saved. */
export async function settled() {
  const before = failed;
  await saving;
  return failed === before;
}

const query = () => `?since=${version}${filters ? `&${filters}` : ""}`;

/** Paint what changed; returns the changed marks by sha256 (null: taken away). */
function take(found) {
  version = found.version;
  if (root.elements) root.elements.version.value = version;
  for (const [sha, m] of Object.entries(found.changed)) {
    const card = bySha.get(sha);
    if (card) {
      saved.set(sha, m);
      paint(card, m);
    }
  }
  emit("marks", found);
  return found.changed;
}

const takeBack = () => cards.forEach((c) => paint(c, saved.get(c.dataset.sha)));

/** Post to a route of the batch; resolves to the changed marks by sha256, or null if nothing was saved. */
export function send(path, body) {
  pending += 1;
  saving = saving.then(async () => {
    const answer = await fetch(url + path + query(), {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify({ ...body, version }),
    }).catch(() => null);
    const found = await answer?.json().catch(() => null);
    pending -= 1;
    if (answer?.ok && found) return take(found);
    failed += 1;
    takeBack();
    if (!answer) say("Not saved: the gallery does not answer.", true);
    else {
      await refresh();
      if (answer.status === 409) stale(found);
      else say(found?.message ?? `Not saved: the gallery answered ${answer.status}.`, true);
    }
    return null;
  });
  return saving;
}

async function refresh() {
  const answer = await fetch(`${url}/marks${query()}`).catch(() => null);
  if (answer?.ok) take(await answer.json());
}

// Closing the tab, or a link out of the batch, would lose marks that wait behind the one being saved.
addEventListener("beforeunload", (e) => pending && e.preventDefault());

/** Ask for other people's marks, after what is being saved. */
export function reload() {
  saving = saving.then(refresh);
  return saving;
}

function stale(found) {
  $("stale-words").textContent = found.message;
  $("stale-list").replaceChildren(
    ...(found.difference || []).map((d) => {
      const li = document.createElement("li");
      li.textContent = `${d.sha256.slice(0, 8)}: you ${d.mine || "took the mark away"}, ${d.who} ${d.theirs || "took it away"}`;
      return li;
    }),
  );
  $("stale").showModal();
}
