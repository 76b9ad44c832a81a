import type { SessionCommand } from './commands.js';
import type { SessionEvent } from './events.js';
import {
  type Attachment,
  type DetachReason,
  isLive,
  type LiveState,
  type Play,
  type SessionState,
  sameAttachment,
} from './state.js';

/** Why a command does not apply. */
export type Refusal =
  | 'already_started'
  | 'no_session'
  | 'attached_elsewhere'
  | 'not_attached_here'
  | 'not_due'
  | 'in_queue'
  | 'not_in_queue';

export type Decision = { readonly events: readonly SessionEvent[] } | { readonly refused: Refusal };

/** What a command does to a session in a state: the events to record, or why it doesn't apply. Pure. */
export function decide(command: SessionCommand, state: SessionState): Decision {
  if (command.type === 'start') {
    return state.status === 'none'
      ? happened({ type: 'session.started', data: startedData(command) })
      : refused('already_started');
  }
  if (!isLive(state)) return refused('no_session');

  switch (command.type) {
    case 'resume': {
      const resumed = { type: 'session.resumed', data: { ...command.attachment } } as const;
      if (state.status === 'detached') return happened(resumed);
      if (state.attachment.node === command.lostNode)
        return happened(...detached(state, 'node_lost'), resumed);
      if (command.takeOver && !sameAttachment(state.attachment, command.attachment)) {
        return happened(...detached(state, 'taken_over'), resumed);
      }
      return refused('attached_elsewhere');
    }
    case 'reclaim':
      return state.status === 'detached' &&
        state.reason === 'node_lost' &&
        sameAttachment(state.attachment, command.attachment)
        ? happened(
            { type: 'session.resumed', data: { ...command.attachment } },
            ...waitingAgain(state, command.play),
          )
        : refused('attached_elsewhere');
    case 'detach':
      return isAttachedTo(state, command.attachment)
        ? happened(...detached(state, command.reason, command.actor))
        : refused('not_attached_here');
    case 'loseNode':
      return state.status === 'attached' && state.attachment.node === command.node
        ? happened(...detached(state, 'node_lost'))
        : refused('not_attached_here');
    case 'logOut':
      if (command.by === 'client') {
        return isLastOf(state, command.attachment)
          ? happened(...leaving(state, 'ended'), { type: 'session.logged_out', data: { by: 'client' } })
          : refused('not_attached_here');
      }
      return happened(...leaving(state, 'ended'), {
        type: 'session.logged_out',
        data: command.actor === undefined ? { by: command.by } : { by: command.by, actor: command.actor },
      });
    case 'rename':
      return isAttachedTo(state, command.attachment)
        ? happened({ type: 'session.renamed', data: { chosen: command.chosen } })
        : refused('not_attached_here');
    case 'joinQueue':
      if (!isAttachedTo(state, command.attachment)) return refused('not_attached_here');
      return state.play === null || (state.play.status === 'matched' && state.play.match === command.over)
        ? happened({ type: 'queue.joined', data: {} })
        : refused('in_queue');
    case 'leaveQueue':
      if (!isAttachedTo(state, command.attachment)) return refused('not_attached_here');
      return state.play?.status === 'waiting'
        ? happened({ type: 'queue.left', data: { reason: 'client' } })
        : refused('not_in_queue');
    case 'match':
      return state.play?.status === 'waiting'
        ? happened({ type: 'queue.left', data: { reason: 'matched', match: command.match } })
        : refused('not_in_queue');
    case 'unmatch':
      if (state.play?.status !== 'matched' || state.play.match !== command.match)
        return refused('not_in_queue');
      return happened(
        state.status === 'attached'
          ? { type: 'queue.joined', data: { since: state.play.since } }
          : { type: 'queue.left', data: { reason: 'failed', match: command.match } },
      );
    case 'replace':
      return isAttachedTo(state, command.attachment)
        ? happened(...leaving(state, 'ended'), {
            type: 'session.replaced',
            data: { successor: command.successor },
          })
        : refused('not_attached_here');
    case 'expire':
      return state.status === 'detached' && command.now >= state.since + command.resumeMs
        ? happened({ type: 'session.expired', data: {} })
        : refused('not_due');
    default:
      return unknownCommand(command);
  }
}

function happened(...events: readonly SessionEvent[]): Decision {
  return { events };
}

function refused(refusal: Refusal): Decision {
  return { refused: refusal };
}

/** Who waits for a match and goes, waits no more. */
function leaving({ play }: LiveState, reason: 'detached' | 'ended'): SessionEvent[] {
  return play?.status === 'waiting' ? [{ type: 'queue.left', data: { reason } }] : [];
}

/** Who waited for a match, or had one, and has neither since his node was taken for lost, waits again since the same time. */
function waitingAgain({ play }: LiveState, before: Play | null): SessionEvent[] {
  return play === null && before !== null ? [{ type: 'queue.joined', data: { since: before.since } }] : [];
}

function detached(state: LiveState, reason: DetachReason, actor?: string): SessionEvent[] {
  const data = actor === undefined ? { reason } : { reason, actor };
  return [...leaving(state, 'detached'), { type: 'session.detached', data }];
}

function startedData({ accountId, token, attachment }: Extract<SessionCommand, { type: 'start' }>) {
  return { accountId, token, node: attachment.node, connection: attachment.connection };
}

function isAttachedTo(state: SessionState, attachment: Attachment): boolean {
  return state.status === 'attached' && sameAttachment(state.attachment, attachment);
}

/** Whether nobody has had the session after a connection: it may be detached by now, and a logout be recorded late. */
function isLastOf(state: LiveState, attachment: Attachment): boolean {
  return sameAttachment(state.attachment, attachment);
}

function unknownCommand(command: never): never {
  throw new Error(`Unknown session command: ${JSON.stringify(command)}`);
}
