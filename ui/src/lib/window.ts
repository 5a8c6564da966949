// Which rows of a long list are worth drawing. All rows have one height.

export interface Slice {
  from: number;
  to: number; // exclusive
}

/** Rows that touch the viewport, with a margin above and below. */
export function slice(count: number, rowHeight: number, scrollTop: number, height: number, margin = 8): Slice {
  const first = Math.floor(Math.max(0, scrollTop) / rowHeight);
  const visible = Math.ceil(Math.max(0, height) / rowHeight) + 1;
  return { from: Math.max(0, Math.min(count, first) - margin), to: Math.min(count, first + visible + margin) };
}

/** The scroll position that brings row i into view, moving as little as possible. */
export function reveal(i: number, rowHeight: number, scrollTop: number, height: number): number {
  const top = i * rowHeight;
  if (top < scrollTop) return top;
  if (top + rowHeight > scrollTop + height) return top + rowHeight - height;
  return scrollTop;
}
