// Choose, drop, paste, photograph or name pictures, or take a sample. Each becomes a card, whose place its answer takes.

import { failed, waiting } from "./cards.js";

const files = (list) => [...list].map((file) => ({ file, name: file.name || "pasted picture" }));
const addresses = (text) =>
  text.split(/\s+/).filter((word) => /^https?:\/\//i.test(word)).map((url) => ({ url, name: url }));

/**
 * `answer(job)` gives the card, or throws an error whose message a person can read. `together`: jobs at once. `web`: take
 * addresses too.
 */
export function start(answer, { together = 1, web = false } = {}) {
  const [drop, answers, status, clear] = ["drop", "answers", "status", "clear"].map((id) => document.getElementById(id));
  let queue = [];
  let [running, asked, done] = [0, 0, 0];
  document.documentElement.classList.add("scripted");

  const tell = () => {
    status.textContent = !asked ? "" : done === asked ? `${done} of ${asked} done.` : `Predicting: ${done} of ${asked} done …`;
    clear.hidden = !answers.children.length;
  };

  const next = async () => {
    if (running >= together || !queue.length) return;
    running += 1;
    const job = queue.shift();
    const found = await answer(job).catch((e) => failed(job, e.message));
    running -= 1;
    if (job.card.isConnected) {
      job.card.replaceWith(found);
      done += 1;
      tell();
    }
    next();
  };

  const add = (jobs) => {
    for (const job of jobs) job.card = waiting(job);
    queue.push(...jobs);
    asked += jobs.length;
    answers.prepend(...jobs.map((job) => job.card));
    tell();
    for (let i = 0; i < together; i += 1) next();
    return jobs.length;
  };

  const given = (data) =>
    data.files.length ? files(data.files) : web ? addresses(data.getData("text/uri-list") || data.getData("text/plain")) : [];

  for (const input of document.querySelectorAll("#ask input[type=file]")) {
    input.addEventListener("change", () => {
      add(files(input.files));
      input.value = "";
    });
  }

  document.getElementById("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = document.getElementById("url");
    if (event.submitter?.classList.contains("sample")) {
      const { value, dataset, firstElementChild } = event.submitter;
      add([{ sample: value, name: dataset.name, preview: firstElementChild.src }]);
    } else if (add(addresses(field?.value || ""))) {
      field.value = "";
    } else {
      status.textContent = "Choose a picture first.";
    }
  });

  clear.addEventListener("click", () => {
    queue = [];
    [asked, done] = [0, 0];
    answers.replaceChildren();
    tell();
    document.getElementById("files").focus();
  });

  document.addEventListener("paste", (event) => {
    if (event.target.id === "url" && !event.clipboardData.files.length) return;
    if (add(given(event.clipboardData))) event.preventDefault();
  });

  let depth = 0;
  const over = (on) => drop.classList.toggle("over", on);
  document.addEventListener("dragenter", () => over((depth += 1) > 0));
  document.addEventListener("dragleave", () => over((depth -= 1) > 0));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    over(false);
    add(given(event.dataTransfer));
  });
}
