import { expect } from 'vitest';
import type { Frame } from '../../src/protocol/answers.js';
import type { Message, TestClient } from './client.js';

/** How long `expect.poll` is to try. */
export const SOON = { timeout: 10_000 };

/** Answers of the server, to the letter of the protocol. */
export const LOGGED_OUT: Message = { type: 'logged_out' };
export const AUTH_REQUIRED = errorOf('AUTH_REQUIRED', 'Authentication required');
export const UNKNOWN_TYPE = errorOf('UNKNOWN_TYPE', 'Unknown message type');
export const RATE_LIMITED = errorOf('RATE_LIMITED', 'Too many messages, slow down');
export const INVALID_MESSAGE = errorOf(
  'INVALID_MESSAGE',
  'Message must be a JSON object with a string "type"',
);
export const INVALID_PAYLOAD = errorOf('INVALID_PAYLOAD', 'Invalid payload');
export const SERVICE_UNAVAILABLE = errorOf('SERVICE_UNAVAILABLE', 'Service unavailable, try again later');

/** `error` with a code. */
export function errorOf(code: string, message: string): Message {
  return { type: 'error', payload: { message, code } };
}

/** `error` with code REGISTRATION_ERROR. */
export function registrationError(message: string): Message {
  return errorOf('REGISTRATION_ERROR', message);
}

/** `auth_error`. */
export function authError(message: string): Message {
  return { type: 'auth_error', payload: { message } };
}

/** `auth_success`. */
export function authSuccess(username: string, token: string): Message {
  return { type: 'auth_success', payload: { username, token } };
}

/** `display_name_updated`. */
export function displayNameUpdated(name: string): Message {
  return { type: 'display_name_updated', payload: name };
}

/** `global_chat`. */
export function globalChat(username: string, message: string): Message {
  return { type: 'global_chat', payload: { username, message } };
}

/** `private_chat`. */
export function privateChat(username: string, message: string): Message {
  return { type: 'private_chat', payload: { username, message } };
}

/** Expects that every frame so far was one compact JSON text with `type` first, and `payload` second if at all. */
export function expectWellFormed({ rawFrames }: TestClient): void {
  for (const text of rawFrames) {
    const message = JSON.parse(text) as object;
    expect(JSON.stringify(message)).toBe(text);
    expect(['type', 'type,payload']).toContain(Object.keys(message).join());
  }
}

/** The text of a frame that the server sends. */
export function textOf(frame: Frame): string {
  return typeof frame === 'string' ? frame : Buffer.from(frame).toString();
}
