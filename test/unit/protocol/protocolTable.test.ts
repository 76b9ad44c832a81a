import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { AUTH_TEXTS, CLOSE, ERROR_TEXTS, registrationTexts } from '../../../src/protocol/errors.js';

const DOCS = readFileSync(new URL('../../../docs/protocol.md', import.meta.url), 'utf8');

/** The rows of the tables of a section, each with its cells; code marks are taken off. */
function rowsOf(heading: string): string[][] {
  const [, section] = DOCS.split(`\n## ${heading}\n`);
  const [text] = section!.split('\n## ');
  return [...text!.matchAll(/^\|(.*)\|$/gm)]
    .map(([, row]) => row!.split('|').map((cell) => cell.trim().replace(/^`(.*)`$/, '$1')))
    .filter(([first]) => !/^(message|code|-+)$/.test(first!));
}

describe('docs/protocol.md has', () => {
  it('every error code with its text', () => {
    const { REGISTRATION_ERROR, ...documented } = Object.fromEntries(rowsOf('Errors')) as Record<
      string,
      string
    >;
    expect(documented).toEqual(ERROR_TEXTS);
    expect(REGISTRATION_ERROR).toBe('see [register](#register)');
  });

  it('every text of auth_error', () => {
    const documented = rowsOf('token_auth').map(([text]) => text);
    expect(documented.toSorted()).toEqual(Object.values(AUTH_TEXTS).toSorted());
  });

  it('every text of a refused registration', () => {
    const documented = rowsOf('register').map(([text]) => text);
    expect(documented.toSorted()).toEqual(Object.values(registrationTexts(6)).toSorted());
  });

  it('every close code with its reason', () => {
    const documented = rowsOf('Close codes').map(([code, reason]) => ({ code: Number(code), reason }));
    expect(documented).toEqual(Object.values(CLOSE));
  });
});
