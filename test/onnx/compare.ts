/** Numbers beside those that an oracle gave. */

/** The first few that differ by more than `absolute` + `relative` times the expected, as text. */
export function differences(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  relative: number,
  absolute: number,
): string[] {
  if (actual.length !== expected.length) return [`expected ${expected.length} numbers, got ${actual.length}`];
  const found: string[] = [];
  for (let i = 0; i < expected.length && found.length < 5; i++) {
    const same = Object.is(actual[i], expected[i]) || actual[i] === expected[i];
    if (!same && !(Math.abs(actual[i] - expected[i]) <= absolute + relative * Math.abs(expected[i])))
      found.push(`${i}: expected ${expected[i]}, got ${actual[i]}`);
  }
  return found;
}
