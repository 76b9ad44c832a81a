import type { Message, TestClient } from './client.js';

/** Sends `register` and gives the answer. */
export function register(
  client: TestClient,
  username: string,
  password: string,
  email?: string,
): Promise<Message> {
  const payload = { username, password, ...(email !== undefined && { email }) };
  return client.request({ type: 'register', payload });
}

/** Sends `login` and gives the answer. */
export function login(client: TestClient, username: string, password: string): Promise<Message> {
  return client.request({ type: 'login', payload: { username, password } });
}

/** Sends `token_auth` and gives the answer. */
export function tokenAuth(client: TestClient, token: string, resume?: boolean): Promise<Message> {
  const payload = { token, ...(resume !== undefined && { resume }) };
  return client.request({ type: 'token_auth', payload });
}

/** Sends `logout` and gives the answer. */
export function logout(client: TestClient): Promise<Message> {
  return client.request({ type: 'logout' });
}

/** Sends `set_username` and gives the answer. */
export function setUsername(client: TestClient, name: unknown): Promise<Message> {
  return client.request({ type: 'set_username', payload: name });
}

/**
 * The token in an `auth_success` or `register_success`.
 * @throws when the answer is another one
 */
export function tokenOf(answer: Message): string {
  const { payload } = answer;
  if (payload !== null && typeof payload === 'object' && 'token' in payload) return String(payload.token);
  throw new Error(`There is no token in ${JSON.stringify(answer)}`);
}
