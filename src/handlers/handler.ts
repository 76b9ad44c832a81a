import type { ValidateFunction } from 'ajv';
import type { ClientMessage } from '../contract/client.generated.js';
import type { Validators } from '../contract/validators.js';
import type { Frame } from '../protocol/answers.js';
import type { Client } from './client.js';

/** What the server does with one type of message. Every message is answered by its handler, in one place or another. */
export interface Handler {
  readonly type: ClientMessage['type'];
  readonly needsSession: boolean;
  /** Checks the whole message. */
  readonly isValid: ValidateFunction<ClientMessage>;
  /** Answer to a message against its schema, null: none. */
  readonly invalid: Frame | null;
  /** Answer when Redis is away, or something unforeseen has happened. */
  readonly unavailable: Frame;
  /** Handles a valid message. It may throw `Unavailable` as long as nothing was answered. */
  handle(client: Client, message: ClientMessage): void | Promise<void>;
}

/** The messages of one type. */
export type MessageOf<T extends ClientMessage['type']> = Extract<ClientMessage, { type: T }>;

/** Makes a handler; `handle` gets messages of its type only. */
export function handler<T extends ClientMessage['type']>(
  validators: Validators<ClientMessage>,
  definition: Omit<Handler, 'type' | 'isValid' | 'handle'> & {
    readonly type: T;
    handle(client: Client, message: MessageOf<T>): void | Promise<void>;
  },
): Handler {
  const isValid = validators.get(definition.type);
  if (!isValid) throw new Error(`There is no schema for ${definition.type}`);
  const handle = definition.handle as Handler['handle'];
  return { ...definition, handle, isValid };
}
