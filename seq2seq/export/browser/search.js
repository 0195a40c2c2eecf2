/** Beam search of one source, with the rules of `seq2seq/decoding/algorithms/beam.py`; a beam of one is greedy search. */

import {allowed, logProbs} from "./rules.js";

const RATIO_OFFSET = 10; // `max_length_ratio` allows so many tokens besides

export const divisorOf = (length, {length_penalty: penalty = 1, length_normalization: kind = "average"}) =>
  kind === "gnmt" ? ((5 + length) / 6) ** penalty : length ** penalty;

/**
 * Return the finished hypotheses, best first: {tokens, token_log_probs, score, normalized_score, finished}.
 *
 * @param {object} graphs what steps and reorders
 * @param {number[]} source ids
 * @param {object} options those of the search, of which none is missing but those with a default here
 * @param {object} special start; ends, of which the first is end of sentence; forced: what every hypothesis begins with,
 *   at no cost; rules of what may follow
 * @param {function} heard called with the running hypotheses after each step; awaited
 */
export async function beamSearch(graphs, source, options, special, heard = () => {}) {
  const {start, ends, forced = []} = special, width = options.beam_width ?? 1, ratio = options.max_length_ratio ?? 0;
  const limit = ratio ? Math.min(options.max_length, Math.trunc(source.length * ratio) + RATIO_OFFSET) : options.max_length;
  let state = await graphs.start(source);
  let running = [{tokens: [], token_log_probs: [], score: 0}], pool = [];
  for (let length = 0; length < limit && running.length; length++) {
    const {logits, state: next} = await graphs.step(state, running.map(({tokens}) => tokens.at(-1) ?? start));
    const candidates = bestOf(running.map((hypothesis, row) => {
      const size = logits.length / running.length;
      const scores = logProbs(logits.subarray(row * size, (row + 1) * size));
      return {hypothesis, row, scores: allowed(scores, hypothesis.tokens, options, special, forced[length])};
    }), (1 + ends.length) * width);

    const divisor = divisorOf(length + 1, options), isLast = length + 1 === limit;
    const isEnd = ({token}) => ends.includes(token);
    const finished = candidates.slice(0, width).filter((candidate) => isLast || isEnd(candidate));
    pool.push(...finished.map((candidate) => ({
      ...continued(candidate), normalized_score: candidate.score / divisor, finished: isEnd(candidate),
    })));
    pool = pool.sort((one, other) => other.normalized_score - one.normalized_score).slice(0, width);
    const survivors = candidates.filter((candidate) => !isEnd(candidate)).slice(0, width);
    running = survivors.map(continued);
    await heard(running, pool);
    const worst = pool.length === width ? pool.at(-1).normalized_score : -Infinity;
    const best = Math.max(-Infinity, ...running.map(({score}) => score));
    if (isLast || (options.early_stopping ? pool.length === width : !(best / divisor > worst))) break;
    state = graphs.reorder(next, survivors.map(({row}) => row));
  }
  return pool;
}

const continued = ({hypothesis, token, logProb, score}) => ({
  tokens: [...hypothesis.tokens, token], token_log_probs: [...hypothesis.token_log_probs, logProb], score,
});

/** Return the likeliest continuations of all rows, best first. */
function bestOf(rows, number) {
  const best = [];
  for (const {hypothesis, row, scores} of rows)
    for (let token = 0; token < scores.length; token++) {
      const score = hypothesis.score + scores[token];
      if (score === -Infinity || (best.length === number && score <= best.at(-1).score)) continue;
      let place = best.length;
      while (place > 0 && best[place - 1].score < score) place--;
      best.splice(place, 0, {hypothesis, row, token, logProb: scores[token], score});
      if (best.length > number) best.pop();
    }
  return best;
}
