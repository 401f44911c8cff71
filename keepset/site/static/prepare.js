// An upright picture to the model's input, as keepset/images/pixels.py does it: the same numbers as Pillow's, whose
// fixed-point arithmetic (src/libImaging/Resample.c and Reduce.c) is repeated here. A canvas would resize in its own way.

const BITS = 22;
const HALF = 2 ** (BITS - 1);
const FILTERS = {
  box: [0.5, (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)],
  bilinear: [1, (x) => (x < 1 ? 1 - x : 0)],
  hamming: [1, (x) => (x === 0 ? 1 : x < 1 ? (Math.sin(Math.PI * x) / (Math.PI * x)) * (0.54 + 0.46 * Math.cos(Math.PI * x)) : 0)],
  bicubic: [2, (x) => (x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0)],
  lanczos: [3, (x) => (x < 3 ? sinc(x) * sinc(x / 3) : 0)],
};
const sinc = (x) => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI));

/** Python's round: halves to the even number. */
const round = (x) => (x % 1 === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));

/**
 * source: {width, height, rows(top, count) => RGBA bytes}; jpeg: whether Python would have decoded it at a smaller scale;
 * corner: {right, bottom}, where that decoding began, once the picture is turned upright.
 * Returns uint8 [crop, crop, 3].
 */
export function modelInput(source, spec, { jpeg = false, corner = {} } = {}) {
  const drafted = jpeg ? draft(source, spec.resize) : 1;
  let image = boxMean(source, drafted, drafted, halfUp, corner);
  const scale = spec.resize / Math.min(image.width, image.height);
  const size = [image.width, image.height].map((side) => Math.max(spec.crop, round(side * scale)));
  const spans = [image.width, image.height];
  const factors = spans.map((side, i) => Math.floor(side / size[i] / 3) || 1);
  if (Math.max(...factors) > 1) image = boxMean(image, ...factors, asPillow);
  const passes = spans.map((span, i) => {
    const places = weights(i ? image.height : image.width, span / factors[i], size[i], spec.interpolation);
    const from = Math.floor((size[i] - spec.crop) / 2);
    return (of) => resampled(of, places.slice(from, from + spec.crop), i === 1);
  });
  if (image.height - size[1] > 2 * Math.max(0, image.width - size[0])) passes.reverse(); // as Pillow 13 does with tall pictures
  const { data } = passes.reduce((of, pass) => pass(of), image);
  return Uint8Array.from({ length: 3 * spec.crop ** 2 }, (_, i) => data[4 * Math.floor(i / 3) + (i % 3)]);
}

/** The scale at which libjpeg decodes for Pillow's draft mode. */
function draft({ width, height }, shortest) {
  const most = Math.min(Math.floor(width / shortest), Math.floor(height / shortest));
  return [8, 4, 2].find((scale) => most >= scale) || 1;
}

/** Of libjpeg's smaller scales: each pixel is the mean of a square. */
const halfUp = (count) => (sum) => Math.floor(sum / count + 0.5);

/** Of Pillow's reduce: division by a rounded reciprocal. */
function asPillow(count) {
  const reciprocal = Math.floor(2 ** 24 / count);
  const half = Math.floor(count / 2);
  return (sum) => Math.floor(((sum + half) * reciprocal) / 2 ** 24);
}

/** Means of fx by fy boxes, as RGBA; what is left over at an edge is a smaller box. Reads the source strip by strip. */
function boxMean(source, fx, fy, division, corner = {}) {
  const { width, height } = source;
  const [ahead, above] = [corner.right ? (fx - (width % fx)) % fx : 0, corner.bottom ? (fy - (height % fy)) % fy : 0];
  const out = plain(Math.ceil(width / fx), Math.ceil(height / fy));
  if (fx === 1 && fy === 1) {
    out.data.set(source.rows(0, height));
    return out;
  }
  const sums = new Uint32Array(out.width * 3);
  const column = Uint32Array.from({ length: width }, (_, x) => 3 * Math.floor((x + ahead) / fx));
  const share = new Uint32Array(out.width);
  for (let x = 0; x < width; x += 1) share[column[x] / 3] += 1;
  for (let y = 0, top = 0; y < out.height; y += 1) {
    const count = Math.min((y + 1) * fy - above, height) - top;
    const pixels = source.rows(top, count);
    sums.fill(0);
    for (let row = 0, at = 0; row < count; row += 1) {
      for (let x = 0; x < width; x += 1, at += 4) {
        const to = column[x];
        sums[to] += pixels[at];
        sums[to + 1] += pixels[at + 1];
        sums[to + 2] += pixels[at + 2];
      }
    }
    const whole = division(fx * count);
    for (let x = 0, to = y * out.width * 4; x < out.width; x += 1, to += 4) {
      const mean = share[x] === fx ? whole : division(share[x] * count);
      for (let c = 0; c < 3; c += 1) out.data[to + c] = mean(sums[3 * x + c]);
    }
    top += count;
  }
  return out;
}

/** Pixels in memory as a source. */
function plain(width, height) {
  const data = new Uint8ClampedArray(width * height * 4);
  return { width, height, data, rows: (top, count) => data.subarray(top * width * 4, (top + count) * width * 4) };
}

/** For each of n places of the output: where its weights begin in the input, and the weights in fixed point. */
function weights(length, span, n, interpolation) {
  const [support, filter] = FILTERS[interpolation];
  const scale = span / n;
  const wide = Math.max(scale, 1);
  const reach = support * wide;
  const same = n === length && span === length;
  return Array.from({ length: n }, (_, i) => {
    if (same) return { start: i, taps: [2 ** BITS] };
    const centre = (i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - reach + 0.5));
    const end = Math.min(length, Math.trunc(centre + reach + 0.5));
    const taps = Array.from({ length: end - start }, (__, k) => value(filter, interpolation, (k + start - centre + 0.5) / wide, wide));
    const total = taps.reduce((a, b) => a + b, 0);
    return { start, taps: Int32Array.from(taps, (w) => Math.trunc((w / total) * 2 ** BITS + (w / total < 0 ? -0.5 : 0.5))) };
  });
}

const value = (filter, interpolation, x) => filter(interpolation === "box" ? x : Math.abs(x));

/** One pass, across or down, each byte rounded; only the places that are wanted. */
function resampled(image, places, down) {
  const out = down ? plain(image.width, places.length) : plain(places.length, image.height);
  const step = down ? 4 * image.width : 4;
  for (let y = 0, to = 0; y < out.height; y += 1) {
    for (let x = 0; x < out.width; x += 1, to += 4) {
      const { start, taps } = places[down ? y : x];
      let at = 4 * (down ? start * image.width + x : y * image.width + start);
      let [r, g, b] = [HALF, HALF, HALF];
      for (let k = 0; k < taps.length; k += 1, at += step) {
        r += image.data[at] * taps[k];
        g += image.data[at + 1] * taps[k];
        b += image.data[at + 2] * taps[k];
      }
      out.data[to] = r >> BITS; // clamped to a byte by the array
      out.data[to + 1] = g >> BITS;
      out.data[to + 2] = b >> BITS;
    }
  }
  return out;
}
