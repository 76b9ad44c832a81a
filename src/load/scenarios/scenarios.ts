import { logout } from './logout.js';
import type { Scenario } from './scenario.js';

/** All scenarios by name. */
export const SCENARIOS = { logout } as const satisfies Record<string, Scenario>;

export type ScenarioName = keyof typeof SCENARIOS;

export function isScenario(name: string): name is ScenarioName {
  return Object.hasOwn(SCENARIOS, name);
}
