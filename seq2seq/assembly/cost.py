"""From the name of a metric to the cost that a training minimises."""

from collections.abc import Sequence

from seq2seq.assembly.generator import model_folder
from seq2seq.config.schema import RunConfig
from seq2seq.data.tokenizer import TextTokenizer
from seq2seq.metrics.cost import Cost, make_cost
from seq2seq.metrics.transport import DISTANCES, TransportDistance
from seq2seq.models.transformer.inference import load_weights


def build_cost(name: str, config: RunConfig, tokenizer: TextTokenizer, *, pooled: bool = False) -> Cost:
    """Return the cost of a metric, or of a distance between word vectors.

    Vectors are the target embeddings of the model that the training starts from, and stay so while it learns.

    Raises:
        ValueError: see `check_cost`.
    """
    check_cost(name, config)
    if name not in DISTANCES:
        return make_cost(name, pooled)

    def target_ids(text: str) -> Sequence[int]:
        return tokenizer.encode_targets([text])[0][:-1]  # without end of sentence, which every text has

    weights = load_weights(model_folder(str(config.training.initialize_from)), config.model.tie_embeddings)
    embeddings = weights["decoder.embeddings.tokens.weight"].float().numpy()
    return Cost(TransportDistance(name, target_ids, embeddings), pooled, unit=1.0)


def check_cost(name: str, config: RunConfig) -> None:
    """Raise ValueError if there is no such metric, or no trained model to take word vectors from."""
    if name not in DISTANCES:
        make_cost(name)
    elif config.training.initialize_from is None:
        raise ValueError(
            f"`cost: {name}` compares word vectors, which only a trained model has; name one in "
            "`training.initialize_from`."
        )
