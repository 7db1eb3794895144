/**
 * The transforms of Winograd's minimal filtering F(4 x 4, 3 x 3), lanes across four tiles. AssemblyScript.
 *
 * A tile of 4 x 4 outputs of a 3 x 3 convolution depends on a 6 x 6 patch d of the input: y = A^T [(G g G^T) * (B^T d
 * B)] A with 36 multiplications in place of 144 (Winograd 1980; Lavin, Gray, "Fast Algorithms for Convolutional Neural
 * Networks", CVPR 2016). The points of interpolation are 0, +-2/3, +-3/2 and infinity: with the usual 0, +-1, +-2 the
 * error of a layer of 64 channels is 2.2 times as large, and the worst case 4 times (bench/winograd-points.ts).
 * Glossary: a = 2/3, b = 3/2, so that a b = 1; d patch, g filter, m product, each along one axis.
 */

const A: f64 = 2.0 / 3.0;
const B: f64 = 1.5;
const A2: f64 = A * A;
const B2: f64 = B * B;
/** Derivatives at the points of the polynomial that has them as its roots; that at 0 is (a b)^2 = 1. */
const AT_A: f64 = 2 * A2 * (A2 - B2);
const AT_B: f64 = 2 * B2 * (B2 - A2);

/** B^T d along one axis: six vectors to `to`, `step` bytes apart. 20 operations. */
// @ts-ignore: decorator
@inline
export function transformPatch(
  d0: v128,
  d1: v128,
  d2: v128,
  d3: v128,
  d4: v128,
  d5: v128,
  to: usize,
  step: usize,
): void {
  const a = f32x4.splat(<f32>A),
    b = f32x4.splat(<f32>B),
    a2 = f32x4.splat(<f32>A2),
    b2 = f32x4.splat(<f32>B2),
    sum = f32x4.splat(<f32>(A2 + B2));
  v128.store(to, f32x4.sub(f32x4.add(d0, d4), f32x4.mul(sum, d2)));
  const evenA = f32x4.sub(d4, f32x4.mul(b2, d2)),
    oddA = f32x4.mul(a, f32x4.sub(d3, f32x4.mul(b2, d1)));
  v128.store(to + step, f32x4.add(evenA, oddA));
  v128.store(to + 2 * step, f32x4.sub(evenA, oddA));
  const evenB = f32x4.sub(d4, f32x4.mul(a2, d2)),
    oddB = f32x4.mul(b, f32x4.sub(d3, f32x4.mul(a2, d1)));
  v128.store(to + 3 * step, f32x4.add(evenB, oddB));
  v128.store(to + 4 * step, f32x4.sub(evenB, oddB));
  v128.store(to + 5 * step, f32x4.sub(f32x4.add(d1, d5), f32x4.mul(sum, d3)));
}

/** A^T m along one axis: four vectors to `to`, `step` bytes apart. 16 operations. */
// @ts-ignore: decorator
@inline
export function transformProduct(
  m0: v128,
  m1: v128,
  m2: v128,
  m3: v128,
  m4: v128,
  m5: v128,
  to: usize,
  step: usize,
): void {
  const evenA = f32x4.add(m1, m2),
    oddA = f32x4.sub(m1, m2),
    evenB = f32x4.add(m3, m4),
    oddB = f32x4.sub(m3, m4);
  v128.store(to, f32x4.add(m0, f32x4.add(evenA, evenB)));
  v128.store(to + step, f32x4.add(f32x4.mul(f32x4.splat(<f32>A), oddA), f32x4.mul(f32x4.splat(<f32>B), oddB)));
  v128.store(to + 2 * step, f32x4.add(f32x4.mul(f32x4.splat(<f32>A2), evenA), f32x4.mul(f32x4.splat(<f32>B2), evenB)));
  v128.store(
    to + 3 * step,
    f32x4.add(m5, f32x4.add(f32x4.mul(f32x4.splat(<f32>(A2 * A)), oddA), f32x4.mul(f32x4.splat(<f32>(B2 * B)), oddB))),
  );
}

/** G g along one axis, two filters at once in double: six vectors to `to`, `step` bytes apart. */
// @ts-ignore: decorator
@inline
export function transformFilter(g0: v128, g1: v128, g2: v128, to: usize, step: usize): void {
  v128.store(to, g0);
  const evenA = f64x2.add(f64x2.mul(f64x2.splat(1 / AT_A), g0), f64x2.mul(f64x2.splat(A2 / AT_A), g2)),
    oddA = f64x2.mul(f64x2.splat(A / AT_A), g1);
  v128.store(to + step, f64x2.add(evenA, oddA));
  v128.store(to + 2 * step, f64x2.sub(evenA, oddA));
  const evenB = f64x2.add(f64x2.mul(f64x2.splat(1 / AT_B), g0), f64x2.mul(f64x2.splat(B2 / AT_B), g2)),
    oddB = f64x2.mul(f64x2.splat(B / AT_B), g1);
  v128.store(to + 3 * step, f64x2.add(evenB, oddB));
  v128.store(to + 4 * step, f64x2.sub(evenB, oddB));
  v128.store(to + 5 * step, g2);
}

/** A y along one axis, the transpose of {@link transformProduct}: six vectors to `to`, `step` bytes apart. */
// @ts-ignore: decorator
@inline
export function transformGradient(y0: v128, y1: v128, y2: v128, y3: v128, to: usize, step: usize): void {
  v128.store(to, y0);
  const evenA = f32x4.add(y0, f32x4.mul(f32x4.splat(<f32>A2), y2)),
    oddA = f32x4.add(f32x4.mul(f32x4.splat(<f32>A), y1), f32x4.mul(f32x4.splat(<f32>(A2 * A)), y3));
  v128.store(to + step, f32x4.add(evenA, oddA));
  v128.store(to + 2 * step, f32x4.sub(evenA, oddA));
  const evenB = f32x4.add(y0, f32x4.mul(f32x4.splat(<f32>B2), y2)),
    oddB = f32x4.add(f32x4.mul(f32x4.splat(<f32>B), y1), f32x4.mul(f32x4.splat(<f32>(B2 * B)), y3));
  v128.store(to + 3 * step, f32x4.add(evenB, oddB));
  v128.store(to + 4 * step, f32x4.sub(evenB, oddB));
  v128.store(to + 5 * step, y3);
}

/** G^T z along one axis, the transpose of {@link transformFilter}: three vectors to `to`, `step` bytes apart. */
// @ts-ignore: decorator
@inline
export function transformSum(z0: v128, z1: v128, z2: v128, z3: v128, z4: v128, z5: v128, to: usize, step: usize): void {
  const evenA = f32x4.add(z1, z2),
    oddA = f32x4.sub(z1, z2),
    evenB = f32x4.add(z3, z4),
    oddB = f32x4.sub(z3, z4);
  v128.store(
    to,
    f32x4.add(
      z0,
      f32x4.add(f32x4.mul(f32x4.splat(<f32>(1 / AT_A)), evenA), f32x4.mul(f32x4.splat(<f32>(1 / AT_B)), evenB)),
    ),
  );
  v128.store(
    to + step,
    f32x4.add(f32x4.mul(f32x4.splat(<f32>(A / AT_A)), oddA), f32x4.mul(f32x4.splat(<f32>(B / AT_B)), oddB)),
  );
  v128.store(
    to + 2 * step,
    f32x4.add(
      z5,
      f32x4.add(f32x4.mul(f32x4.splat(<f32>(A2 / AT_A)), evenA), f32x4.mul(f32x4.splat(<f32>(B2 / AT_B)), evenB)),
    ),
  );
}

/**
 * Columns 0 to 3 and 4 to 5 of one row of four patches, each at its own address, to the six vectors of that row with
 * lanes across the patches.
 */
// @ts-ignore: decorator
@inline
export function patchRow(row0: usize, row1: usize, row2: usize, row3: usize, to: usize): void {
  const p0 = v128.load(row0),
    p1 = v128.load(row1),
    p2 = v128.load(row2),
    p3 = v128.load(row3);
  const low01 = v128.shuffle<f32>(p0, p1, 0, 4, 1, 5),
    high01 = v128.shuffle<f32>(p0, p1, 2, 6, 3, 7);
  const low23 = v128.shuffle<f32>(p2, p3, 0, 4, 1, 5),
    high23 = v128.shuffle<f32>(p2, p3, 2, 6, 3, 7);
  const end01 = v128.shuffle<f32>(v128.load64_zero(row0, 16), v128.load64_zero(row1, 16), 0, 4, 1, 5);
  const end23 = v128.shuffle<f32>(v128.load64_zero(row2, 16), v128.load64_zero(row3, 16), 0, 4, 1, 5);
  transformPatch(
    v128.shuffle<f64>(low01, low23, 0, 2),
    v128.shuffle<f64>(low01, low23, 1, 3),
    v128.shuffle<f64>(high01, high23, 0, 2),
    v128.shuffle<f64>(high01, high23, 1, 3),
    v128.shuffle<f64>(end01, end23, 0, 2),
    v128.shuffle<f64>(end01, end23, 1, 3),
    to,
    16,
  );
}
