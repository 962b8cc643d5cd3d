/* Numbers and weights from the texts of a page. */

function bytes(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/** Base-85 digits, as in Python except one; five of them encode four bytes. */
const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~";

function bytesOf85(text) {
  const values = new Uint8Array(128);
  [...DIGITS].forEach((digit, i) => (values[digit.charCodeAt(0)] = i));
  const missing = (5 - (text.length % 5)) % 5;
  const whole = text + "~".repeat(missing);
  const view = new DataView(new ArrayBuffer((whole.length / 5) * 4));
  for (let i = 0; i < whole.length / 5; i++) {
    let value = 0;
    for (let k = 0; k < 5; k++) value = value * 85 + values[whole.charCodeAt(5 * i + k)];
    view.setUint32(4 * i, value);
  }
  return new Uint8Array(view.buffer, 0, view.byteLength - missing);
}

/** The bytes of a deflated text. */
async function inflated(text) {
  const stream = new Blob([bytesOf85(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The deflated text that an element of the page holds. */
async function textIn(id) {
  return new TextDecoder().decode(await inflated(document.getElementById(id)?.textContent));
}

/** float16 as float32: sign, 5 bits of exponent, 10 of fraction. */
function widened(halves) {
  return Float32Array.from(halves, (half) => {
    const [sign, exponent, fraction] = [half & 0x8000 ? -1 : 1, (half >> 10) & 31, half & 1023];
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
}

function numbers(base64, type) {
  const { buffer } = bytes(base64);
  if (type === "float16") return widened(new Uint16Array(buffer));
  return new Float32Array(buffer);
}

const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1);

/** Integers from planes of bytes: one byte may have the last two bits of four integers, and two planes have the rest. */
function wholeOf(planes, count, lowBits) {
  const quarters = lowBits ? Math.ceil(count / 4) : 0;
  const [low, high] = [planes.subarray(quarters, quarters + count), planes.subarray(quarters + count)];
  return Int32Array.from({ length: count }, (_, i) => {
    const folded = low[i] | (high[i] << 8);
    const rest = (folded >>> 1) ^ -(folded & 1);
    return lowBits ? 4 * rest + ((planes[i >> 2] >> (2 * (i & 3))) & 3) : rest;
  });
}

/**
 * The tensors of a model, by name.
 * @param {PackedWeights} model
 */
async function tensorsOf({ shapes, weights, weights_type: type, low_bits: lowBits, scales, rest }) {
  const isRounded = type === "steps";
  const count = shapes.reduce((sum, [, shape, along]) => sum + (along ? sizeOf(shape) : 0), 0);
  const whole = isRounded ? wholeOf(await inflated(weights), count, lowBits) : new Int32Array();
  const exact = isRounded ? numbers(rest, "float16") : numbers(weights, "float32");
  const steps = numbers(isRounded ? scales : "", "float32");
  /** @type {Tensors} */
  const tensors = {};
  let [w, s, e] = [0, 0, 0];
  for (const [name, shape, along] of shapes) {
    const length = sizeOf(shape);
    if (!along) {
      tensors[name] = exact.subarray(e, (e += length));
      continue;
    }
    const [inputs, outputs] = shape;
    const [first, firstStep] = [w, s];
    const of = { all: () => 0, inputs: (i) => Math.floor(i / outputs), outputs: (i) => i % outputs }[along];
    tensors[name] = Float32Array.from({ length }, (_, i) => whole[first + i] * steps[firstStep + of(i)]);
    w += length;
    s += { all: 1, inputs, outputs }[along];
  }
  return tensors;
}

/** Replaces references to numbers by views of the deflated numbers. */
async function withNumbers(value, text) {
  const planes = await inflated(text);
  const count = planes.length / 8;
  const bytes = Uint8Array.from(planes, (_, i) => planes[(i % 8) * count + Math.floor(i / 8)]);
  const all = new Float64Array(bytes.buffer);
  /** @type {(each: any) => any} */
  const replaced = (each) => {
    if (!each || typeof each !== "object" || Array.isArray(each)) return each;
    if ("length" in each) return all.subarray(each.first, each.first + each.length);
    return Object.fromEntries(Object.entries(each).map(([key, part]) => [key, replaced(part)]));
  };
  return value.map(replaced);
}

Object.assign(window.pointillist, { unpackNumbers: numbers, bytesOf: bytes, inflated, textIn, tensorsOf, withNumbers });
