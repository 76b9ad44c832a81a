/** Messages of a connection that wait for their turn, first come first served, bounded in number and bytes. */
export class Mailbox<M> {
  private readonly items: { message: M; bytes: number }[] = [];
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
    if (this.head === this.items.length) {
      this.items.length = 0;
      this.head = 0;
    }
    return item.message;
  }
}
