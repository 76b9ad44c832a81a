/** Whether a text has at least so many Unicode code points, without counting further than needed. */
export function hasAtLeast(text: string, codePoints: number): boolean {
  if (text.length < codePoints) return false;
  if (text.length >= 2 * codePoints) return true;
  let count = 0;
  for (const _ of text) {
    count += 1;
    if (count >= codePoints) return true;
  }
  return codePoints <= 0;
}

/** Whether a text has at most so many Unicode code points. */
export function hasAtMost(text: string, codePoints: number): boolean {
  return !hasAtLeast(text, codePoints + 1);
}
