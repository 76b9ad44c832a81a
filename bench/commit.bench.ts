import { bench, describe } from 'vitest';
import { Batch } from '../src/log/batch.js';
import { Pending } from '../src/log/pending.js';
import { Keys } from '../src/redis/keys.js';
import { decide } from '../src/session/decide.js';
import { evolve } from '../src/session/evolve.js';
import { initialState } from '../src/session/state.js';
import { newAccountId, newSessionId } from '../src/store/ids.js';
import { NOT_STORED, sessionPlace, sessionWrites } from '../src/store/sessionRecord.js';

const keys = new Keys('oc:', 1);
const attachment = { node: 'node-1-abcdefgh', connection: 1234 };
const token = 'YhiaECk_kOS8Il1gPTwOgA';

/** What a `token_auth` commits. */
function operation() {
  const accountId = newAccountId(0);
  const id = newSessionId(accountId);
  const decision = decide({ type: 'start', accountId, token, attachment }, initialState);
  if ('refused' in decision) throw new Error(decision.refused);
  const state = evolve(initialState, decision.events[0]!, 0);
  const after = { state, version: 1, displayName: null };
  const place = sessionPlace(keys, id);
  const events = decision.events.map(({ type, data }) => ({ type, subject: id, version: 1, data }));
  return {
    partition: place.partition,
    checks: [],
    events,
    writes: sessionWrites(keys, place, id, NOT_STORED, after),
  };
}

describe('from a command to a commit', () => {
  const accountId = newAccountId(0);
  bench('decide and evolve: start', () => {
    const decision = decide({ type: 'start', accountId, token, attachment }, initialState);
    if ('events' in decision) evolve(initialState, decision.events[0]!, 0);
  });
  bench('the operation of a session that begins', () => {
    operation();
  });
  const operations = Array.from({ length: 256 }, operation);
  const pending = new Pending(
    () => {},
    () => {},
    undefined,
  );
  const pack = (some: typeof operations) => {
    const batch = new Batch(attachment.node);
    for (const operation of some) batch.add(operation, pending);
    return batch.pack();
  };
  bench('packing a batch of 256', () => {
    pack(operations);
  });
  const single = operations.slice(0, 1);
  bench('packing a batch of 1', () => {
    pack(single);
  });
});
