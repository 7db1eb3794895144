/** What a call of a convolution keeps in its scratch, whichever way it goes. AssemblyScript. */
import { BLOCK_K, GROUP_PANELS, TILE_COLUMNS } from './blocking';
import { PLAN_WORDS } from './convolution-plan';
import { align } from './tile';
import { at } from './words';

/** Of a panel's record: see `Panel` in convolution-product.ts. */
export const PANEL_WORDS: i32 = 64;

/** A call's working space and the constants of its epilogue. */
@unmanaged
export class Work {
  plan: usize;
  tapTable: usize;
  panels: usize;
  edge: usize;
  gathered: usize;
  stage: usize;
  activation: i32;
  leak: f32;
  /** Of convolution-across.ts. */
  places: usize;
  pairs: usize;
  sums: usize;
}
const WORK_WORDS: i32 = 16;

/** Lays the scratch out; `taps`: of the whole kernel. sizes.ts counts the same words. */
export function layOut(scratch: i32, taps: i32): Work {
  let here = align(scratch);
  const work = changetype<Work>(here);
  here += at(WORK_WORDS);
  work.plan = here;
  here += at(PLAN_WORDS);
  work.edge = here;
  here += at(2 * TILE_COLUMNS);
  work.panels = here;
  here += at(PANEL_WORDS * GROUP_PANELS);
  work.gathered = here;
  here += at(BLOCK_K * TILE_COLUMNS + TILE_COLUMNS);
  work.tapTable = here;
  here += at((taps + 15) & ~15);
  work.stage = here;
  work.activation = 0;
  work.leak = 0;
  return work;
}
