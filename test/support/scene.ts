import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { readConfig } from '../../src/config/config.js';
import { type Deployment, openDeployment } from '../../src/deployment.js';
import type { SessionCommand } from '../../src/session/commands.js';
import { type Attachment, isLive } from '../../src/session/state.js';
import { type Commit, noChange, operationOf } from '../../src/store/change.js';
import { bucketOfId, bucketOfUsername, newSessionId } from '../../src/store/ids.js';
import { makeToken } from '../../src/store/tokens.js';
import type { Environment } from './cliProcess.js';
import { uniquePrefix } from './prefix.js';

export interface Player {
  readonly accountId: string;
  readonly username: string;
  /** Hash of the token. */
  readonly token: string;
}

/** The node that sessions are attached to. */
export const NODE = 'n1';

/** Accounts and sessions written by the real stores, without clients; a deployment of its own for each scene. */
export class Scene {
  private connections = 0;
  private players = 0;

  private constructor(
    readonly deployment: Deployment,
    readonly prefix: string,
  ) {}

  /** @param env where Redis is, and other settings */
  static async open(env: Environment): Promise<Scene> {
    const config = readConfig({ NODE_ID: 'n1', KEY_PREFIX: uniquePrefix(), ...env });
    const deployment = await openDeployment({
      config,
      target: config.redis!,
      logger: pino({ level: 'silent' }),
      patienceMs: 5000,
      decidesPartitions: true,
    });
    return new Scene(deployment, config.KEY_PREFIX);
  }

  /** The partition of an account or session. */
  partitionOf(id: string): number {
    return this.deployment.keys.partitionOf(bucketOfId(id));
  }

  /** Registers an account with a token. */
  async player(): Promise<Player> {
    const { accounts, clock } = this.deployment;
    const username = `player${++this.players}`;
    const settings = { tokenTtlMs: 3_600_000, tokensPerAccount: 3 };
    const { record } = makeToken(bucketOfUsername(username), settings, clock.now());
    const credentials = accounts.credentials(username, 'no hash');
    await accounts.register(credentials, record, noChange, this.commit);
    return { accountId: credentials.accountId, username, token: record.token };
  }

  /** Issues one more token. @returns its hash */
  async issueToken({ accountId, username }: Player, tokenTtlMs = 3_600_000): Promise<string> {
    const { accounts, clock } = this.deployment;
    const { record } = makeToken(bucketOfId(accountId), { tokenTtlMs, tokensPerAccount: 3 }, clock.now());
    await accounts.execute(accountId, username, { type: 'issueToken', ...record }, noChange, this.commit);
    return record.token;
  }

  /** Begins a session, attached to a new connection. @returns its id */
  async begin({ accountId, token }: Player, node = NODE): Promise<string> {
    const id = newSessionId(accountId);
    const command = { type: 'start', accountId, token, attachment: this.attachment(node) } as const;
    const { change } = this.deployment.sessions.begin(id, command);
    await this.commit(operationOf(this.partitionOf(id), change));
    return id;
  }

  /** The connection of a session closes. */
  async detach(id: string): Promise<void> {
    await this.execute(id, { type: 'detach', attachment: await this.attachmentOf(id), reason: 'closed' });
  }

  /** A session joins the match queue, before whoever does so afterwards: its order goes by milliseconds. */
  async join(id: string): Promise<void> {
    await this.execute(id, { type: 'joinQueue', attachment: await this.attachmentOf(id) });
    await delay(2);
  }

  /** A session leaves the match queue. */
  async leave(id: string): Promise<void> {
    await this.execute(id, { type: 'leaveQueue', attachment: await this.attachmentOf(id) });
  }

  /** A session is resumed on a new connection. */
  async resume(id: string): Promise<void> {
    await this.execute(id, { type: 'resume', attachment: this.attachment(NODE) });
  }

  /** The node of all sessions of the scene is taken for lost. */
  async loseNode(id: string): Promise<void> {
    await this.execute(id, { type: 'loseNode', node: NODE });
  }

  async logOut(id: string): Promise<void> {
    await this.execute(id, { type: 'logOut', by: 'operator' });
  }

  /** Plays a session from beginning to end. @returns how many events that were */
  async play(player: Player): Promise<number> {
    const id = await this.begin(player);
    await this.detach(id);
    await this.resume(id);
    await this.logOut(id);
    return 4;
  }

  close(): void {
    this.deployment.close();
  }

  private readonly commit: Commit = (operation) => this.deployment.committer.commit(operation);

  /** Where a session is attached, or was last. */
  async attachmentOf(id: string): Promise<Attachment> {
    const { state } = await this.deployment.sessions.load(id);
    if (!isLive(state)) throw new Error(`${id} is ${state.status}`);
    return state.attachment;
  }

  private attachment(node: string) {
    return { node, connection: ++this.connections };
  }

  private async execute(id: string, command: SessionCommand): Promise<void> {
    const outcome = await this.deployment.sessions.execute(id, command);
    if (!outcome.done) throw new Error(`${command.type} of ${id} was refused: ${outcome.refused}`);
  }
}
