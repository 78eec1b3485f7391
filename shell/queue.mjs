// The consumer of the event queue: a decision for each message, because one that is neither
// acknowledged nor retried counts as acknowledged.

/** What a ledger answers when a message is in its books, from now or from an earlier delivery. */
const COUNTED = new Set(["taken", "known"]);

/** Hands each environment's messages to its ledger; what the ledger did not take comes again. */
export async function consume(batch, env) {
  for (const message of batch.messages) {
    try {
      const { environment } = JSON.parse(message.body);
      const call = JSON.stringify({ take: { id: message.id, message: message.body } });
      const answer = await env.LEDGER.getByName(environment).call(call);
      if (!COUNTED.has(answer)) throw new Error(answer);
      message.ack();
    } catch (error) {
      console.warn(`message ${message.id}: ${error?.message ?? error}`);
      message.retry();
    }
  }
}
