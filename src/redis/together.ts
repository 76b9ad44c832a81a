/**
 * Makes one call of what is asked in one turn of the event loop.
 * @param call gives the answers in the order of the questions; if it rejects, all that asked hear of it
 * @param most questions in a call
 */
export function together<Question, Answer>(
  call: (questions: readonly Question[]) => Promise<readonly Answer[]>,
  most: number,
): (question: Question) => Promise<Answer> {
  let asked: Asked<Question, Answer>[] = [];

  function send(): void {
    const all = asked;
    asked = [];
    for (let i = 0; i < all.length; i += most) answer(all.slice(i, i + most));
  }

  function answer(some: readonly Asked<Question, Answer>[]): void {
    call(some.map(({ question }) => question)).then(
      (answers) => {
        for (let i = 0; i < some.length; i += 1) some[i]!.resolve(answers[i]!);
      },
      (error: unknown) => {
        for (const { reject } of some) reject(error);
      },
    );
  }

  return (question) =>
    new Promise((resolve, reject) => {
      if (asked.length === 0) setImmediate(send);
      asked.push({ question, resolve, reject });
    });
}

interface Asked<Question, Answer> {
  readonly question: Question;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}
