// Waiting, and not for ever.

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What `work` comes to, or a failure after `ms`. */
export async function within(ms, work) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
