/* A worker's way of answering messages, each by the handler of its type. */

/** @type {Record<string, (message: any) => Promise<object>>} */
const handlers = {};

/** Lets messages in, such as the one that stops a run; a timer would wait for milliseconds. */
const breath = (() => {
  const channel = new MessageChannel();
  /** @type {((value?: any) => void)[]} */
  const waiting = [];
  // Several handlers may wait at once.
  channel.port1.onmessage = () => waiting.shift()?.();
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve);
      channel.port2.postMessage(null);
    });
})();

self.onmessage = async ({ data }) => {
  try {
    self.postMessage({ answer: data.call, ...(await handlers[data.type](data)) });
  } catch (error) {
    self.postMessage({ answer: data.call, error: String(error) });
  }
};
