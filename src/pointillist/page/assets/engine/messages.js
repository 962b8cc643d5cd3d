/* Answers a worker's messages with the handler of their type. */

/** @type {Record<string, (message: any) => Promise<object>>} */
const handlers = {};

/** Lets waiting messages through, for example one that stops a run; a timer would wait for milliseconds. */
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
