/** What a reader should know of an output, by the bounds of `seq2seq/serving/alarms.py`; counts of tokens enter. */

const MOST_TIMES_AS_LONG = 3, SLACK = 10;
const LEAST_SHARE = 0.2, LONG_SOURCE = 15;
const REPEATED_SHARE = 0.4, REPEATED_SIZE = 3, LEAST_NGRAMS = 8;

/**
 * Return [{name, message}] of an output, given by its tokens and those of its source.
 *
 * @param {object} known isFinished; isTranslation: whether an output that is much shorter than its source has lost
 *   something; isCut: whether a sentence had to be cut for it
 */
export function alarmsOf(source, target, {isFinished, isTranslation, isCut}) {
  const found = [], say = (name, message) => found.push({name, message});
  if (!isFinished) say("length_limit", "The output ends where its longest length is, not where it is complete.");
  if (isCut) say("cut_within_sentence", "A sentence was too long for the model and was cut into parts.");
  if (target.length > MOST_TIMES_AS_LONG * source.length + SLACK)
    say("length_ratio", `The output has ${target.length} tokens, its source only ${source.length}.`);
  else if (isTranslation && source.length >= LONG_SOURCE && target.length < LEAST_SHARE * source.length)
    say("length_ratio", `The output has only ${target.length} tokens, its source ${source.length}.`);
  if (repeated(target) >= REPEATED_SHARE && repeated(source) < REPEATED_SHARE)
    say("repetition", "The output repeats itself; the model may have lost its way.");
  return found;
}

/** Return the share of n-grams that a sequence has had before; 0 where it has few. */
function repeated(tokens) {
  const number = tokens.length - REPEATED_SIZE + 1;
  if (number < LEAST_NGRAMS) return 0;
  const ngrams = new Set(Array.from({length: number}, (_, start) => tokens.slice(start, start + REPEATED_SIZE).join()));
  return (number - ngrams.size) / number;
}
