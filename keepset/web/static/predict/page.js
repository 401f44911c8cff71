// The prediction page: the server answers for one picture after the other, with a card as HTML, and takes corrections.
// Without this script the form does the same in one request.

import { start } from "./intake.js";

const PATIENCE = 10;
const base = document.documentElement.dataset.base;

const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

const send = (path, body, headers) =>
  fetch(base + path, { method: "POST", body, headers: { Accept: "text/html", ...headers } }).catch(() => {
    throw new Error("The server does not answer. Is `keepset web` still running?");
  });

const parsed = async (answer) => new DOMParser().parseFromString(await answer.text(), "text/html");

function append(body, job) {
  if (job.file) body.append("file", job.file, job.name);
  else body.append(job.url ? "url" : "sample", job.url || job.sample);
  return body;
}

async function ask(job) {
  for (let tries = 0; ; tries += 1) {
    const answer = await send("/predict", append(new FormData(), job), { "X-Keepset-Fragment": "1" });
    if (answer.status === 503 && answer.headers.has("retry-after") && tries < PATIENCE) {
      await pause(Number(answer.headers.get("retry-after")) + Math.random());
      continue;
    }
    const found = (await parsed(answer)).querySelector("li.answer");
    if (!found) throw new Error("The server gave no answer. Try again.");
    if (job.sample) found.querySelector(".name").textContent = job.name;
    correctable(found, job);
    return found;
  }
}

// The server has not kept the picture: it is sent once more, with the correction.
function correctable(li, job) {
  const form = li.querySelector("form.correction");
  if (!form) return;
  form.querySelector(".again").remove();
  const said = document.createElement("p");
  said.setAttribute("role", "status");
  form.after(said);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const body = append(new FormData(form, event.submitter), job);
    try {
      const answer = await send("/correct", body);
      const words = (await parsed(answer)).querySelector("#said");
      said.textContent = words ? words.textContent.trim() : "The correction was not taken.";
      said.className = answer.ok ? "" : "trouble";
      if (answer.ok) form.remove();
    } catch (e) {
      said.textContent = e.message;
      said.className = "trouble";
    }
  });
}

if (document.getElementById("ask")) start(ask, { together: 3, web: true });
