// Fingers: one that stays, and one that sweeps.
const HOLD_MS = 450;
const STILL_PX = 10;
const SWIPE_PX = 60;

/** Call `then` when a finger stays on an element; the click that may follow is swallowed. */
export function onHold(area, then) {
  let waiting, from, done;
  const stop = () => clearTimeout(waiting);
  area.addEventListener("pointerdown", (e) => {
    done = false;
    if (e.pointerType !== "touch") return;
    from = e;
    waiting = setTimeout(() => { done = true; then(); }, HOLD_MS);
  });
  area.addEventListener("pointermove", (e) => from && Math.hypot(e.clientX - from.clientX, e.clientY - from.clientY) > STILL_PX && stop());
  area.addEventListener("pointerup", stop);
  area.addEventListener("pointercancel", stop);
  area.addEventListener("contextmenu", (e) => from && e.preventDefault()); // the browser's own menu of a long press
  area.addEventListener("click", (e) => {
    if (done) { e.preventDefault(); e.stopImmediatePropagation(); }
    done = false;
  });
}

/** Call `then` with 1 for a sweep to the left (the next), -1 to the right; not while the page is zoomed. */
export function onSwipe(area, then) {
  let from = null;
  area.addEventListener("touchstart", (e) => (from = e.touches.length === 1 ? e.touches[0] : null), { passive: true });
  area.addEventListener("touchend", (e) => {
    const to = e.changedTouches[0];
    if (!from || visualViewport.scale > 1.05) return;
    const [x, y] = [to.clientX - from.clientX, to.clientY - from.clientY];
    if (Math.abs(x) > SWIPE_PX && Math.abs(x) > 2 * Math.abs(y)) then(x < 0 ? 1 : -1);
  }, { passive: true });
}
