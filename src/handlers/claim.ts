import type { Claim } from '../store/claims.js';
import type { Context } from './context.js';

/** What was reserved is confirmed or released, in the background. What fails is left to the sweep. */
export function settleClaim({ claims, logger }: Context, claim: Claim): void {
  claims.settle(claim).catch((error: unknown) => {
    logger.debug({ err: error, account: claim.owner, kind: claim.kind }, 'claim is left to the sweep');
  });
}
