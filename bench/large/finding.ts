/** What a large test has found, and what is wanted. */
export interface Finding {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  readonly target: { readonly atLeast: number } | { readonly atMost: number };
  readonly isMet: boolean;
}

/** Something that should be as much as a target, or more. */
export function atLeast(target: number, what: string, value: number, unit: string): Finding {
  return { what, value, unit, target: { atLeast: target }, isMet: value >= target };
}

/** Something that should be as little as a target, or less. */
export function atMost(target: number, what: string, value: number, unit: string): Finding {
  return { what, value, unit, target: { atMost: target }, isMet: value <= target };
}

/** What has gone wrong, of which there should be nothing. */
export function noErrors(errors: Readonly<Record<string, number>>): Finding {
  const texts = Object.entries(errors).map(([problem, times]) => `${times} × ${problem}`);
  const what = ['errors', ...(texts.length > 0 ? [`(${texts.join('; ')})`] : [])].join(' ');
  return atMost(
    0,
    what,
    Object.values(errors).reduce((sum, times) => sum + times, 0),
    '',
  );
}

/** A finding as it is printed. */
export function lineOf({ what, value, unit, target, isMet }: Finding): string {
  const wanted =
    'atLeast' in target ? `at least ${shown(target.atLeast)}` : `at most ${shown(target.atMost)}`;
  return `${`${what}: ${[shown(value), unit].join(' ').trimEnd()}`.padEnd(72)} ${wanted.padEnd(20)} ${isMet ? 'met' : 'NOT MET'}`;
}

function shown(value: number): string {
  return value.toLocaleString('en', {
    maximumSignificantDigits: Math.abs(value) < 1000 ? 3 : 9,
    maximumFractionDigits: 3,
  });
}
