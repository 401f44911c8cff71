// The page: the worker answers, this fills the card.

import { failed, percent } from "./cards.js";
import { start } from "./intake.js";

const TOP = 5;
const loading = document.getElementById("loading");
const worker = new Worker("worker.js", { type: "module" });
const waiting = new Map();
let asked = 0;

worker.onmessage = ({ data: { id, answer, error, loading: share, bytes } }) => {
  if (share !== undefined) {
    loading.firstElementChild.value = share;
    loading.title = `${(bytes / 1e6).toFixed(0)} MB`;
  } else if (id === undefined) {
    loading.hidden = true;
    if (error) document.getElementById("answers").append(failed({ name: "" }, error));
    else keep();
  } else {
    const [done, refuse] = waiting.get(id);
    waiting.delete(id);
    if (error) refuse(new Error(error));
    else done(answer);
  }
};
worker.onerror = () => worker.onmessage({ data: { error: "This browser is too old for this page. Update it, or try another one." } });
worker.postMessage({});

const facts = fetch("site.json").then((answer) => answer.json());
const pictures = fetch("pictures.bin").then((answer) => answer.blob());

async function ask(job) {
  const file = job.file ?? (await (await fetch(job.sample)).blob());
  const answer = await new Promise((done, refuse) => {
    waiting.set((asked += 1), [done, refuse]);
    worker.postMessage({ id: asked, file });
  });
  return card(job, file, answer, await facts, await pictures);
}

function card(job, file, answer, { pictures: known }, pack) {
  const li = document.getElementById("answer").content.firstElementChild.cloneNode(true);
  const one = (selector) => li.querySelector(selector);
  const [label, share] = answer.probabilities[0];
  li.classList.toggle("doubtful", answer.unsure || answer.unfamiliar);
  one("img").src = URL.createObjectURL(file);
  one(".name").textContent = job.name;
  one("h2 .label").textContent = label;
  one("h2 .share").textContent = percent(share);
  one(".doubt.unfamiliar").hidden = !answer.unfamiliar;
  one(".doubt.unsure").hidden = !answer.unsure;
  repeat(one(".bars tr"), answer.probabilities.slice(0, TOP), (row, [name, p]) => {
    row.querySelector("bdi").textContent = name;
    row.querySelector(".fill").setAttribute("width", `${(p * 100).toFixed(1)}%`);
    row.querySelector(".share").textContent = percent(p);
  });
  one(".similar").hidden = !answer.similar.length;
  repeat(one(".similar li"), answer.similar, (item, { at }) => {
    const { from, to, ...of } = known[at];
    const img = item.querySelector("img");
    img.src = URL.createObjectURL(pack.slice(from, to, "image/webp"));
    img.alt = `training picture labelled ${of.label}`;
    item.querySelector(".label").textContent = of.label;
    item.querySelector(".credit").textContent = [of.creator, of.license].filter(Boolean).join(", ");
    const link = item.querySelector("a");
    if (of.link) link.href = of.link;
    else link.replaceWith(img);
  });
  return li;
}

/** Copies of `element`, one for each of `items`, in its place. */
function repeat(element, items, fill) {
  element.replaceWith(
    ...items.map((item) => {
      const copy = element.cloneNode(true);
      fill(copy, item);
      return copy;
    }),
  );
}

/** From now on the page works without a connection. */
function keep() {
  navigator.serviceWorker?.register("offline.js").catch(() => {}); // private windows may refuse; the page works anyway
}

start(ask);
