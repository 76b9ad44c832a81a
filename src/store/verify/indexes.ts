import { parseRecord, type StoredRecord } from '../../log/operation.js';
import type { Keys } from '../../redis/keys.js';
import { isLive, type LiveState } from '../../session/state.js';
import { bucketOfId, isSessionId } from '../ids.js';
import { sessionPlace } from '../sessionRecord.js';
import type { Check } from './checks.js';
import { readSubject } from './subject.js';

/** The indexes of the sessions of a partition, compared with the records of the sessions. */
export class SessionIndexes {
  constructor(
    private readonly keys: Keys,
    private readonly partition: number,
  ) {}

  /** A session must have its place in each index. @param stored its record */
  hasAll(id: string, stored: StoredRecord): Check {
    const { keys, partition } = this;
    const state = liveState(id, stored);
    const { key } = sessionPlace(keys, id);
    if (!state) return { commands: [], judge: () => [] }; // its record is reported
    const { node } = state.attachment;
    return {
      commands: [
        ['hget', key, id],
        ['zscore', keys.detached(partition), id],
        ['sismember', keys.nodeSessions(partition, node), id],
        ['sismember', keys.nodes(partition), node],
        ['zscore', keys.queue(partition), id],
      ],
      judge: ([record, detachedScore, isOfNode, isNodeKnown, queueScore]) => {
        const now = parseRecord(record as string | null);
        if (!now) return [];
        if (now.version !== stored.version) return this.hasAll(id, now);
        const wrong: string[] = [];
        const expect = (what: string, found: unknown, expected: unknown) => {
          if (found !== expected) wrong.push(`${id} has ${found ?? 'no place'} in ${what}, not ${expected}`);
        };
        if (state.play?.status === 'waiting') {
          expect(keys.queue(partition), queueScore, String(state.play.since));
        }
        if (state.status === 'detached') {
          expect(keys.detached(partition), detachedScore, String(now.at));
        } else {
          if (isOfNode !== 1) wrong.push(`${id} is missing in ${keys.nodeSessions(partition, node)}`);
          if (isNodeKnown !== 1)
            wrong.push(`${node}, the node of ${id}, is missing in ${keys.nodes(partition)}`);
        }
        return wrong;
      },
    };
  }

  /** What is in the index of a node's sessions must be attached to it. */
  isOfNode(node: string, id: string): Check {
    const key = this.keys.nodeSessions(this.partition, node);
    const fits = ({ status, attachment }: LiveState) => status === 'attached' && attachment.node === node;
    return this.belongs(key, id, 'sismember', fits);
  }

  /** What is in the index of detached sessions must be one. */
  isDetached(id: string): Check {
    const key = this.keys.detached(this.partition);
    return this.belongs(key, id, 'zscore', ({ status }) => status === 'detached');
  }

  /** What is in the match queue must wait for a match. */
  isWaiting(id: string): Check {
    const key = this.keys.queue(this.partition);
    return this.belongs(key, id, 'zscore', ({ play }) => play?.status === 'waiting');
  }

  private belongs(
    index: string,
    id: string,
    question: 'zscore' | 'sismember',
    fits: (state: LiveState) => boolean,
  ): Check {
    const extra = [`${id} has no business in ${index}`];
    if (!isSessionId(id) || this.keys.partitionOf(bucketOfId(id)) !== this.partition) {
      return { commands: [[question, index, id]], judge: ([place]) => (place ? extra : []) };
    }
    return {
      commands: [
        ['hget', sessionPlace(this.keys, id).key, id],
        [question, index, id],
      ],
      judge: ([record, place]) => {
        const stored = parseRecord(record as string | null);
        const state = stored && liveState(id, stored);
        return !place || (state && fits(state)) ? [] : extra;
      },
    };
  }
}

function liveState(id: string, record: StoredRecord): LiveState | null {
  const state = readSubject(id, record);
  return state?.kind === 'session' && isLive(state.session) ? state.session : null;
}
