/** A socket that may be subscribed to what is published for all sessions. */
export interface Listener {
  readonly isSubscribed: boolean;
  /** Subscribes, or ends the subscription; costs as much as a good part of a login. */
  subscribe(isSubscribed: boolean): void;
}

/** Most sockets whose subscription is put off: to see to them must not hold up anything. */
const MOST = 1024;

/**
 * Which sockets get what is published for all sessions. Most that log out log in again, or close, before anything is published;
 * so whether a socket is to listen is only noted, and brought about right before something is published.
 */
export class Audience<L extends Listener = Listener> {
  /** Those of whom the opposite is to hold, the first to be noted first. */
  private readonly wavering = new Set<L>();

  /** A socket is to listen from now on, or not to. */
  set(listener: L, isListening: boolean): void {
    const { wavering } = this;
    if (listener.isSubscribed === isListening) {
      wavering.delete(listener);
      return;
    }
    wavering.add(listener);
    if (wavering.size <= MOST) return;
    const [first] = wavering;
    this.settle(first!);
  }

  /** A socket is gone, and its subscription with it. */
  forget(listener: L): void {
    this.wavering.delete(listener);
  }

  /** Makes all subscriptions what they are to be. */
  settleAll(): void {
    for (const listener of this.wavering) this.settle(listener);
  }

  private settle(listener: L): void {
    this.wavering.delete(listener);
    listener.subscribe(!listener.isSubscribed);
  }
}
