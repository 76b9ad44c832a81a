import { randomBytes } from 'node:crypto';
import { hash, verify } from '@node-rs/argon2';

/** argon2id (the library's default) with the parameters of OWASP's Password Storage Cheat Sheet. */
const ARGON2 = { memoryCost: 19_456, timeCost: 2, parallelism: 1 };

/** Too many passwords wait to be hashed. */
export class HashingOverloaded extends Error {
  constructor() {
    super('Too many passwords wait to be hashed');
  }
}

/** Whoever wanted the result has gone; nothing was computed. */
export class NotWanted extends Error {}

export interface PasswordOptions {
  /** Hashings at the same time, each on a thread of libuv. */
  readonly concurrency: number;
  /** Hashings that may wait, 0: any number. */
  readonly queue: number;
}

/** Hashes and checks passwords, so many at a time, off the event loop. */
export class Passwords {
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  private constructor(
    private readonly options: PasswordOptions,
    /** Hash that no password has. */
    private readonly nobodys: string,
  ) {}

  static async create(options: PasswordOptions): Promise<Passwords> {
    return new Passwords(options, await hash(randomBytes(32), ARGON2));
  }

  /** Hashings that wait for their turn. */
  get queued(): number {
    return this.waiting.length;
  }

  /**
   * Hashes a password to a PHC string.
   * @param isWanted asked when its turn has come
   * @throws HashingOverloaded, NotWanted
   */
  hash(password: string, isWanted: () => boolean = always): Promise<string> {
    return this.inTurn(() => hash(password, ARGON2), isWanted);
  }

  /**
   * Whether a password is the one that was hashed. Takes as long when there is nobody to compare with.
   * @param hashed PHC string; null: nobody's, the answer is false
   * @throws HashingOverloaded, NotWanted
   */
  async verify(hashed: string | null, password: string, isWanted: () => boolean = always): Promise<boolean> {
    const matches = await this.inTurn(() => verify(hashed ?? this.nobodys, password), isWanted);
    return hashed !== null && matches;
  }

  private async inTurn<T>(work: () => Promise<T>, isWanted: () => boolean): Promise<T> {
    const { concurrency, queue } = this.options;
    if (this.running >= concurrency) {
      if (queue > 0 && this.waiting.length >= queue) throw new HashingOverloaded();
      await new Promise<void>((resolve) => this.waiting.push(resolve)); // the place of the one before is handed on
    } else {
      this.running += 1;
    }
    try {
      if (!isWanted()) throw new NotWanted();
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.running -= 1;
    }
  }
}

function always(): boolean {
  return true;
}
