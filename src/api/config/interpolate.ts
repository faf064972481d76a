/**
 * `${VARIABLE}` as Compose reads it: `$NAME`, `${NAME}`, `${NAME:-default}` (also when empty), `${NAME-default}`, `${NAME:?reason}`,
 * `${NAME?reason}`, `${NAME:+instead}`, `${NAME+instead}`; what follows the operator may hold variables again. `$$` is a dollar sign.
 * Unlike Compose, a variable that is not set is an error: an empty value in its place is rarely what was meant.
 */
export type Environment = Readonly<Record<string, string | undefined>>;

const START = /\$(?:\$|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(:?[-?+])?)/y;
const MAX_DEPTH = 20;

/** Index of the brace that closes what begins at `start`. */
const findEnd = (text: string, start: number): number => {
  let depth = 1;
  for (let i = start; i < text.length; i++) {
    if (text.startsWith('$$', i)) i++;
    else if (text.startsWith('${', i)) depth++;
    else if (text[i] === '}' && --depth === 0) return i;
  }
  throw new Error('${ is not closed by }');
};

const lookUp = (name: string, environment: Environment): string => {
  const value = Object.hasOwn(environment, name) ? environment[name] : undefined;
  if (value !== undefined) return value;
  throw new Error(`the variable ${name} is not set; set it, or give a default: \${${name}:-default}`);
};

/** What a variable with an operator stands for; `operand` is read only when it counts. */
const choose = (name: string, operator: string, environment: Environment, operand: () => string): string => {
  const value = Object.hasOwn(environment, name) ? environment[name] : undefined;
  const isThere = value !== undefined && !(operator.startsWith(':') && value === '');
  if (operator.endsWith('+')) return isThere ? operand() : '';
  if (isThere) return value;
  if (operator.endsWith('-')) return operand();
  throw new Error(`the variable ${name} is not set: ${operand() || 'it is required'}`);
};

/** What stands for the `$...` at `start`, and where the text goes on. */
const expand = (
  text: string,
  start: number,
  environment: Environment,
  depth: number,
): { value: string; end: number } => {
  START.lastIndex = start;
  const match = START.exec(text);
  if (match === null) throw new Error('a lone $ has no meaning; write $$ for a dollar sign');
  const [whole, plain, braced, operator] = match;
  const after = start + whole.length;
  if (plain !== undefined) return { value: lookUp(plain, environment), end: after };
  if (braced === undefined) return { value: '$', end: after };
  const close = findEnd(text, after);
  const rest = text.slice(after, close);
  if (operator === undefined && rest !== '') throw new Error(`\${${braced}${rest}} is not a variable`);
  const operand = () => interpolate(rest, environment, depth + 1);
  const value =
    operator === undefined ? lookUp(braced, environment) : choose(braced, operator, environment, operand);
  return { value, end: close + 1 };
};

/** @throws Error with the reason: a variable is not set, or the text is malformed */
export const interpolate = (text: string, environment: Environment, depth = 0): string => {
  if (depth > MAX_DEPTH) throw new Error('variables are nested too deeply');
  let result = '';
  let at = 0;
  for (let dollar = text.indexOf('$'); dollar !== -1; dollar = text.indexOf('$', at)) {
    const { value, end } = expand(text, dollar, environment, depth);
    result += text.slice(at, dollar) + value;
    at = end;
  }
  return result + text.slice(at);
};
