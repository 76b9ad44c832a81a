/** Messages of a connection that wait for their turn, first come first served, bounded in number and bytes. */
export class Mailbox<M> {
  private items: { readonly message: M; readonly bytes: number }[] = [];
  /** Position of the next one; those before it are taken. */
  private head = 0;
  private bytes = 0;

  /**
   * @param maxMessages 0: any number
   * @param maxBytes of all waiting messages together
   */
  constructor(
    private readonly maxMessages: number,
    private readonly maxBytes: number,
  ) {}

  get size(): number {
    return this.items.length - this.head;
  }

  /** Adds a message; false if there is no room for it. */
  put(message: M, bytes: number): boolean {
    if (this.maxMessages > 0 && this.size >= this.maxMessages) return false;
    if (this.size > 0 && this.bytes + bytes > this.maxBytes) return false;
    this.items.push({ message, bytes });
    this.bytes += bytes;
    return true;
  }

  /** Takes the next message; undefined if there is none. */
  take(): M | undefined {
    const item = this.items[this.head];
    if (!item) return undefined;
    this.head += 1;
    this.bytes -= item.bytes;
    if (this.head * 2 >= this.items.length) this.drop(this.head);
    return item.message;
  }

  /** Forgets the messages that are not to be kept. */
  keepOnly(isKept: (message: M) => boolean): void {
    this.drop(this.head);
    this.items = this.items.filter(({ message }) => isKept(message));
    this.bytes = this.items.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Lets go of what is taken. */
  private drop(count: number): void {
    this.items.splice(0, count);
    this.head = 0;
  }
}
