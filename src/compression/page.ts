/**
 * The frame of our pages: no script, no outside resource, under a content security policy of its own that allows its one
 * style and pictures in the file, nothing else.
 */
import { escapeHtml } from './charts.ts';
import { STYLE, STYLE_HASH } from './style.ts';

/** A whole document around `body`, which is HTML. */
export function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"/><meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src '${STYLE_HASH}'"/><meta name="viewport" content="width=device-width, initial-scale=1"/><title>${escapeHtml(title)}</title><style>${STYLE}</style></head><body>
${body}
</body></html>
`;
}

/** Rows of cells; `words` numbers the columns that hold sentences. On a phone each row of a wide one is a card. */
export function table(
  kind: 'narrow' | 'wide',
  head: readonly string[],
  rows: readonly (readonly string[])[],
  {
    words = [],
    foot = [],
  }: { readonly words?: readonly number[]; readonly foot?: readonly (readonly string[])[] } = {},
): string {
  const mark = (column: number): string => (words.includes(column) ? ' class="words"' : '');
  const cell = (text: string, column: number): string =>
    `<td${mark(column)} data-name="${escapeHtml(head[column])}">${escapeHtml(text)}</td>`;
  const lines = (cells: readonly (readonly string[])[]): string =>
    cells.map((row) => `<tr>${row.map(cell).join('')}</tr>`).join('\n');
  return `<table class="${kind}"><thead><tr>${head.map((name, column) => `<th${mark(column)}>${escapeHtml(name)}</th>`).join('')}</tr></thead>
<tbody>${lines(rows)}</tbody>${foot.length > 0 ? `<tfoot>${lines(foot)}</tfoot>` : ''}</table>`;
}

/** Names with their values under a heading; nothing where there are none. */
export function definitions(
  heading: string,
  pairs: readonly { readonly name: string; readonly value: string }[],
): string {
  if (pairs.length === 0) return '';
  const lines = pairs.map(({ name, value }) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`);
  return `<h2>${escapeHtml(heading)}</h2><dl class="definitions">${lines.join('\n')}</dl>`;
}
