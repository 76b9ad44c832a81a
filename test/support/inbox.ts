interface Waiter<T> {
  readonly resolve: (item: T) => void;
  readonly reject: (error: Error) => void;
}

/** What has arrived and not been read yet, and who waits for more. First come, first served. */
export class Inbox<T> {
  private readonly unread: T[] = [];
  private readonly waiting = new Set<Waiter<T>>();
  private end: string | undefined;

  /** @param describe says, for the error of a wait in vain, what was received */
  constructor(private readonly describe: () => string) {}

  push(item: T): void {
    const [waiter] = this.waiting;
    if (!waiter) {
      this.unread.push(item);
      return;
    }
    this.waiting.delete(waiter);
    waiter.resolve(item);
  }

  /** Nothing more will come, and why: all who wait are told, and those who ask when everything is read. */
  close(why: string): void {
    this.end = why;
    for (const waiter of this.waiting) waiter.reject(this.inVain(why));
    this.waiting.clear();
  }

  /**
   * The next unread item.
   * @throws when none comes within `timeoutMs`, or when there is none and the inbox is closed
   */
  async next(timeoutMs: number): Promise<T> {
    if (this.unread.length > 0) return this.unread.shift()!;
    if (this.end !== undefined) throw this.inVain(this.end);
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise<T>((resolve, reject) => {
        const waiter = { resolve, reject };
        this.waiting.add(waiter);
        timer = setTimeout(() => {
          this.waiting.delete(waiter);
          reject(this.inVain(`nothing came within ${timeoutMs} ms`));
        }, timeoutMs);
      });
    } finally {
      clearTimeout(timer);
    }
  }

  private inVain(why: string): Error {
    return new Error(`${why}; received so far: ${this.describe()}`);
  }
}
