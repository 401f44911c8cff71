// Drop, paste, choose, photograph or name pictures; each is asked for by itself, and its answer comes as HTML.
// Without this script the form does the same in one request.
"use strict";

const form = document.getElementById("ask");
if (form) {
  const drop = document.getElementById("drop");
  const answers = document.getElementById("answers");
  const status = document.getElementById("status");
  const TOGETHER = 3;
  const PATIENCE = 10;
  const waiting = [];
  let running = 0;
  let asked = 0;
  let answered = 0;

  document.documentElement.classList.add("scripted");

  const tell = () => {
    status.textContent = asked === answered ? `${answered} of ${asked} done.` : `Predicting: ${answered} of ${asked} done …`;
  };

  const card = (className, name) => {
    const li = document.createElement("li");
    li.className = `answer ${className}`;
    const said = document.createElement("div");
    said.className = "said";
    const p = document.createElement("p");
    p.className = "name";
    p.textContent = name;
    said.append(p);
    li.append(said);
    return li;
  };

  const placeholder = (job) => {
    const li = card("waiting", job.name);
    if (job.file) {
      const img = document.createElement("img");
      img.alt = "";
      img.src = URL.createObjectURL(job.file);
      img.onload = img.onerror = () => URL.revokeObjectURL(img.src);
      li.prepend(img);
    }
    const words = document.createElement("p");
    words.textContent = "Predicting …";
    li.querySelector(".said").append(words);
    return li;
  };

  const failure = (job, words) => {
    const li = card("failed", job.name);
    const p = document.createElement("p");
    p.className = "trouble";
    p.textContent = words;
    li.querySelector(".said").append(p);
    return li;
  };

  const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

  // The server has not kept the picture: it is sent once more, with the correction.
  const correctable = (li, job) => {
    const form = li.querySelector("form.correction");
    if (!form) return;
    form.querySelector("input[type=file]").remove();
    const said = document.createElement("p");
    said.setAttribute("role", "status");
    form.after(said);
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const body = new FormData(form);
      if (job.file) body.append("file", job.file, job.name);
      else body.append("url", job.url);
      const button = form.querySelector("button");
      button.disabled = true;
      try {
        const answer = await fetch(document.documentElement.dataset.base + "/correct", { method: "POST", body, headers: { Accept: "text/html" } });
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const words = page.querySelector("#said");
        said.textContent = words ? words.textContent.trim() : "This was not taken.";
        said.className = answer.ok ? "" : "trouble";
        if (answer.ok) form.remove();
      } catch (e) {
        said.textContent = "The server does not answer.";
        said.className = "trouble";
      }
      button.disabled = false;
    });
  };

  const ask = async (job) => {
    const body = new FormData();
    if (job.file) body.append("file", job.file, job.name);
    else body.append("url", job.url);
    for (let tries = 0; ; tries += 1) {
      const answer = await fetch(document.documentElement.dataset.base + "/predict", { method: "POST", body, headers: { "X-Keepset-Fragment": "1", Accept: "text/html" } });
      if (answer.status === 503 && answer.headers.has("retry-after") && tries < PATIENCE) {
        await pause(Number(answer.headers.get("retry-after")) + Math.random());
        continue;
      }
      const text = await answer.text();
      const found = new DOMParser().parseFromString(text, "text/html").querySelector("li.answer");
      if (found) correctable(found, job);
      return found || failure(job, text.slice(0, 300));
    }
  };

  const next = async () => {
    if (running >= TOGETHER || !waiting.length) return;
    running += 1;
    const job = waiting.shift();
    let found;
    try {
      found = await ask(job);
    } catch (e) {
      found = failure(job, "The server does not answer.");
    }
    job.card.replaceWith(found);
    running -= 1;
    answered += 1;
    tell();
    next();
  };

  const add = (jobs) => {
    for (const job of jobs) {
      job.card = placeholder(job);
      waiting.push(job);
      asked += 1;
    }
    answers.prepend(...jobs.map((job) => job.card));
    if (jobs.length) tell();
    for (let i = 0; i < TOGETHER; i += 1) next();
  };

  const ofFiles = (files) => [...files].map((file) => ({ file, name: file.name || "pasted picture" }));
  const ofText = (text) => text.split(/\s+/).filter((word) => /^https?:\/\//i.test(word)).map((url) => ({ url, name: url }));

  for (const input of form.querySelectorAll("input[type=file]")) {
    input.addEventListener("change", () => {
      add(ofFiles(input.files));
      input.value = "";
    });
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const field = document.getElementById("url");
    const jobs = ofText(field.value);
    if (jobs.length) {
      add(jobs);
      field.value = "";
    } else if (!asked) {
      status.textContent = "Choose a picture first, or give the address of one.";
    }
  });

  const taken = (data) => (data.files.length ? ofFiles(data.files) : ofText(data.getData("text/uri-list") || data.getData("text/plain")));

  document.addEventListener("paste", (event) => {
    if (event.target === document.getElementById("url") && !event.clipboardData.files.length) return;
    const jobs = taken(event.clipboardData);
    if (jobs.length) {
      event.preventDefault();
      add(jobs);
    }
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
    add(taken(event.dataTransfer));
  });
}
