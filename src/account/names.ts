import { hasAtMost } from '../codePoints.js';

/** Code points of the longest username and display name. */
export const NAME_MAX = 50;

/** Control, format, private, unassigned and lone surrogates; separators other than a plain space; what looks empty. */
const INVISIBLE =
  /[\p{C}\p{Zl}\p{Zp}\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\u115f\u1160\u3164\uffa0\u2800]|\u034f/u;
const VISIBLE = /[^\s\p{M}]/u;

/** Whether all of a name can be seen, and there is anything to be seen. */
export function isVisible(name: string): boolean {
  return !INVISIBLE.test(name) && VISIBLE.test(name);
}

/** A display name as it is kept, after NFC; null if it can't be one. */
export function displayNameOf(text: string): string | null {
  const name = text.normalize('NFC');
  return hasAtMost(name, NAME_MAX) && isVisible(name) ? name : null;
}
