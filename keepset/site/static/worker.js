// Loads the model and the runtime once, then answers for one picture after the other, away from the page's own thread.
// What it answers is what keepset.predict.model says of the same picture.

import * as ort from "./onnxruntime.js";
import { modelInput } from "./prepare.js";

const NEAREST = 5;
const SIMILAR = 3;
const STRIP = 2 ** 21;
let loaded;

self.onmessage = async ({ data: { id, file } }) => {
  try {
    loaded ??= load().catch((e) => {
      loaded = undefined; // the next picture tries again
      throw e;
    });
    const { facts, session } = await loaded;
    const answer = id === undefined ? {} : await predict(file, facts, session);
    self.postMessage({ id, answer });
  } catch (e) {
    self.postMessage({ id, error: e.friendly || `This browser cannot run the classifier. (${e.message || e})` });
  }
};

async function load() {
  const facts = await (await get("site.json")).json();
  const sizes = facts.download;
  const done = { "onnxruntime.wasm.bin": 0, "model.onnx": 0 };
  const total = sizes["onnxruntime.wasm.bin"] + sizes["model.onnx"];
  const tell = (name) => (n) => {
    done[name] += n;
    self.postMessage({ loading: Math.min(1, (done["model.onnx"] + done["onnxruntime.wasm.bin"]) / total), bytes: total });
  };
  const [wasm, model] = await Promise.all(Object.keys(done).map((name) => bytes(name, tell(name))));
  // Threads need headers that static hosts do not send; from the second visit on, offline.js sends them.
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
  ort.env.wasm.wasmBinary = await unpacked(wasm);
  ort.env.wasm.wasmPaths = { mjs: new URL("onnxruntime-loader.js", import.meta.url).href };
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  await session.run({ pixels: new ort.Tensor("uint8", new Uint8Array(3 * facts.preprocess.crop ** 2), shape(facts)) });
  return { facts, session };
}

const shape = (facts) => [1, facts.preprocess.crop, facts.preprocess.crop, 3];

async function get(name) {
  const answer = await fetch(name).catch(() => null);
  if (!answer?.ok) throw friendly("The classifier could not be loaded. Check your connection, then load this page again.");
  return answer;
}

async function bytes(name, tell) {
  const reader = (await get(name)).body.getReader();
  const parts = [];
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value);
    tell(part.value.length);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** Packed by gzip, unless a server has unpacked it already. */
async function unpacked(data) {
  if (data[0] !== 0x1f || data[1] !== 0x8b) return data;
  const stream = new Blob([data]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const friendly = (words) => Object.assign(new Error(words), { friendly: words });

async function predict(file, facts, session) {
  const pixels = await prepared(file, facts);
  const { logits, similarity } = await session.run({ pixels: new ort.Tensor("uint8", pixels, shape(facts)) });
  const highest = Math.max(...logits.data);
  const shares = Array.from(logits.data, (x) => Math.exp((x - highest) / facts.temperature));
  const sum = shares.reduce((a, b) => a + b, 0);
  const order = [...shares.keys()].sort((a, b) => shares[b] - shares[a]);
  const probabilities = order.map((i) => [facts.classes[i], shares[i] / sum]);
  const nearest = [...similarity.data.keys()].sort((a, b) => similarity.data[b] - similarity.data[a]);
  const near = nearest.slice(0, Math.max(1, Math.min(NEAREST, nearest.length - 1)));
  const distance = Math.min(2, Math.max(0, near.reduce((a, i) => a + 1 - similarity.data[i], 0) / near.length));
  return {
    probabilities,
    distance,
    unsure: probabilities[0][1] < facts.unsure_below,
    unfamiliar: distance > facts.far,
    similar: nearest.filter((i) => facts.pictures[i]).slice(0, SIMILAR).map((i) => ({ at: i, similarity: similarity.data[i] })),
  };
}

/** The file's pixels as the model takes them. Colour profiles are left out of account and transparency is laid on white, as in Python. */
export async function prepared(file, facts) {
  if (!file.size) throw friendly("This file is empty.");
  if (file.size > facts.limits.max_bytes) throw friendly(`This file is larger than ${facts.limits.max_bytes / 1e6} MB.`);
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" }).catch(() => {
    throw friendly("This is not a picture that this browser can read, or the file is damaged.");
  });
  try {
    const { width, height } = bitmap;
    if (width * height > facts.limits.max_pixels) throw friendly("This picture has too many pixels. Make it smaller first.");
    const head = new Uint8Array(await file.slice(0, 2 ** 17).arrayBuffer());
    const jpeg = head[0] === 0xff && head[1] === 0xd8;
    return modelInput({ width, height, rows: strips(bitmap) }, facts.preprocess, { jpeg, corner: jpeg ? corner(head) : {} });
  } finally {
    bitmap.close();
  }
}

/** Rows as RGBA, drawn strip by strip: phones allow no canvas as large as their own photos. */
function strips(bitmap) {
  const { width, height } = bitmap;
  const most = Math.max(64, Math.floor(STRIP / width));
  const canvas = new OffscreenCanvas(width, Math.min(most, height));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let [from, to, data] = [0, 0, null];
  const draw = (top, lines) => {
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, canvas.height);
    context.drawImage(bitmap, 0, -top);
    [from, to, data] = [top, top + lines, context.getImageData(0, 0, width, lines).data];
  };
  const whole = (top, count) => {
    const out = new Uint8ClampedArray(count * width * 4);
    for (let at = top; at < top + count; at = to) {
      draw(at, Math.min(most, top + count - at));
      out.set(data, (at - top) * width * 4);
    }
    return out;
  };
  return (top, count) => {
    if (count > most) return whole(top, count);
    if (top < from || top + count > to) draw(top, Math.min(most, height - top));
    return data.subarray((top - from) * width * 4, (top - from + count) * width * 4);
  };
}

/** Where the file's first pixel is once the picture is upright (Exif 2.32, 4.6.2): libjpeg's smaller scales begin there. */
function corner(head) {
  const view = new DataView(head.buffer);
  try {
    for (let at = 2; view.getUint8(at) === 0xff && view.getUint8(at + 1) !== 0xda; at += 2 + view.getUint16(at + 2)) {
      if (view.getUint8(at + 1) !== 0xe1 || view.getUint32(at + 4) !== 0x45786966) continue;
      const tiff = at + 10;
      const little = view.getUint16(tiff) === 0x4949;
      const first = tiff + view.getUint32(tiff + 4, little);
      for (let i = 0; i < view.getUint16(first, little); i += 1) {
        const entry = first + 2 + 12 * i;
        if (view.getUint16(entry, little) !== 0x0112) continue;
        const turn = view.getUint16(entry + 8, little);
        return { right: [2, 3, 6, 7].includes(turn), bottom: [3, 4, 7, 8].includes(turn) };
      }
    }
  } catch (e) {
    if (!(e instanceof RangeError)) throw e; // a damaged header turns nothing
  }
  return {};
}
