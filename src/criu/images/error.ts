/** Why bytes are not an image, or why an image cannot become bytes: one sentence that names the file and where in it. */
export class ImageError extends Error {
  /** The image's file name. */
  readonly file: string;

  /** `problem` goes on where the file's name ends: "ends within a length, at byte 8". */
  constructor(file: string, problem: string, options?: ErrorOptions) {
    super(`${file} ${problem}`, options);
    this.file = file;
  }
}

/** The same of a part of an image that something else refused. */
export const imageError = (file: string, what: string, cause: unknown): ImageError =>
  new ImageError(file, `${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
