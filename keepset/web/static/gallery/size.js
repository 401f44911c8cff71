// How large the tiles are. A cookie keeps it, so that the server writes the page in the right size.
import { $ } from "./page.js";
import { grid, sharpen } from "./cards.js";
import { current } from "./moving.js";

export function wireSize() {
  const slider = $("size");
  slider.addEventListener("input", () => {
    grid.dataset.size = slider.value;
    document.cookie = `keepset_tiles=${slider.value}; path=/; max-age=31536000; samesite=strict`;
    current()?.scrollIntoView({ block: "nearest" });
    sharpen();
  });
  addEventListener("resize", sharpen);
  sharpen();
}
