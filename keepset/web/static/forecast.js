// Fetches what the batch will do, once the page before submitting is painted. Without JavaScript the link leads to it.
"use strict";
(() => {
  const box = document.getElementById("forecast");
  const link = box?.querySelector("a");
  if (!link) return;
  let asked = 0;
  const chosen = () => document.querySelector('.submit [name="undecided"]:checked')?.value ?? "keep";
  const say = (words) => {
    const line = document.createElement("p");
    line.className = "soft";
    line.textContent = words;
    box.replaceChildren(line);
  };
  const show = async () => {
    const mine = ++asked;
    say("Working out what this will do …");
    try {
      const answer = await fetch(`${link.pathname}?undecided=${chosen()}`, { headers: { accept: "text/html" } });
      const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("forecast");
      if (mine === asked) box.replaceChildren(...found.childNodes);
    } catch {
      if (mine === asked) say("What this will do is not known now: the gallery did not answer. You can submit all the same.");
    }
  };
  document.querySelector(".submit").addEventListener("change", (e) => {
    if (e.target.name === "undecided") show();
  });
  requestAnimationFrame(() => setTimeout(show));
})();
