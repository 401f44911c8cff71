// The gallery's keys and saving. Without this file the page is one form and does the same, slower.
"use strict";
(() => {
  const form = document.getElementById("gallery");
  const cards = [...document.querySelectorAll(".card")];
  const labels = JSON.parse(form.dataset.labels);
  const url = `/batches/${form.dataset.batch}`;
  let version = Number(form.dataset.version);
  let at = -1;
  let saving = Promise.resolve();

  const $ = (id) => document.getElementById(id);
  document.querySelectorAll(".js").forEach((b) => (b.hidden = false));

  function focus(i, extend) {
    if (!cards.length) return;
    const next = Math.max(0, Math.min(cards.length - 1, i));
    if (extend) { if (at >= 0) cards[at].classList.add("selected"); cards[next].classList.add("selected"); }
    at = next;
    cards[at].focus({ preventScroll: true });
    cards[at].scrollIntoView({ block: "nearest" });
  }
  const columns = () => {
    const top = cards[0].offsetTop;
    const n = cards.findIndex((c) => c.offsetTop !== top);
    return n < 0 ? cards.length : n;
  };
  const chosen = () => {
    const selected = cards.filter((c) => c.classList.contains("selected"));
    return selected.length ? selected : at >= 0 ? [cards[at]] : [];
  };

  function paint(marks) {
    for (const c of cards) {
      const m = marks[c.dataset.sha];
      c.dataset.action = m ? m.action : "";
      c.dataset.relabel = m && m.label ? m.label : "";
      const value = m ? (m.action === "relabel" ? `relabel:${m.label}` : m.action) : null;
      c.querySelectorAll("input[type=radio]").forEach((r) => (r.checked = r.value === value));
    }
    const counts = { delete: 0, relabel: 0, keep: 0 };
    Object.values(marks).forEach((m) => counts[m.action]++);
    $("counts").textContent = `${counts.delete} delete, ${counts.relabel} relabel, ${counts.keep} keep`;
  }

  // One request after the other, so that versions follow each other.
  function send(path, body) {
    saving = saving.then(async () => {
      const answer = await fetch(url + path, {
        method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" },
        body: body ? JSON.stringify({ ...body, version }) : null,
      }).catch(() => null);
      if (!answer) { $("counts").textContent = "Not saved: the gallery does not answer."; return reload(); }
      const found = await answer.json();
      if (answer.status === 409) return stale(found);
      if (!answer.ok) { $("counts").textContent = found.message; return reload(); }
      version = found.version;
      form.elements.version.value = version;
      paint(found.marks);
    });
    return saving;
  }
  async function reload() {
    const answer = await fetch(url + "/marks").catch(() => null);
    if (!answer || !answer.ok) return;
    const found = await answer.json();
    version = found.version;
    form.elements.version.value = version;
    const words = $("counts").textContent;
    paint(found.marks);
    if (words.startsWith("Not") || words.includes("nothing")) $("counts").textContent = words;
  }
  async function stale(found) {
    $("stale-words").textContent = found.message;
    $("stale-list").replaceChildren(...(found.difference || []).map((d) => {
      const li = document.createElement("li");
      li.textContent = `${d.sha256.slice(0, 8)}: you ${d.mine || "took the mark away"}, ${d.who} ${d.theirs || "took it away"}`;
      return li;
    }));
    await reload();
    $("stale").showModal();
  }

  function mark(which, action, label) {
    const marks = which.filter((c) => action !== "relabel" || c.dataset.label !== label)
      .map((c) => ({ sha256: c.dataset.sha, action, label: action === "relabel" ? label : null }));
    if (marks.length) send("/marks", { marks });
  }
  function suggestion(which) {
    const marks = which.map((c) => ({ sha256: c.dataset.sha, action: c.dataset.suggestion, label: c.dataset.suggestedLabel || null }));
    if (marks.length) send("/marks", { marks });
  }
  function nextUndecided() {
    for (let k = 1; k <= cards.length; k++) {
      const i = (at + k + cards.length) % cards.length;
      if (!cards[i].dataset.action) return focus(i);
    }
  }
  function zoom(card) {
    const dialog = $("zoom");
    dialog.querySelector("img").src = card.querySelector("img").src;
    dialog.showModal();
  }
  function relabelByTyping() {
    const which = chosen(), dialog = $("relabel"), input = $("relabel-to");
    if (!which.length) return;
    input.value = "";
    dialog.showModal();
    input.focus();
    dialog.onclose = () => {
      const typed = input.value.trim().toLowerCase();
      const hits = labels.filter((x) => x.toLowerCase().startsWith(typed));
      const label = labels.find((x) => x.toLowerCase() === typed) || (hits.length === 1 ? hits[0] : null);
      if (dialog.returnValue === "ok" && label) mark(which, "relabel", label);
    };
  }
  async function submit() {
    await saving;
    location.href = url + "/submit";
  }

  const keys = {
    ArrowRight: (e) => focus(at + 1, e.shiftKey), ArrowLeft: (e) => focus(at - 1, e.shiftKey),
    ArrowDown: (e) => focus(at < 0 ? 0 : at + columns(), e.shiftKey), ArrowUp: (e) => focus(at - columns(), e.shiftKey),
    l: () => focus(at + 1), h: () => focus(at - 1), j: () => focus(at < 0 ? 0 : at + columns()),
    x: () => mark(chosen(), "delete"), k: () => mark(chosen(), "keep"), Enter: () => suggestion(chosen()),
    Backspace: () => mark(chosen(), null), " ": () => at >= 0 && zoom(cards[at]), r: relabelByTyping,
    a: () => cards.forEach((c) => c.classList.add("selected")), n: nextUndecided,
    Escape: () => cards.forEach((c) => c.classList.remove("selected")),
    u: () => send("/undo"), U: () => send("/redo"), "?": () => $("keys").showModal(),
  };
  document.addEventListener("keydown", (e) => {
    if (document.querySelector("dialog[open]") || e.target.matches("select, input:not([type=radio])")) return;
    if (e.ctrlKey && e.key === "Enter") { e.preventDefault(); return submit(); }
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key === "Enter" && e.target.matches("a, button")) return;
    if (e.key === " " && e.target.matches("button")) return;
    if (/^[1-9]$/.test(e.key) && labels[e.key - 1]) { e.preventDefault(); return mark(chosen(), "relabel", labels[e.key - 1]); }
    if (keys[e.key]) { e.preventDefault(); keys[e.key](e); }
  });
  cards.forEach((card, i) => {
    card.addEventListener("click", (e) => {
      if (e.target.closest(".choice, .group, .facts a")) return;
      if (e.shiftKey && at >= 0) for (let k = Math.min(at, i); k <= Math.max(at, i); k++) cards[k].classList.add("selected");
      const picture = e.target.closest(".pic");
      if (picture) { e.preventDefault(); if (at === i && !e.shiftKey) zoom(card); }
      at = i;
      card.focus({ preventScroll: true });
    });
    card.querySelectorAll("input[type=radio]").forEach((r) => r.addEventListener("change", () => {
      at = i;
      const [action, ...rest] = r.value.split(":");
      mark([card], action, rest.join(":"));
    }));
  });
  form.addEventListener("submit", (e) => { e.preventDefault(); submit(); });
  $("undo").addEventListener("click", () => send("/undo"));
  $("redo").addEventListener("click", () => send("/redo"));
  $("help").addEventListener("click", () => $("keys").showModal());
  reload();
})();
