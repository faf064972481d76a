/** Templates (figures 7 to 9): the language of rules, what becomes of each resource in a clone, what is changed in its memory. */
export { Places, TEMPLATE_FORMAT, TemplateFacts } from './format.ts';
export type { Overrides } from './format.ts';
export { layerOf } from './layers.ts';
export { checkRules, evaluate, joinRules, parseLinks, parseRules, resolvePaths } from './rules/index.ts';
export type { Hook, RuleSet } from './rules/index.ts';
export { expandOverrides, missingPath, needsFiles } from './classify/overrides.ts';
export { classifyTemplate, whyNoSecond } from './classify/template.ts';
export { applyPokes, findPersonality, pokesFor, prepareImages } from './memory/index.ts';
export type { Personality, Poke } from './memory/index.ts';
