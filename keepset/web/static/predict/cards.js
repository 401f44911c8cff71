// The cards of the prediction page, and of the site that `keepset export site` writes: waiting, failed, and answered.

/** Whole per cents, and no picture is 100 % sure. */
export const percent = (share) => `${share > 0.995 ? "over 99" : share > 0 && share < 0.005 ? "under 1" : Math.round(share * 100)} %`;

function card(className, job, words) {
  const li = document.createElement("li");
  li.className = `answer ${className}`;
  const said = li.appendChild(document.createElement("div"));
  said.className = "said";
  for (const [kind, text] of [["name", job.name], [className === "failed" ? "trouble" : "", words]]) {
    const p = said.appendChild(document.createElement("p"));
    p.className = kind;
    p.textContent = text;
  }
  return li;
}

/** A card for a picture that is being predicted, with the picture. */
export function waiting(job) {
  const li = card("waiting", job, "Predicting …");
  const img = document.createElement("img");
  img.alt = "";
  img.src = job.file ? URL.createObjectURL(job.file) : job.preview || "";
  if (img.src) li.prepend(img);
  return li;
}

export const failed = (job, words) => card("failed", job, words);
