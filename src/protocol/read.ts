import type { ValidateFunction } from 'ajv';
import type { MessageEnvelope } from '../contract/client.generated.js';

/** Reads a frame of a client; null if it is no message (see INVALID_MESSAGE in `errors.ts`). */
export type ReadMessage = (bytes: ArrayBuffer, isBinary: boolean) => MessageEnvelope | null;

/**
 * Makes the reader of frames. What it returns shares nothing with the bytes, which are uWebSockets' own.
 * @param isEnvelope validator of what every message must be
 * @param types of messages; those that come without a payload, in the shortest way to write them, are recognised as a whole
 *   and not parsed: a logout is the most frequent message there is, and the cheapest to send
 */
export function messageReader(
  isEnvelope: ValidateFunction<MessageEnvelope>,
  types: Iterable<string> = [],
): ReadMessage {
  const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const bareByLength: BareMessage[][] = [];
  for (const type of types) {
    const bare = new BareMessage(type);
    bareByLength[bare.length] = [...(bareByLength[bare.length] ?? []), bare];
  }
  return (bytes, isBinary) => {
    const candidates = bareByLength[bytes.byteLength];
    if (candidates) {
      const view = new Uint8Array(bytes);
      for (const bare of candidates) if (bare.is(view)) return bare.envelope;
    }
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

/** A message that has nothing but a type. */
class BareMessage {
  readonly envelope: MessageEnvelope;
  private readonly bytes: Buffer;

  constructor(type: string) {
    this.envelope = Object.freeze({ type });
    this.bytes = Buffer.from(JSON.stringify(this.envelope));
  }

  /** In bytes. */
  get length(): number {
    return this.bytes.length;
  }

  /** @param bytes as many as it has itself */
  is(bytes: Uint8Array): boolean {
    const own = this.bytes;
    for (let i = own.length - 1; i >= 0; i -= 1) if (bytes[i] !== own[i]) return false;
    return true;
  }
}
