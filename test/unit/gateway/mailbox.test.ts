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

  it('lets go of what is taken, though it is never empty', () => {
    const mailbox = new Mailbox<number>(10, 1000);
    const items = () => (Reflect.get(mailbox, 'items') as unknown[]).length;
    for (let i = 0; i < 5; i++) mailbox.put(i, 1);
    for (let i = 5; i < 10_000; i++) {
      expect(mailbox.put(i, 1)).toBe(true);
      expect(mailbox.take()).toBe(i - 5);
      if (items() > 20) expect.fail(`${items()} items are kept for ${mailbox.size}`);
    }
    expect(mailbox.size).toBe(5);
  });

  it('keeps only what is to be kept, in order, and has room for the rest again', () => {
    const mailbox = new Mailbox<number>(6, 60);
    for (let i = 0; i < 6; i++) mailbox.put(i, 10);
    expect([mailbox.take(), mailbox.take()]).toEqual([0, 1]);
    mailbox.keepOnly((message) => message % 2 === 1);
    expect(mailbox.size).toBe(2);
    expect([mailbox.put(6, 40), mailbox.put(7, 1)]).toEqual([true, false]);
    expect([3, 5, 6, undefined].map(() => mailbox.take())).toEqual([3, 5, 6, undefined]);
  });

  it('is empty when nothing is to be kept', () => {
    const mailbox = new Mailbox<number>(2, 10);
    mailbox.put(1, 10);
    mailbox.keepOnly(() => false);
    expect(mailbox.size).toBe(0);
    expect(mailbox.take()).toBeUndefined();
    expect(mailbox.put(2, 10)).toBe(true);
  });
});
