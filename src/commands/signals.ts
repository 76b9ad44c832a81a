const EXIT_SECOND_SIGNAL = 1;

/** npm passes on a Ctrl-C that the terminal has delivered already: within this time, the second SIGINT is an echo. */
const ECHO_MS = 500;

/** Resolves with the first SIGTERM or SIGINT; the second ends the process. */
export function untilToldToEnd(): Promise<string> {
  return new Promise((resolve) => {
    let endingSince: number | undefined;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (endingSince === undefined) {
          endingSince = performance.now();
          resolve(signal);
        } else if (signal === 'SIGTERM' || performance.now() - endingSince > ECHO_MS) {
          process.exit(EXIT_SECOND_SIGNAL);
        }
      });
    }
  });
}
