// The gallery's keys and saving. Without this file the page is one form and does the same, slower.
"use strict";
(() => {
  const form = document.getElementById("gallery");
  const cards = [...document.querySelectorAll(".card")];
  const bySha = new Map(cards.map((c) => [c.dataset.sha, c]));
  const labels = JSON.parse(form.dataset.labels);
  const url = `${document.documentElement.dataset.base}/batches/${form.dataset.batch}`;
  const here = `keepset:${form.dataset.batch}`;
  const $ = (id) => document.getElementById(id);
  let version = Number(form.dataset.version);
  let at = -1;
  let saving = Promise.resolve();
  // What the server has confirmed of the cards on this page; a mark is painted before that, and taken back if refused.
  const saved = new Map(cards.map((c) => [c.dataset.sha, c.dataset.action ? { action: c.dataset.action, label: c.dataset.relabel } : null]));
  document.querySelectorAll(".js").forEach((b) => (b.hidden = false));

  // -- moving
  function focus(i, extend) {
    if (!cards.length) return;
    if (!extend && at >= 0 && (i < 0 || i >= cards.length)) {
      const link = document.querySelector(`.pages a[rel=${i < 0 ? "prev" : "next"}]`);
      if (link) return leave(link.href, i < 0 ? "last" : "first");
    }
    const next = Math.max(0, Math.min(cards.length - 1, i));
    if (extend) { if (at >= 0) cards[at].classList.add("selected"); cards[next].classList.add("selected"); }
    go(next);
    cards[at].scrollIntoView({ block: "nearest" });
  }
  function go(i) {
    at = i;
    cards[at].focus({ preventScroll: true });
    $("at").value = cards[at].dataset.rank;
    sessionStorage.setItem(here, cards[at].dataset.sha);
  }
  async function leave(href, place) {
    if (place) sessionStorage.setItem(here, place);
    await saving;
    location.href = href;
  }
  function arrive() {
    const left = sessionStorage.getItem(here);
    const card = bySha.get(form.dataset.focus) || bySha.get(left) || { first: cards[0], last: cards[cards.length - 1] }[left];
    if (card) { go(cards.indexOf(card)); card.scrollIntoView({ block: "center" }); }
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

  // -- painting
  function paint(card, m) {
    card.dataset.action = m ? m.action : "";
    card.dataset.relabel = m && m.label ? m.label : "";
    const value = m ? (m.action === "relabel" ? `relabel:${m.label}` : m.action) : null;
    const radios = [...card.querySelectorAll("input[type=radio]")];
    radios.forEach((r) => (r.checked = r.value === value));
    const other = radios.find((r) => r.value === "relabel:");
    if (other) {
      const typed = m && m.action === "relabel" && !radios.some((r) => r.checked);
      other.checked = !!typed;
      card.querySelector(".to").value = typed ? m.label : "";
    }
    if ($("zoom").open && card === cards[at]) zoomMark(card);
  }
  function told(found) {
    version = found.version;
    form.elements.version.value = version;
    for (const [sha, m] of Object.entries(found.changed)) {
      const card = bySha.get(sha);
      if (card) { saved.set(sha, m); paint(card, m); }
    }
    const n = found.counts;
    say(`${n.marked} of ${n.total} decided: ${n.delete} delete, ${n.relabel} relabel, ${n.keep} keep`);
    $("progress").textContent = `Found ${n.found} wrong of ${n.marked} looked at; ${n.undecided} to go.`;
  }
  const say = (words) => { $("counts").textContent = words; };
  const takeBack = () => cards.forEach((c) => paint(c, saved.get(c.dataset.sha)));

  // -- saving: one request after the other, so that versions follow each other
  function send(path, body) {
    saving = saving.then(async () => {
      const answer = await fetch(`${url}${path}?since=${version}`, {
        method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" },
        body: body ? JSON.stringify({ ...body, version }) : null,
      }).catch(() => null);
      if (!answer) { takeBack(); return say("Not saved: the gallery does not answer."); }
      const found = await answer.json().catch(() => ({ message: `Not saved: the gallery answered ${answer.status}.` }));
      if (answer.ok) return told(found);
      takeBack();
      await reload();
      if (answer.status === 409) return stale(found);
      say(found.message);
    });
    return saving;
  }
  async function reload() {
    const answer = await fetch(`${url}/marks?since=${version}`).catch(() => null);
    if (answer && answer.ok) told(await answer.json());
  }
  function stale(found) {
    $("stale-words").textContent = found.message;
    $("stale-list").replaceChildren(...(found.difference || []).map((d) => {
      const li = document.createElement("li");
      li.textContent = `${d.sha256.slice(0, 8)}: you ${d.mine || "took the mark away"}, ${d.who} ${d.theirs || "took it away"}`;
      return li;
    }));
    $("stale").showModal();
  }

  // -- deciding
  function save(marks) {
    if (!marks.length) return;
    marks.forEach((m) => paint(bySha.get(m.sha256), m.action ? m : null));
    send("/marks", { marks });
  }
  function mark(which, action, label) {
    save(which.filter((c) => action !== "relabel" || c.dataset.label !== label)
      .map((c) => ({ sha256: c.dataset.sha, action, label: action === "relabel" ? label : null })));
  }
  function suggestion(which) {
    save(which.map((c) => ({ sha256: c.dataset.sha, action: c.dataset.suggestion, label: c.dataset.suggestedLabel || null })));
  }
  function nextUndecided() {
    for (let i = at + 1; i < cards.length; i++) if (!cards[i].dataset.action) return focus(i);
    const after = cards.length ? cards[cards.length - 1].dataset.rank : 0;
    leave(`${url}?${form.dataset.filters}${form.dataset.filters ? "&" : ""}next=${after}`);
  }
  async function submit() {
    await saving;
    location.href = url + "/submit";
  }
  function labelTyped(typed) {
    const wanted = typed.trim().toLowerCase();
    const hits = wanted ? labels.filter((x) => x.toLowerCase().startsWith(wanted)) : [];
    return labels.find((x) => x.toLowerCase() === wanted) || (hits.length === 1 ? hits[0] : null);
  }
  function relabelByTyping() {
    const which = chosen(), dialog = $("relabel"), input = $("relabel-to");
    if (!which.length) return;
    const back = document.activeElement;
    input.value = "";
    input.setCustomValidity("");
    dialog.returnValue = "";
    input.oninput = () => input.setCustomValidity(labelTyped(input.value) ? "" : "No class, or more than one, begins like that.");
    dialog.showModal();
    input.focus();
    dialog.onclose = () => {
      const label = labelTyped(input.value);
      if (dialog.returnValue === "ok" && label) mark(which, "relabel", label);
      if (back.closest(".card")) back.focus({ preventScroll: true });
    };
  }

  // -- zoom
  function zoom(card) {
    const dialog = $("zoom"), img = dialog.querySelector("img");
    img.src = card.querySelector(".pic").href;
    img.alt = card.querySelector("img").alt;
    $("zoom-words").textContent = `${Number(card.dataset.rank) + 1}: ${card.querySelector(".labels").innerText} · ${card.querySelector(".why").innerText}`;
    zoomMark(card);
    if (!dialog.open) dialog.showModal();
  }
  function zoomMark(card) {
    const { action, relabel, suggestion, suggestedLabel } = card.dataset;
    $("zoom-mark").dataset.action = action;
    $("zoom-mark").textContent = action
      ? `Marked: ${action}${relabel ? ` to ${relabel}` : ""}`
      : `Not marked; suggested: ${suggestion}${suggestedLabel ? ` to ${suggestedLabel}` : ""}`;
  }
  function compare() {
    const link = at >= 0 && cards[at].querySelector("a.compare");
    if (link) leave(link.href);
  }

  const keys = {
    ArrowRight: (e) => focus(at + 1, e.shiftKey), ArrowLeft: (e) => focus(at - 1, e.shiftKey),
    ArrowDown: (e) => focus(at < 0 ? 0 : Math.min(at + columns(), Math.max(at, cards.length - 1)), e.shiftKey), ArrowUp: (e) => focus(Math.max(0, at - columns()), e.shiftKey),
    l: () => focus(at + 1), h: () => focus(at - 1), j: () => keys.ArrowDown({}),
    x: () => mark(chosen(), "delete"), k: () => mark(chosen(), "keep"), Enter: () => suggestion(chosen()),
    Backspace: () => mark(chosen(), null), " ": () => at >= 0 && zoom(cards[at]), r: relabelByTyping, c: compare,
    a: () => cards.forEach((c) => c.classList.add("selected")), n: nextUndecided,
    Escape: () => cards.forEach((c) => c.classList.remove("selected")),
    u: () => send("/undo"), U: () => send("/redo"), "?": () => $("keys").showModal(),
  };
  const inZoom = new Set(["ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown", "l", "h", "j", "x", "k", "Enter", "Backspace", "u", "U"]);
  document.addEventListener("keydown", (e) => {
    const zoomed = $("zoom").open;
    if ((document.querySelector("dialog[open]") && !zoomed) || e.target.matches("select, input:not([type=radio])")) return;
    if (e.ctrlKey && e.key === "Enter") { e.preventDefault(); return submit(); }
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (!zoomed && e.key === "Enter" && e.target.matches("a, button, summary")) return;
    if (!zoomed && e.key === " " && e.target.matches("button, summary")) return;
    if (zoomed && e.key === " ") { e.preventDefault(); return $("zoom").close(); }
    if (/^[1-9]$/.test(e.key) && labels[e.key - 1]) { e.preventDefault(); return mark(chosen(), "relabel", labels[e.key - 1]); }
    if (!keys[e.key] || (zoomed && !inZoom.has(e.key))) return;
    e.preventDefault();
    keys[e.key](e);
    if (zoomed) zoom(cards[at]);
  });
  cards.forEach((card, i) => {
    card.addEventListener("click", (e) => {
      if (e.target.closest(".choice, .group, .facts a")) return;
      if (e.shiftKey && at >= 0) for (let k = Math.min(at, i); k <= Math.max(at, i); k++) cards[k].classList.add("selected");
      const picture = e.target.closest(".pic");
      if (picture) { e.preventDefault(); if (at === i && !e.shiftKey) zoom(card); }
      go(i);
    });
    card.querySelectorAll("input[type=radio]").forEach((r) => r.addEventListener("change", () => {
      at = i;
      const [action, ...rest] = r.value.split(":");
      const label = rest.join(":");
      if (action === "relabel" && !label) return card.querySelector(".to").focus();
      mark([card], action, label);
    }));
    const to = card.querySelector(".to");
    if (!to) return;
    to.addEventListener("keydown", (e) => { if (e.key === "Enter") { e.preventDefault(); go(i); } });
    to.addEventListener("change", () => {
      const label = labelTyped(to.value);
      at = i;
      if (label) mark([card], "relabel", label);
      else say(`There is no class '${to.value}'.`);
    });
  });
  $("zoom").addEventListener("close", () => at >= 0 && focus(at));
  form.addEventListener("submit", (e) => { e.preventDefault(); submit(); });
  document.querySelectorAll(".pages a").forEach((a) => a.addEventListener("click", (e) => { e.preventDefault(); leave(a.href, "first"); }));
  $("undo").addEventListener("click", () => send("/undo"));
  $("redo").addEventListener("click", () => send("/redo"));
  $("help").addEventListener("click", () => $("keys").showModal());
  window.addEventListener("pageshow", () => { saving = saving.then(reload); });
  arrive();
})();
