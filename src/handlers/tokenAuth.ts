import { ANSWERS, authSuccess, type Frame } from '../protocol/answers.js';
import type { LiveState } from '../session/state.js';
import { operationOf } from '../store/change.js';
import type { Stored } from '../store/sessionRecord.js';
import type { FoundToken } from '../store/tokens.js';
import type { Client } from './client.js';
import type { Context } from './context.js';
import { type Handler, handler, type MessageOf } from './handler.js';
import { abandon, attachmentOf, beginSession, begun, hold, inTime } from './hold.js';

/** `token_auth`: authenticates by token, and resumes the session of the token that was left last, if there is one. */
export function tokenAuthHandler(context: Context): Handler {
  return handler(context.validators, {
    type: 'token_auth',
    needsSession: false,
    invalid: ANSWERS.tokenFormat,
    unavailable: ANSWERS.authUnavailable,
    handle(client, { payload }) {
      // may it be tried
      const isSuspect = context.attempts.isSuspect(client.address);
      return isSuspect ? enterSuspected(context, client, payload) : enter(context, client, payload);
    },
  });
}

type Payload = MessageOf<'token_auth'>['payload'];

async function enterSuspected(context: Context, client: Client, payload: Payload): Promise<void> {
  const admission = await context.attempts.beginTokenLogin(client.address);
  if (admission.admitted) await enter(context, client, payload);
  else client.refuse(ANSWERS.tooManyAttempts);
}

/** If the token's session has ended here, and nothing has happened to it since, another one begins at once. */
function enter(context: Context, client: Client, payload: Payload): void | Promise<void> {
  const recalled = context.tokens.recall(payload.token);
  if (!recalled) return enterByLookUp(context, client, payload);
  if (!admitted(context, client, recalled)) return;
  return begin(context, client, recalled, payload.token, () => enterByLookUp(context, client, payload));
}

async function enterByLookUp(context: Context, client: Client, { token, resume }: Payload): Promise<void> {
  // 1. is it a token, and whose
  const found = await context.tokens.find(token);
  if (found?.disabledAt !== null) {
    await refuse(context, client, found);
    return;
  }
  if (!admitted(context, client, found)) return;

  // 2. resume a session of it, or begin one, and answer
  const answer = authSuccess(found.username, token);
  const resumption = await resumeOne(context, client, found, resume === true, answer);
  if (resumption === 'resumed') return;
  const refuseRevoked = async () => refuse(context, client, await context.tokens.find(token));
  if (resumption === 'token revoked') await refuseRevoked();
  else await begin(context, client, found, token, refuseRevoked);
}

/** Whether the account may change its sessions once more; if not, the client is told. */
function admitted({ changes }: Context, client: Client, { accountId }: FoundToken): boolean {
  const isAdmitted = changes.admits(accountId);
  if (!isAdmitted) client.refuse(ANSWERS.tooManyAttempts);
  return isAdmitted;
}

/**
 * Begins a session and answers.
 * @param otherwise what is done instead if the token is not as it was found
 */
function begin(
  context: Context,
  client: Client,
  found: FoundToken,
  token: string,
  otherwise: () => Promise<void>,
): Promise<void> {
  const { session, change, commit } = beginSession(context, client, found); // of the change nothing is kept meanwhile
  const partition = context.tokens.partitionOf(found);
  return commit(operationOf(partition, change, found.use)).then((result) => {
    if (!result.committed) return otherwise();
    return begun(context, client, found, session, result.at, authSuccess(found.username, token));
  });
}

/** A token that is none, or not any more. Who has the token of an account that is disabled has not guessed it. */
async function refuse(context: Context, client: Client, found: FoundToken | null): Promise<void> {
  if (found && (await isOfDisabledAccount(context, found))) {
    const { accountId: account } = found;
    context.logger.info({ address: client.address, account }, 'login by token failed');
    client.refuse(ANSWERS.accountDisabled);
    return;
  }
  const admission = await context.attempts.tokenLoginFailed(client.address);
  if (admission.admitted) context.logger.info({ address: client.address }, 'login by token failed');
  client.refuse(admission.admitted ? ANSWERS.badToken : ANSWERS.tooManyAttempts);
}

async function isOfDisabledAccount(
  { accounts }: Context,
  { accountId, disabledAt }: FoundToken,
): Promise<boolean> {
  return disabledAt !== null && (await accounts.isDisabledAt(accountId, disabledAt));
}

/** Sessions of a token that are looked at when one is to be resumed. */
const CANDIDATES = 8;

interface Candidate {
  readonly id: string;
  readonly known: Stored<LiveState>;
  /** The node that it is attached to, if that one is lost. */
  readonly lostNode?: string;
}

/** What became of an attempt to resume a session. */
type Resumption = 'resumed' | 'not resumed' | 'token revoked';

/**
 * Resumes one of the live sessions of a token: of those that are detached the latest, else one on a lost node, else with
 * `takeOver` another. Never the one that the connection has itself.
 */
async function resumeOne(
  context: Context,
  client: Client,
  found: FoundToken,
  takeOver: boolean,
  answer: Frame,
): Promise<Resumption> {
  const detached: Candidate[] = [];
  const attached: Candidate[] = [];
  for (const [id, known] of await context.sessions.ofToken(found.accountId, found.token)) {
    if (id === client.session?.id) continue;
    if (detached.length + attached.length === CANDIDATES) break;
    (known.state.status === 'detached' ? detached : attached).push({ id, known });
  }
  const resumption = await resumeFirst(context, client, found, detached, takeOver, answer);
  if (resumption !== 'not resumed' || attached.length === 0) return resumption;
  const others = await inOrder(context, attached, takeOver);
  return resumeFirst(context, client, found, others, takeOver, answer);
}

/** Those of attached sessions that can be resumed: those on lost nodes, and with `takeOver` the others behind them. */
async function inOrder(
  { leases }: Context,
  attached: readonly Candidate[],
  takeOver: boolean,
): Promise<Candidate[]> {
  const nodes = [...new Set(attached.map(({ known }) => known.state.attachment.node))];
  const areLost = await Promise.all(nodes.map((node) => leases.isLost(node)));
  const lost: Candidate[] = [];
  const alive: Candidate[] = [];
  for (const candidate of attached) {
    const { node } = candidate.known.state.attachment;
    if (areLost[nodes.indexOf(node)]) lost.push({ ...candidate, lostNode: node });
    else alive.push(candidate);
  }
  return takeOver ? [...lost, ...alive] : lost;
}

/** Resumes the first candidate, or the next one if somebody else was faster. */
async function resumeFirst(
  context: Context,
  client: Client,
  found: FoundToken,
  candidates: readonly Candidate[],
  takeOver: boolean,
  answer: Frame,
): Promise<Resumption> {
  for (const { id, known, lostNode } of candidates) {
    const attachment = attachmentOf(context, client);
    const outcome = await context.sessions.execute(
      id,
      { type: 'resume', attachment, takeOver, ...(lostNode !== undefined && { lostNode }) },
      {
        known,
        also: found.use,
        commit: inTime(context, () => {
          if (takeOver) tellPrevious(context, id, known);
          abandon(context, id, attachment);
        }),
      },
    );
    if (outcome.done) {
      const reasons = outcome.events.map(({ data }) => 'reason' in data && data.reason);
      if (reasons.includes('taken_over')) tellPrevious(context, id, outcome.before as Stored<LiveState>);
      if (reasons.includes('node_lost') && lostNode) void context.publisher.reaped(lostNode);
      await hold(context, client, found, id, outcome.after as Stored<LiveState>, answer);
      return 'resumed';
    }
    if (outcome.refused === 'guarded') return 'token revoked';
  }
  return 'not resumed';
}

/** The connection that a session was taken from learns of it: here at once, elsewhere over the bus. */
function tellPrevious(context: Context, id: string, { state }: Stored<LiveState>): void {
  if (state.status !== 'attached') return;
  const { node, connection } = state.attachment;
  if (node === context.node) context.presence.lose(id, 'taken_over', connection);
  else void context.publisher.takenOver(node, id, connection);
}
