import { chat } from './chat.js';
import { idle } from './idle.js';
import { login } from './login.js';
import { logout } from './logout.js';
import { mixed } from './mixed.js';
import { reconnect } from './reconnect.js';
import type { Scenario } from './scenario.js';

/** All scenarios by name. */
export const SCENARIOS = { logout, login, reconnect, idle, chat, mixed } as const satisfies Record<
  string,
  Scenario
>;

export type ScenarioName = keyof typeof SCENARIOS;

export function isScenario(name: string): name is ScenarioName {
  return Object.hasOwn(SCENARIOS, name);
}
