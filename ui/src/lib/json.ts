import { visible } from "./text";

/** JSON that lib/text has been over, as JSON again: what it wrote as \u{…} within a string is an escape that JSON knows. */
export const unrevealed = (text: string): string => text.replace(/\\u\{([0-9a-f]{1,4})\}/g, (_, h: string) => `\\u${h.padStart(4, "0")}`);

/** JSON as people read it, or the text as it came and that it is none. Long numbers keep their digits, hidden characters show. */
export function pretty(text: string): { text: string; valid: boolean } {
  try {
    // Numbers are kept as written: nanoseconds do not fit a JavaScript number.
    const doc: unknown = JSON.parse(unrevealed(text).replace(/([:[,]\s*)(-?\d{16,})(?=\s*[,}\]])/g, '$1"$2"'));
    return { text: visible(JSON.stringify(doc, null, 2).replace(/"(-?\d{16,})"/g, "$1")), valid: true };
  } catch {
    return { text: visible(text), valid: false };
  }
}
