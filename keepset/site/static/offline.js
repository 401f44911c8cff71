// Keeps the whole site on the device. A new version is fetched in the background and used from the next visit on.
// What it hands out has the headers with which browsers allow several threads; a static host cannot send them.

const VERSION = "@VERSION@";
const FILES = @FILES@;

const ISOLATED = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

const digest = async (answer) => {
  const found = await crypto.subtle.digest("SHA-256", await answer.clone().arrayBuffer());
  return [...new Uint8Array(found)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
};

/** What the browser has already, if it is of this version; else from the server. */
async function fetched(name, wanted) {
  const answer = await fetch(name);
  return answer.ok && (await digest(answer)) === wanted ? answer : fetch(name, { cache: "reload" });
}

self.addEventListener("install", (event) => {
  const all = caches.open(VERSION).then((cache) =>
    Promise.all(
      Object.entries(FILES).map(async ([name, wanted]) => {
        const answer = await fetched(name, wanted);
        if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
        const headers = { "Content-Type": answer.headers.get("Content-Type") ?? "", ...ISOLATED };
        await cache.put(name, new Response(await answer.blob(), { headers }));
      }),
    ),
  );
  event.waitUntil(all);
});

self.addEventListener("activate", (event) => {
  const others = async () => (await caches.keys()).filter((name) => name.startsWith("@SITE@") && name !== VERSION);
  const tidy = async () => Promise.all((await others()).map((name) => caches.delete(name)));
  event.waitUntil(tidy().then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  const kept = async () => {
    const cache = await caches.open(VERSION);
    const url = new URL(event.request.url);
    const path = url.pathname.endsWith("/") ? `${url.pathname}index.html` : url.pathname;
    const found = await cache.match(url.origin + path);
    if (found) return found;
    // An address that is no page leads home, wherever on its host the site is.
    const answer = await fetch(event.request).catch(() => Response.error());
    const lost = event.request.mode === "navigate" && (answer.status === 404 || answer.type === "error");
    return lost && url.href !== self.registration.scope ? Response.redirect(self.registration.scope) : answer;
  };
  event.respondWith(kept());
});
