// Waiting, and not for ever.

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function timeout(ms) {
  await pause(ms);
  throw new Error(`no answer within ${ms} ms`);
}

/** What `work` comes to, or an error when it takes longer than `ms`. */
export const within = (ms, work) => Promise.race([work, timeout(ms)]);
