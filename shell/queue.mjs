// The consumer of the event queue: a decision for each message, because one that is neither
// acknowledged nor retried counts as acknowledged.

/** Hands each environment's messages to its ledger; what the ledger did not take comes again. */
export async function consume(batch, env) {
  for (const message of batch.messages) {
    try {
      const { environment } = JSON.parse(message.body);
      await env.LEDGER.getByName(environment).call(JSON.stringify({ take: { id: message.id, message: message.body } }));
      message.ack();
    } catch (error) {
      console.warn(`message ${message.id}: ${error?.message ?? error}`);
      message.retry();
    }
  }
}
