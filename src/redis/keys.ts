/**
 * Every key and channel name in Redis.
 *
 * What must change together lives under one hash tag: `{<p>}` for all that belongs to partition p (an account, its
 * tokens, its sessions and their events), `{nodes}` for leases, `{bus}` for what nodes tell each other, `{meta}` for the settings of the whole deployment.
 */
export class Keys {
  /** What all keys of a partition begin with; made once, for a change of a session needs several of them. */
  private readonly tags: readonly string[];
  /** Of the nodes in a partition, and of the node that was asked for last: a gateway asks for its own all the time. */
  private readonly nodesKeys: readonly string[];
  private lastNode = '';
  private lastNodeKeys: readonly string[] = [];

  /**
   * @param prefix `KEY_PREFIX`, without braces
   * @param partitions `PARTITIONS`, a power of two up to 256
   */
  constructor(
    readonly prefix: string,
    readonly partitions: number,
  ) {
    this.tags = Array.from({ length: partitions }, (_, partition) => `${prefix}{${partition}}:`);
    this.nodesKeys = this.tags.map((tag) => `${tag}nodes`);
  }

  /** The partition of a bucket (0–255). */
  partitionOf(bucket: number): number {
    return bucket & (this.partitions - 1);
  }

  /** Stream: the events of a partition. */
  log(partition: number): string {
    return `${this.tags[partition]}log`;
  }

  /** Hash: entry ids that followers of the log have come to, by their names. */
  followers(partition: number): string {
    return `${this.tags[partition]}followers`;
  }

  /** String: number and results of the last batch of a lane. */
  lane(partition: number, node: string, lane: number): string {
    return `${this.tags[partition]}lane:${node}:${lane}`;
  }

  /** What is under it is gone at once: for a look at what the user of Redis may do. */
  probe(partition: number): string {
    return `${this.tags[partition]}probe`;
  }

  /** Record: credentials by username. */
  user(partition: number, username: string): string {
    return `${this.tags[partition]}user:${username}`;
  }

  /** Record: state of an account by account id. */
  account(partition: number, accountId: string): string {
    return `${this.tags[partition]}account:${accountId}`;
  }

  /** Hash of records: live sessions of an account by session id. */
  sessions(partition: number, accountId: string): string {
    return `${this.tags[partition]}sessions:${accountId}`;
  }

  /** Record: a token by its hash. Expires with the token. */
  token(partition: number, tokenHash: string): string {
    return `${this.tags[partition]}token:${tokenHash}`;
  }

  /** Hash: when the tokens of the accounts of a bucket were last used (ms), by their hashes; those never used are not in it. */
  tokenUses(bucket: number): string {
    return `${this.tags[this.partitionOf(bucket)]}used:${bucket}`;
  }

  /** Set: sessions attached to a node. */
  nodeSessions(partition: number, node: string): string {
    if (node !== this.lastNode) {
      this.lastNode = node;
      this.lastNodeKeys = this.tags.map((tag) => `${tag}node:${node}`);
    }
    return this.lastNodeKeys[partition]!;
  }

  /** Set: nodes that have, or had, sessions in a partition. */
  nodes(partition: number): string {
    return this.nodesKeys[partition]!;
  }

  /** Sorted set: detached sessions by the time of their detachment (ms). */
  detached(partition: number): string {
    return `${this.tags[partition]}detached`;
  }

  /** Sorted set: sessions that wait for a match, by the time that they have joined (ms). */
  queue(partition: number): string {
    return `${this.tags[partition]}queue`;
  }

  /** Record: a match that is formed, or has a game server. */
  match(partition: number, matchId: string): string {
    return `${this.tags[partition]}match:${matchId}`;
  }

  /** Record: the sessions that a match is about to take. */
  matchPlan(partition: number, matchId: string): string {
    return `${this.tags[partition]}plan:${matchId}`;
  }

  /** Sorted set: planned matches, by the time of their plan (ms). */
  matchPlans(partition: number): string {
    return `${this.tags[partition]}plans`;
  }

  /** Record: a planned match that was given up, so that no session of the partition is taken for it any more. Expires. */
  matchFence(partition: number, matchId: string): string {
    return `${this.tags[partition]}fence:${matchId}`;
  }

  /** Sorted set: matches that are formed, have failed, or have started and their players are to be told, by the time (ms). */
  pendingMatches(partition: number): string {
    return `${this.tags[partition]}pending`;
  }

  /** Sorted set: matches that have a game server, by the time of their start (ms). */
  runningMatches(partition: number): string {
    return `${this.tags[partition]}running`;
  }

  /** Hash: which match has which port of a machine, and since when (ms): `<match> <time>`. Expires. */
  ports(machine: string): string {
    return `${this.prefix}{ports}:${machine}`;
  }

  /** String with an expiry: how many matches have failed in succession, each after a pause. */
  formingFailures(): string {
    return `${this.prefix}{forming}:failures`;
  }

  /** String with an expiry: no match is formed for as long. */
  formingPause(): string {
    return `${this.prefix}{forming}:pause`;
  }

  /** String with an expiry: which worker watches over the game server of a match. */
  watch(matchId: string): string {
    return `${this.prefix}{watch}:${matchId}`;
  }

  /** String: why a session was ended from outside, for its node if it missed the message. Expires. */
  ended(partition: number, sessionId: string): string {
    return `${this.tags[partition]}ended:${sessionId}`;
  }

  /** Record: who holds a value that is unique beyond an account. */
  claim(partition: number, kind: string, value: string): string {
    return `${this.tags[partition]}claim:${kind}:${value}`;
  }

  /** Sorted set: display names that sessions had, whose claims are still to be released, by the time (ms). */
  freedNames(partition: number): string {
    return `${this.tags[partition]}freed`;
  }

  /** Sorted set: claims (`<kind>:<value>`) reserved and not yet confirmed, by the time of their reservation (ms). */
  reservations(partition: number): string {
    return `${this.tags[partition]}reservations`;
  }

  /** Record: a reservation of an account that was given up, so that nothing may be committed on it any more. Expires. */
  fence(partition: number, accountId: string, reservation: number): string {
    return `${this.tags[partition]}fence:${accountId}:${reservation}`;
  }

  /** String with an expiry: a gateway node lives, and what it says of itself. */
  lease(node: string): string {
    return `${this.prefix}{nodes}:lease:${node}`;
  }

  /** Sorted set: gateway nodes, by when they last had a lease (ms). Expires. */
  gateways(): string {
    return `${this.prefix}{nodes}:gateways`;
  }

  /** String: the number of partitions, written at first boot. */
  partitionCount(): string {
    return `${this.prefix}{meta}:partitions`;
  }

  /** String with an expiry: which worker reaps. It is where the leases are, so that who has it has seen their server up. */
  reaperLock(): string {
    return `${this.prefix}{nodes}:reaper`;
  }

  /** Prefix of rate limit counters. */
  limit(name: string): string {
    return `${this.prefix}limit:${name}`;
  }

  /** Prefix of BullMQ's keys; the braces keep them in one slot of a Redis Cluster. */
  jobs(): string {
    return `${this.prefix}{jobs}`;
  }

  /** Channel: notices for one node. */
  nodeChannel(node: string): string {
    return `${this.prefix}{bus}:node:${node}`;
  }

  /** Channel: signs of life of all nodes. */
  heartbeatChannel(): string {
    return `${this.prefix}{bus}:heartbeats`;
  }

  /** Channel: frames for all sessions. */
  chatChannel(): string {
    return `${this.prefix}{bus}:chat`;
  }
}
