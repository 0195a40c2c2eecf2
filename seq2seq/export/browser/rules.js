/** What may follow a hypothesis, by the options of a search and the rules that `seq2seq/export/onnx_rules.py` writes. */

/**
 * Return log-probabilities with -Infinity for what may not follow, changed in place; what can say nothing else may end.
 *
 * @param {Float32Array} scores log-probabilities of the next token
 * @param {number[]} tokens of the hypothesis so far
 * @param {object} options of the search
 * @param {object} special start; ends, of which the first is end of sentence; rules
 * @param {number|undefined} forced the token that has to follow, at no cost
 */
export function allowed(scores, tokens, options, {start, ends, rules = []}, forced) {
  if (forced !== undefined) return scores.fill(-Infinity).fill(0, forced, forced + 1);
  const {min_length: least = 0, no_repeat_ngram: size = 0} = options, [end] = ends, endScore = scores[end];
  if (tokens.length < least) for (const own of ends) scores[own] = -Infinity;
  if (size) {
    const last = tokens.slice(tokens.length - size + 1).join();
    for (let place = 0; place + size <= tokens.length; place++)
      if (size === 1 || tokens.slice(place, place + size - 1).join() === last) scores[tokens[place + size - 1]] = -Infinity;
  }
  const started = [start, ...tokens], renormalizes = rules.at(-1)?.renormalize;
  for (const rule of rules) if (!rule.renormalize) APPLIED.find(([name]) => name in rule)[1](scores, started, rule, options);
  if (scores.every((score) => score === -Infinity)) scores[end] = endScore;
  return renormalizes ? logProbs(scores) : scores;
}

const APPLIED = Object.entries({
  suppress(scores, tokens, {suppress, at_step: step = tokens.length - 1}) {
    if (step === tokens.length - 1) for (const id of suppress) scores[id] = -Infinity;
  },
  forced_end(scores, tokens, {forced_end: end}, {max_length: longest}) {
    if (tokens.length === longest) scores.fill(-Infinity).fill(0, end, end + 1);
  },
  forbid(scores, tokens, {forbid}) {
    for (const sequence of forbid)
      if (sequence.slice(0, -1).every((id, place) => tokens.at(place + 1 - sequence.length) === id)) scores[sequence.at(-1)] = -Infinity;
  },
  repetition_penalty(scores, tokens, {repetition_penalty: penalty}) {
    for (const id of new Set(tokens)) scores[id] = scores[id] < 0 ? scores[id] * penalty : scores[id] / penalty;
  },
});

/** Return log-probabilities, in the place of the logits. */
export function logProbs(logits) {
  let largest = -Infinity, sum = 0;
  for (const logit of logits) if (logit > largest) largest = logit;
  for (const logit of logits) sum += Math.exp(logit - largest);
  const shift = largest + Math.log(sum);
  for (let id = 0; id < logits.length; id++) logits[id] -= shift;
  return logits;
}
