/** Softmax along rows. */
import { dotOf } from './elementwise';
import { exp4 } from './vector';
import { at, loadFloat, storeFloat } from './words';

export function softmaxForward(scratch: i32, x: i32, y: i32, rows: i32, columns: i32): void {
  for (let r = 0; r < rows; r++) {
    const from = x + r * columns,
      to = y + r * columns;
    let most = -Infinity as f32,
      sum: f64 = 0;
    for (let j = 0; j < columns; j++) most = max<f32>(most, loadFloat(from + j));
    const shift = f32x4.splat(most);
    let j = 0;
    for (; j + 4 <= columns; j += 4) v128.store(at(to + j), exp4(f32x4.sub(v128.load(at(from + j)), shift)));
    for (; j < columns; j++)
      storeFloat(to + j, f32x4.extract_lane(exp4(f32x4.sub(v128.load32_splat(at(from + j)), shift)), 0));
    for (j = 0; j < columns; j++) sum += <f64>loadFloat(to + j);
    for (j = 0; j < columns; j++) storeFloat(to + j, <f32>(<f64>loadFloat(to + j) / sum));
  }
}

export function softmaxBackward(scratch: i32, y: i32, dy: i32, dx: i32, rows: i32, columns: i32): void {
  for (let r = 0; r < rows; r++) {
    const row = r * columns,
      dot = dotOf(y + row, dy + row, columns);
    for (let j = row; j < row + columns; j++)
      storeFloat(dx + j, <f32>(<f64>loadFloat(y + j) * (<f64>loadFloat(dy + j) - dot)));
  }
}
