/** Mutations of JSON values: what a file may hold though its checksum is right. */
import fc from 'fast-check';

const ODD = fc.oneof(
  fc.constantFrom(null, true, 0, -1, 1e308, 0.5, '', 'x', [], {}, [[]], [null], [0, 1], [[0.1, null]], { length: 1 }),
  fc.integer(),
);

/** Copies of a value with one of its parts replaced by something odd, or dropped. */
export function mutations(value: unknown): fc.Arbitrary<unknown> {
  const places: (string | number)[][] = [];
  const walk = (part: unknown, path: (string | number)[]): void => {
    places.push(path);
    if (typeof part === 'object' && part !== null)
      for (const [key, inner] of Object.entries(part)) walk(inner, [...path, key]);
  };
  walk(value, []);
  return fc.tuple(fc.constantFrom(...places), ODD, fc.boolean()).map(([path, replacement, drop]) => {
    if (path.length === 0) return replacement;
    const copy = structuredClone(value);
    let part = copy as Record<string | number, unknown>;
    for (const key of path.slice(0, -1)) part = part[key] as Record<string | number, unknown>;
    const last = path[path.length - 1];
    if (!drop) part[last] = replacement;
    else if (Array.isArray(part)) part.splice(Number(last), 1);
    else delete part[last];
    return copy;
  });
}
