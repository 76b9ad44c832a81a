import type { ValidateFunction } from 'ajv';
import type { MessageEnvelope } from '../contract/client.generated.js';

/** Reads a frame of a client; null if it is no message (see INVALID_MESSAGE in `errors.ts`). */
export type ReadMessage = (bytes: ArrayBuffer, isBinary: boolean) => MessageEnvelope | null;

/**
 * Makes the reader of frames. What it returns shares nothing with the bytes, which are uWebSockets' own.
 * @param isEnvelope validator of what every message must be
 */
export function messageReader(isEnvelope: ValidateFunction<MessageEnvelope>): ReadMessage {
  const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  return (bytes, isBinary) => {
    try {
      // uWebSockets has checked the UTF-8 of text frames already
      const text = isBinary ? strictUtf8.decode(bytes) : Buffer.from(bytes).toString();
      const message: unknown = JSON.parse(text);
      return isEnvelope(message) ? message : null;
    } catch {
      return null;
    }
  };
}
