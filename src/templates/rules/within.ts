/**
 * A search among paths for the nearest one that is the given path or is above it; all are normalised. It takes time in proportion to
 * the different lengths of the paths and not to the depth of the given one: a program may have written both.
 */
export const searchOf = <T>(places: ReadonlyMap<string, T>): ((path: string) => T | undefined) => {
  const lengths = [...new Set([...places.keys()].map(({ length }) => length))].toSorted((a, b) => b - a);
  return (path) => {
    const nearest = lengths
      .filter((length) => length === path.length || path[length] === '/')
      .map((length) => path.slice(0, length))
      .find((place) => places.has(place));
    return nearest === undefined ? undefined : places.get(nearest);
  };
};
