import { describe, expect, it } from 'vitest';
import { defaultSources, defaultWorkers, isLoopback, parseSources } from '../../src/load/machine.js';

describe('isLoopback', () => {
  it.each(['127.0.0.1', '127.9.9.9', 'localhost', '[::1]'])('takes %s for this machine', (host) => {
    expect(isLoopback(host)).toBe(true);
  });

  it.each(['192.168.0.1', '127.0.0.1.example.com', 'example.com', '[::2]', '0.0.0.0'])('not %s', (host) => {
    expect(isLoopback(host)).toBe(false);
  });
});

describe('parseSources', () => {
  it('reads addresses and ranges', () => {
    expect(parseSources('127.0.0.2-127.0.0.4,127.0.1.1')).toEqual([
      '127.0.0.2',
      '127.0.0.3',
      '127.0.0.4',
      '127.0.1.1',
    ]);
  });

  it.each([
    '',
    '127.0.0',
    '127.0.0.2-',
    '127.0.0.4-127.0.0.2',
    '127.0.0.2-127.0.1.3',
    '127.0.0.256',
    'a.b.c.d',
  ])('refuses "%s"', (text) => {
    expect(parseSources(text)).toBeNull();
  });
});

describe('what is chosen by default', () => {
  it('is one address while its ports suffice', () => {
    expect(defaultSources(6000, ['ws://127.0.0.1:8080/ws'])).toEqual([]);
    expect(defaultSources(18_000, ['ws://127.0.0.1:8080/ws'])).toEqual([
      '127.0.0.2',
      '127.0.0.3',
      '127.0.0.4',
    ]);
    expect(defaultSources(18_000, ['ws://192.0.2.1:8080/ws'])).toEqual([]);
  });

  it('is never more workers than clients', () => {
    expect(defaultWorkers(1)).toBe(1);
  });
});
