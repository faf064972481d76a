const FRAMES = ['|', '/', '-', '\\'];
const SHOW_AFTER_MS = 1000;
const REFRESH_MS = 100;

const draw = (label: string, frame: number): void => {
  const seconds = Math.floor((SHOW_AFTER_MS + frame * REFRESH_MS) / 1000);
  process.stderr.write(`\r${FRAMES[frame % FRAMES.length]} ${label} ${seconds}s`);
};

/** Shows on a terminal that something goes on, once it takes more than a second. Standard output stays clean. */
export const withProgress = async <T>(label: string, work: Promise<T>): Promise<T> => {
  if (!process.stderr.isTTY) return work;
  let frames = 0;
  let refresh: NodeJS.Timeout | undefined;
  const start = setTimeout(() => {
    refresh = setInterval(() => draw(label, frames++), REFRESH_MS);
  }, SHOW_AFTER_MS);
  try {
    return await work;
  } finally {
    clearTimeout(start);
    clearInterval(refresh);
    if (frames > 0) process.stderr.write('\r\u001b[K');
  }
};
