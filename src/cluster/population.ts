/** What a node says of itself each second. */
export interface Heartbeat {
  readonly node: string;
  /** Its open connections. */
  readonly connections: number;
}

/** How many players there are: what the nodes have said of themselves lately, and what this node knows of itself. */
export class Population {
  private readonly nodes = new Map<string, { connections: number; heardAt: number }>();
  private heardAt = 0;

  /**
   * @param node id of this node
   * @param silenceMs a node that is silent for so long, while others are heard, is not there any more
   */
  constructor(
    private readonly node: string,
    private readonly silenceMs: number,
  ) {}

  /** A node, or this one itself, has been heard. */
  hear({ node, connections }: Heartbeat, now = performance.now()): void {
    this.heardAt = now;
    this.nodes.set(node, { connections, heardAt: now });
    for (const [name, { heardAt }] of this.nodes) {
      if (now - heardAt > this.silenceMs) this.nodes.delete(name);
    }
  }

  /**
   * Open connections of all nodes. While nothing is heard at all, because Redis is away, the others' stay as they were.
   * @param own those of this node now
   */
  count(own: number): number {
    let sum = own;
    for (const [name, { connections, heardAt }] of this.nodes) {
      if (name !== this.node && this.heardAt - heardAt <= this.silenceMs) sum += connections;
    }
    return sum;
  }
}
