import type { Step } from './generator.js';

const LOGOUT = '{"type":"logout"}';

/** What the clients of the rows say. */
export const ECHO: readonly Step[] = [{ send: LOGOUT, expect: LOGOUT }];

export const REFUSAL: readonly Step[] = [
  { send: LOGOUT, expect: '{"type":"error","payload":{"message":"Authentication required"' },
];

export const TOKEN_AUTH: Step = {
  send: '{"type":"token_auth","payload":{"token":"{2}"}}',
  expect: '{"type":"auth_success","payload":{"username":"{1}"',
};

/** A cycle of a server that doesn't know whose token it is. */
export const BARE_CYCLE: readonly Step[] = [
  { send: TOKEN_AUTH.send, expect: '{"type":"auth_success"' },
  { send: LOGOUT, expect: '{"type":"logged_out"}' },
];

export const CYCLE: readonly Step[] = [TOKEN_AUTH, { send: LOGOUT, expect: '{"type":"logged_out"}' }];
