// An engine as an exported folder has one, which turns texts round.
window.seq2seqEngine = {
  async describe() {
    return {models: [{id: "in-the-page", source_languages: [], target_languages: [], generation_order: "l2r", explains: false, limits: {}}]};
  },
  async generate({text, onText}) {
    const turned = [...text].reverse().join("");
    onText(turned);
    return {hypotheses: [{text: turned, normalized_score: -0.1, tokens: [...turned, "</s>"], token_log_probs: [...turned, ""].map(() => -0.1), direction: "l2r"}], alarms: [], seconds: 0.01};
  },
  async explain() {},
};
window.dispatchEvent(new Event("seq2seq-engine-ready"));
