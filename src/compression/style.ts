/** The style of the report's page. */

export const STYLE = `
:root { color-scheme: light dark; --ink: #1c2430; --quiet: #5b6577; --paper: #fff; --line: #d7dbe2; --before: #9aa5b8; --after: #1f7a5c; --truth: #e0a100; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --quiet: #9aa3b2; --paper: #14181f; --line: #333b48; --before: #77839a; --after: #45c29a; --truth: #f2c14e; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 80rem; margin: 2rem auto; padding: 0 1.25rem; overflow-wrap: anywhere; }
h1 { font-size: 1.2rem; margin: 0 0 1rem; } h2 { font-size: 1.15rem; margin: 2.4rem 0 .6rem; break-after: avoid; }
p { max-width: 46rem; margin: .3rem 0; } p.quiet { color: var(--quiet); }
.headline { display: flex; flex-wrap: wrap; align-items: baseline; gap: .2rem 1.6rem; margin-bottom: .4rem; }
.ratio { font-size: 5rem; line-height: 1; font-weight: 700; letter-spacing: -.03em; color: var(--after); }
.headline p { font-size: 1.3rem; flex: 1 1 18rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
table.narrow { max-width: 46rem; }
th, td { padding: .3rem .4rem; font-size: 13.5px; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line); overflow-wrap: break-word; }
td { white-space: nowrap; } th:first-child, td:first-child, .words { text-align: left; } td:first-child { white-space: normal; } td.words { white-space: normal; overflow-wrap: break-word; min-width: 8rem; }
thead th { color: var(--quiet); font-weight: 600; vertical-align: bottom; } tfoot td { font-weight: 600; } tr { break-inside: avoid; }
svg { display: block; max-width: 100%; height: auto; font: 12px system-ui, sans-serif; } svg text { fill: var(--quiet); } svg.chart { width: 100%; max-width: 46rem; }
.bar { display: grid; grid-template-columns: 9rem 1fr 17rem; gap: .1rem .8rem; align-items: center; font-size: 13.5px; padding: .15rem 0; break-inside: avoid; }
.bar svg { width: 100%; height: 1.2rem; } .bar span { font-variant-numeric: tabular-nums; } .bar span:first-child { text-align: right; }
.key { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; color: var(--quiet); margin: .3rem 0 .6rem; } .key span { display: flex; align-items: center; gap: .4rem; }
.faces { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr)); gap: .6rem; }
.face { margin: 0 0 1.6rem; break-inside: avoid; } .face figcaption { color: var(--quiet); font-size: 13.5px; margin-top: .3rem; }
.face label { cursor: zoom-in; } .face input { position: absolute; opacity: 0; } .face svg { width: 100%; border-radius: 6px; }
.face label:has(:checked) { grid-column: 1 / -1; cursor: zoom-out; } .face label:has(:checked) svg { max-width: min(100%, 92vh); margin: auto; } .face label:has(:focus-visible) svg { outline: 3px solid var(--after); }
.definitions dt { color: var(--quiet); font-size: 13.5px; } .definitions dd { margin: 0 0 .5rem; font-family: ui-monospace, monospace; font-size: 13px; white-space: pre-wrap; }
@media screen and (max-width: 70rem) {
  .ratio { font-size: 4rem; } svg.chart { font-size: 20px; } body { padding: 0 1rem; } table.narrow th, table.narrow td { font-size: 12.5px; padding: .3rem .2rem; }
  .bar { grid-template-columns: 1fr auto; } .bar span:first-child { text-align: left; } .bar svg { grid-row: 2; grid-column: 1 / -1; }
  table.wide thead { display: none; } table.wide tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  table.wide td { display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: .1rem 0; white-space: normal; text-align: right; }
  table.wide td:empty { display: none; } table.wide td.words { min-width: 0; } table.wide td::before { content: attr(data-name); color: var(--quiet); font-weight: 400; text-align: left; flex: none; }
  table.wide td:first-child { font-weight: 600; }
}
@media print {
  :root { color-scheme: light; --ink: #000; --quiet: #444; --paper: #fff; --line: #bbb; --before: #9aa5b8; --after: #1f7a5c; --truth: #c98f00; }
  @page { margin: 14mm; } body { margin: 0; padding: 0; max-width: none; font-size: 10pt; }
  th, td { font-size: 7.5pt; padding: .15rem .2rem; } td { white-space: normal; overflow-wrap: normal; } .bar { grid-template-columns: 6rem 1fr 14rem; font-size: 8pt; } td.words { min-width: 5rem; } svg.chart { max-width: 15cm; }
  .faces { grid-template-columns: repeat(3, 1fr); } .face label:has(:checked) { grid-column: auto; }
}
`;

/**
 * SHA-256 of the style, by which the page's own policy allows it and nothing else: a name that broke out of its text
 * could neither run nor load anything. A test says what it is to be after a change.
 */
export const STYLE_HASH = 'sha256-qlvOMGIg9emcePRrPqTTlnkplJQ5a75K/bgre9yXk6Q=';
