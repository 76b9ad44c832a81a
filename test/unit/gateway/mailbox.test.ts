import { describe, expect, it } from 'vitest';
import { Mailbox } from '../../../src/gateway/mailbox.js';

describe('a mailbox', () => {
  it('gives what it got in order, and then nothing', () => {
    const mailbox = new Mailbox<number>(0, 1000);
    for (let i = 0; i < 5; i++) expect(mailbox.put(i, 1)).toBe(true);
    expect([0, 1, 2, 3, 4, 5].map(() => mailbox.take())).toEqual([0, 1, 2, 3, 4, undefined]);
    expect(mailbox.put(9, 1)).toBe(true);
    expect(mailbox.take()).toBe(9);
  });

  it('refuses more messages than it may hold, and takes them again when there is room', () => {
    const mailbox = new Mailbox<string>(2, 1000);
    expect([mailbox.put('a', 1), mailbox.put('b', 1), mailbox.put('c', 1)]).toEqual([true, true, false]);
    mailbox.take();
    expect(mailbox.put('c', 1)).toBe(true);
    expect(mailbox.size).toBe(2);
  });

  it('refuses more bytes than it may hold', () => {
    const mailbox = new Mailbox<string>(0, 100);
    expect([mailbox.put('a', 60), mailbox.put('b', 60), mailbox.put('c', 40)]).toEqual([true, false, true]);
  });

  it('takes one message however large', () => {
    expect(new Mailbox<string>(0, 10).put('a', 60)).toBe(true);
  });
});
