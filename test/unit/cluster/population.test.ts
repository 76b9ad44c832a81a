import { describe, expect, it } from 'vitest';
import { Population } from '../../../src/cluster/population.js';

const SILENCE_MS = 3000;

describe('the population', () => {
  it('is what this node has now, and what the others have said last', () => {
    const population = new Population('a', SILENCE_MS);
    expect(population.count(4)).toBe(4);
    population.hear({ node: 'b', connections: 10 }, 0);
    population.hear({ node: 'c', connections: 20 }, 0);
    population.hear({ node: 'b', connections: 1 }, 1000);
    expect(population.count(4)).toBe(25);
    expect(population.count(5)).toBe(26);
  });

  it('counts what this node hears of itself only once', () => {
    const population = new Population('a', SILENCE_MS);
    population.hear({ node: 'a', connections: 7 }, 0);
    population.hear({ node: 'b', connections: 1 }, 0);
    expect(population.count(4)).toBe(5);
  });

  it('forgets a node that is silent while others are heard, if only this one itself', () => {
    const population = new Population('a', SILENCE_MS);
    population.hear({ node: 'b', connections: 10 }, 0);
    population.hear({ node: 'a', connections: 1 }, SILENCE_MS);
    expect(population.count(1)).toBe(11);
    population.hear({ node: 'a', connections: 1 }, SILENCE_MS + 1);
    expect(population.count(1)).toBe(1);
    population.hear({ node: 'b', connections: 3 }, SILENCE_MS + 2);
    expect(population.count(1)).toBe(4);
  });

  it('stays as it was while nobody is heard at all', () => {
    const population = new Population('a', SILENCE_MS);
    population.hear({ node: 'a', connections: 1 }, 1000);
    population.hear({ node: 'b', connections: 10 }, 1500);
    expect(population.count(2)).toBe(12); // however long ago that was
  });

  it('forgets a node that does not come back after such a silence', () => {
    const population = new Population('a', SILENCE_MS);
    population.hear({ node: 'b', connections: 10 }, 0);
    population.hear({ node: 'c', connections: 20 }, 0);
    population.hear({ node: 'b', connections: 11 }, 60_000);
    expect(population.count(0)).toBe(11);
  });
});
