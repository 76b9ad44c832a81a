import type { SessionCommand } from './commands.js';
import type { SessionEvent } from './events.js';
import { type Attachment, type DetachReason, isLive, type SessionState, sameAttachment } from './state.js';

/** Why a command does not apply. */
export type Refusal =
  | 'already_started'
  | 'no_session'
  | 'attached_elsewhere'
  | 'not_attached_here'
  | 'not_due';

export type Decision =
  | { readonly events: readonly [SessionEvent, ...SessionEvent[]] }
  | { readonly refused: Refusal };

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
      if (state.attachment.node === command.lostNode) return happened(detached('node_lost'), resumed);
      if (command.takeOver && !sameAttachment(state.attachment, command.attachment)) {
        return happened(detached('taken_over'), resumed);
      }
      return refused('attached_elsewhere');
    }
    case 'reclaim':
      return state.status === 'detached' &&
        state.reason === 'node_lost' &&
        sameAttachment(state.attachment, command.attachment)
        ? happened({ type: 'session.resumed', data: { ...command.attachment } })
        : refused('attached_elsewhere');
    case 'detach':
      return isAttachedTo(state, command.attachment)
        ? happened(detached(command.reason))
        : refused('not_attached_here');
    case 'loseNode':
      return state.status === 'attached' && state.attachment.node === command.node
        ? happened(detached('node_lost'))
        : refused('not_attached_here');
    case 'logOut':
      if (command.by === 'client') {
        return isAttachedTo(state, command.attachment)
          ? happened({ type: 'session.logged_out', data: { by: 'client' } })
          : refused('not_attached_here');
      }
      return happened({
        type: 'session.logged_out',
        data: command.actor === undefined ? { by: command.by } : { by: command.by, actor: command.actor },
      });
    case 'rename':
      return isAttachedTo(state, command.attachment)
        ? happened({ type: 'session.renamed', data: { chosen: command.chosen } })
        : refused('not_attached_here');
    case 'replace':
      return isAttachedTo(state, command.attachment)
        ? happened({ type: 'session.replaced', data: { successor: command.successor } })
        : refused('not_attached_here');
    case 'expire':
      return state.status === 'detached' && command.now >= state.since + command.resumeMs
        ? happened({ type: 'session.expired', data: {} })
        : refused('not_due');
    default:
      return unknownCommand(command);
  }
}

function happened(...events: [SessionEvent, ...SessionEvent[]]): Decision {
  return { events };
}

function refused(refusal: Refusal): Decision {
  return { refused: refusal };
}

function detached(reason: DetachReason): SessionEvent {
  return { type: 'session.detached', data: { reason } };
}

function startedData(command: Extract<SessionCommand, { type: 'start' }>) {
  return { accountId: command.accountId, token: command.token, ...command.attachment };
}

function isAttachedTo(state: SessionState, attachment: Attachment): boolean {
  return state.status === 'attached' && sameAttachment(state.attachment, attachment);
}

function unknownCommand(command: never): never {
  throw new Error(`Unknown session command: ${JSON.stringify(command)}`);
}
