import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { Attempts } from '../../src/account/attempts.js';
import { Pace } from '../../src/account/pace.js';
import { Passwords } from '../../src/account/passwords.js';
import { Publisher } from '../../src/bus/publisher.js';
import { Leases } from '../../src/cluster/lease.js';
import { HeldSession, Presence } from '../../src/cluster/presence.js';
import { compileClientValidators } from '../../src/contract/validators.js';
import type { Client } from '../../src/handlers/client.js';
import type { Context } from '../../src/handlers/context.js';
import type { CommitLimit, CommitResult, Operation } from '../../src/log/operation.js';
import type { Frame } from '../../src/protocol/answers.js';
import { Limiter } from '../../src/redis/limiter.js';
import { Unavailable } from '../../src/redis/unavailable.js';
import { isLive } from '../../src/session/state.js';
import type { Log } from '../../src/store/change.js';
import { textOf } from './expected.js';
import { NODE, type Player, type Scene } from './scene.js';

const logger = pino({ level: 'silent' });

/** The sign of life of the node that the sessions of a scene are attached to; not begun. */
export function leasesOf({ deployment }: Scene): Leases {
  const report = () => ({ connections: 0, sessions: 0, draining: false });
  return new Leases({ ...deployment, node: NODE, leaseMs: 6000, logger, report, onLost() {} });
}

/** What handlers of that node work with. @param log what commits of clients go by */
export async function contextOf(
  scene: Scene,
  { log, commitTimeoutMs }: { log: Log; commitTimeoutMs: number },
): Promise<Context> {
  const { redis, keys } = scene.deployment;
  return {
    ...scene.deployment,
    log,
    node: NODE,
    settings: {
      commitTimeoutMs,
      tokenTtlMs: 3_600_000,
      tokensPerAccount: 3,
      passwordMin: 6,
      logoutRevokesToken: false,
      uniqueEmails: false,
      chatCharacters: 0,
    },
    validators: compileClientValidators(),
    passwords: await Passwords.create({ concurrency: 1, queue: 0 }),
    attempts: new Attempts(redis, keys, { perAccount: 0, perAddress: 0, registrations: 0 }),
    presence: new Presence<Client>(),
    leases: leasesOf(scene),
    publisher: new Publisher(redis, keys, logger),
    changes: new Pace(0, 1),
    chatLimit: new Limiter(redis, keys, 'chat', 0, 1),
    formMatches() {},
    players: () => 0,
    logger,
  };
}

/** The connection that has a session of a scene, as handlers see it. @param onFrame is given what the client is sent */
export async function clientOf(
  scene: Scene,
  { presence }: Pick<Context, 'presence'>,
  id: string,
  player: Player,
  onText: (text: string) => void = () => {},
): Promise<Client> {
  const onFrame = (frame: Frame) => onText(textOf(frame));
  const known = await scene.deployment.sessions.load(id);
  const { state } = known;
  if (!isLive(state)) throw new Error(`${id} is ${state.status}`);
  const client: Client = {
    number: state.attachment.connection,
    session: null,
    address: '127.0.0.1',
    isOpen: true,
    result: 'ok',
    endedBy() {},
    takenOver() {},
    lost() {},
    send: onFrame,
    refuse: onFrame,
    fail: onFrame,
    close() {},
  };
  presence.hold(client, new HeldSession(id, player.username, { ...known, state }, performance.now()));
  return client;
}

/** A log whose answers may be held back until they are let go. What was to be recorded is. */
export class SlowLog implements Log {
  isHoldingBack = true;
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly log: Log) {}

  async commit(operation: Operation, limit?: CommitLimit): Promise<CommitResult> {
    if (!this.isHoldingBack) return this.log.commit(operation, limit);
    const result = await this.log.commit(operation);
    const isLetGo = new Promise<void>((resolve) => this.waiting.push(resolve));
    if (!limit) return isLetGo.then(() => result);
    return Promise.race([
      isLetGo.then(() => result),
      delay(limit.timeoutMs).then(() => {
        void isLetGo.then(limit.late);
        throw new Unavailable();
      }),
    ]);
  }

  letGo(): void {
    for (const resolve of this.waiting.splice(0)) resolve();
  }
}
