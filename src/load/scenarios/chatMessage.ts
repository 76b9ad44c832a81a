import { textFrame } from '../frames.js';
import { beginsWith } from '../player.js';

/** `<run> <sender, 6 digits> <when it was to be sent, µs, 16 digits>` */
const SENDER_DIGITS = 6;
const TIME_DIGITS = 16;
const RUN_LENGTH = 8;
const LENGTH = RUN_LENGTH + 1 + SENDER_DIGITS + 1 + TIME_DIGITS;

/** What follows the message in what is received. */
const CLOSING = '"}}'.length;

const ZERO = 48;

/** A chat message of this run, which says who has sent it and when it was to be sent. */
export class ChatMessage {
  private readonly frame: Buffer;
  private readonly timeAt: number;

  /**
   * @param run eight characters that no other run has
   * @param sender number of the player
   * @param target whom to tell; null: everyone
   */
  constructor(run: string, sender: number, target: string | null) {
    const text = `${run} ${String(sender).padStart(SENDER_DIGITS, '0')} ${'0'.repeat(TIME_DIGITS)}`;
    const message =
      target === null
        ? { type: 'global_chat', payload: text }
        : { type: 'private_chat', payload: { target, message: text } };
    this.frame = textFrame(JSON.stringify(message));
    this.timeAt = this.frame.lastIndexOf('"') - TIME_DIGITS;
  }

  /** Its frame, valid until the next one is asked for. @param intendedMs when it is to be sent, by `nowMs` */
  at(intendedMs: number): Buffer {
    let rest = Math.round(intendedMs * 1000);
    for (let i = TIME_DIGITS - 1; i >= 0; i -= 1) {
      this.frame[this.timeAt + i] = ZERO + (rest % 10);
      rest = Math.floor(rest / 10);
    }
    return this.frame;
  }
}

/** Whether a frame ends with a chat message of a run. @param run its eight characters */
export function isChatOf(run: Buffer, bytes: Buffer, start: number, end: number): boolean {
  const at = end - CLOSING - LENGTH;
  return at > start && beginsWith(bytes, at, end, run);
}

/** Who has sent a chat message of a run. */
export function senderOf(bytes: Buffer, end: number): number {
  return digits(bytes, end - CLOSING - TIME_DIGITS - 1 - SENDER_DIGITS, SENDER_DIGITS);
}

/** When a chat message of a run was to be sent, by `nowMs`. */
export function intendedMsOf(bytes: Buffer, end: number): number {
  return digits(bytes, end - CLOSING - TIME_DIGITS, TIME_DIGITS) / 1000;
}

function digits(bytes: Buffer, from: number, count: number): number {
  let value = 0;
  for (let i = from; i < from + count; i += 1) value = value * 10 + (bytes[i]! - ZERO);
  return value;
}
