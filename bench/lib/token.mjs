// Access tokens as `src/token.rs` makes them, so that a bench needs no control plane.
import { createHash } from "node:crypto";

const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";
const MASK = (1n << 64n) - 1n;
// XXH3's constants: https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
const PRIME64_1 = 0x9e3779b185ebca87n;
const PRIME_MX1 = 0x165667919e3779f9n;
const SECRET = Buffer.from(
  "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f" +
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c" +
    "3c2852bb91c300cb88d0658b532ea371644897a20df94e3819ef46a9deacd8a8" +
    "fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364ea",
  "hex",
);

/** XXH3-64 of 17 to 128 bytes, without a seed. */
export function xxh3(bytes) {
  const { length } = bytes;
  if (length < 17 || length > 128) throw new RangeError(`17 to 128 bytes, not ${length}`);
  const lane = (at, secret) => bytes.readBigUInt64LE(at) ^ SECRET.readBigUInt64LE(secret);
  const mix = (at, secret) => {
    const product = lane(at, secret) * lane(at + 8, secret + 8);
    return (product & MASK) ^ (product >> 64n);
  };
  let sum = BigInt(length) * PRIME64_1;
  for (let pair = Math.ceil(length / 32) - 1; pair >= 0; pair -= 1) {
    sum += mix(16 * pair, 32 * pair) + mix(length - 16 * (pair + 1), 32 * pair + 16);
  }
  let hash = sum & MASK;
  hash = ((hash ^ (hash >> 37n)) * PRIME_MX1) & MASK;
  return hash ^ (hash >> 32n);
}

/** A token of a kind (`client`, `server`, `admin`) for an environment (`project/environment`). */
export function mint(kind, environment) {
  const secret = Array.from(createHash("sha256").update(`${kind} ${environment}`).digest(), (byte) => ALPHABET[byte & 31]);
  const body = `hg${kind[0]}_${environment.replace("/", "_")}_${secret.join("")}`;
  const hash = xxh3(Buffer.from(body));
  const checksum = Array.from({ length: 6 }, (_, at) => ALPHABET[Number((hash >> BigInt(5 * at)) & 31n)]);
  return body + checksum.join("");
}

/** A token as a snapshot names it. */
export const tokenEntry = (kind, token) => ({ id: kind, kind, sha256: createHash("sha256").update(token).digest("hex") });
