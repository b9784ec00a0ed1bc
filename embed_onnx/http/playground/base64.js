/* Numbers of base64 strings, little-endian, whatever this machine's own byte order. */

const READERS = {
  float16: { bytes: 2, read: (view, offset) => half(view.getUint16(offset, true)) },
  float32: { bytes: 4, read: (view, offset) => view.getFloat32(offset, true) },
};

/** The numbers of a type, as Float32Array. */
export function decode(base64, dtype = "float32") {
  const { bytes, read } = READERS[dtype];
  const characters = atob(base64);
  const view = new DataView(new ArrayBuffer(characters.length));
  for (let index = 0; index < characters.length; index++) view.setUint8(index, characters.charCodeAt(index));
  return Float32Array.from({ length: characters.length / bytes }, (_, index) => read(view, index * bytes));
}

/** The number that the 16 bits of a float16 stand for; not every browser reads one by itself. */
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
