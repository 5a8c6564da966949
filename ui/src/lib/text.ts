// Text from containers, made honest before any screen sees it: characters that
// draw nothing or turn the reading order round could make one command look like
// another, so they are shown as escapes.
// eslint-disable-next-line no-control-regex
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** s with every invisible or reordering character written as \u{…}. Line breaks and tabs stay. */
export function visible(s: string): string {
  return s.replace(HIDDEN, (c) => `\\u{${c.charCodeAt(0).toString(16)}}`);
}

/** The same over every text in a message, keys of maps included, in place. Bounded by the depth of the API's messages. */
export function reveal(value: unknown, depth = 0): void {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || depth > 8) return;
  const o = value as Record<string, unknown>;
  const map = !Array.isArray(value) && !Object.hasOwn(o, "$typeName");
  for (const k of Object.keys(o)) {
    let v = o[k];
    if (typeof v === "string" && k !== "$typeName") {
      const w = visible(v);
      if (w !== v) o[k] = v = w;
    } else reveal(v, depth + 1);
    if (map && visible(k) !== k) {
      delete o[k];
      o[visible(k)] = v;
    }
  }
}
