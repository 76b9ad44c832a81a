import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { logoutAllHandler } from '../../src/handlers/logoutAll.js';
import { ANSWERS } from '../../src/protocol/answers.js';
import { textOf } from '../support/expected.js';
import { clientOf, contextOf } from '../support/handling.js';
import { type RedisServer, startRedis } from '../support/redis.js';
import { Scene } from '../support/scene.js';

describe('logout_all', () => {
  let redis: RedisServer;
  let scene: Scene;

  beforeAll(async () => {
    redis = await startRedis();
  });
  beforeEach(async () => {
    scene = await Scene.open({ REDIS_URL: redis.url });
  });
  afterEach(() => scene.close());
  afterAll(() => redis?.stop());

  it('ends its own session also where that has just been taken over', async () => {
    const { deployment } = scene;
    const context = await contextOf(scene, { log: deployment.log, commitTimeoutMs: 5000 });
    const player = await scene.player();
    const id = await scene.begin(player);
    const answers: string[] = [];
    const client = await clientOf(scene, context, id, player, (frame) => answers.push(frame));
    const notices: string[] = [];
    const subscriber = redis.client();
    await subscriber.subscribe(deployment.keys.nodeChannel('n2'));
    subscriber.on('message', (_channel, notice: string) => notices.push(notice));
    const attachment = { node: 'n2', connection: 1 };
    const taken = await deployment.sessions.execute(id, { type: 'resume', attachment, takeOver: true });
    expect(taken.done).toBe(true);

    await logoutAllHandler(context).handle(client, { type: 'logout_all' });
    expect(answers).toEqual([textOf(ANSWERS.loggedOut)]);
    expect((await deployment.sessions.load(id)).state.status).toBe('none');
    expect(await deployment.sessions.endedBy(id)).toBe('account');
    await expect.poll(() => notices).toEqual([expect.stringContaining(id)]);
  });
});
