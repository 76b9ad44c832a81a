import { beforeEach, expect, it } from 'vitest';
import { Audience, type Listener } from '../../../src/gateway/audience.js';

class Ear implements Listener {
  isSubscribed = false;
  changes = 0;

  subscribe(isSubscribed: boolean): void {
    expect(isSubscribed).toBe(!this.isSubscribed);
    this.isSubscribed = isSubscribed;
    this.changes += 1;
  }
}

let audience: Audience<Ear>;

beforeEach(() => {
  audience = new Audience();
});

it('subscribes who is to listen when something is published, and nobody else', () => {
  const [stays, goes, never] = [new Ear(), new Ear(), new Ear()];
  audience.set(stays, true);
  audience.set(goes, true);
  expect(stays.isSubscribed).toBe(false);
  audience.settleAll();
  expect([stays, goes, never].map(({ isSubscribed }) => isSubscribed)).toEqual([true, true, false]);
  audience.set(goes, false);
  audience.settleAll();
  expect([stays, goes, never].map(({ isSubscribed }) => isSubscribed)).toEqual([true, false, false]);
});

it('has nothing to do for who comes and goes, or goes and comes, in between', () => {
  const [comes, stays] = [new Ear(), new Ear()];
  audience.set(stays, true);
  audience.settleAll();
  for (let i = 0; i < 3; i += 1) {
    audience.set(comes, true);
    audience.set(comes, false);
    audience.set(stays, false);
    audience.set(stays, true);
  }
  audience.settleAll();
  expect([comes.changes, stays.changes]).toEqual([0, 1]);
});

it('does not touch who is gone', () => {
  const [ear, listening] = [new Ear(), new Ear()];
  audience.set(listening, true);
  audience.settleAll();
  audience.set(ear, true);
  audience.set(listening, false);
  audience.forget(ear);
  audience.forget(listening);
  audience.settleAll();
  expect([ear.changes, listening.changes]).toEqual([0, 1]);
});

it('never has much to do at once', () => {
  const crowd = Array.from({ length: 5000 }, () => new Ear());
  for (const ear of crowd) audience.set(ear, true);
  const late = crowd.filter(({ isSubscribed }) => !isSubscribed);
  expect(late.length).toBeLessThanOrEqual(1024);
  expect(crowd.slice(-late.length)).toEqual(late);
  audience.settleAll();
  expect(crowd.every(({ isSubscribed }) => isSubscribed)).toBe(true);
});
