"""Write the verbalisation corpus: `python -m examples.verbalization --output-directory runs/demo_data --seed 1`.

Needs the `demo` extra (Babel and num2words); the same seed and sizes give the same files.
"""

import argparse
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> None:
    """Write the files that the command line asks for; exit with a message on anything a user can mend."""
    parser = argparse.ArgumentParser(prog="python -m examples.verbalization", description=__doc__)
    parser.add_argument("--output-directory", type=Path, required=True, help="folder to write into")
    parser.add_argument("--seed", type=int, default=1, help="seed of all choices (default: %(default)s)")
    parser.add_argument("--train-size", type=int, default=24000, help="training pairs (default: %(default)s)")
    parser.add_argument("--dev-size", type=int, default=500, help="development pairs (default: %(default)s)")
    parser.add_argument("--test-size", type=int, default=1000, help="test pairs (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        from examples.verbalization.corpus import generate_corpus, write_corpus
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is not installed; install the demo extra: pip install 'seq2seq-toolkit[demo]'")
    try:
        corpus = generate_corpus(options.seed, options.train_size, options.dev_size, options.test_size)
        write_corpus(corpus, options.output_directory)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    sizes = ", ".join(f"{len(pairs)} {split}" for split, pairs in corpus.items())
    print(f"{options.output_directory}: {sizes} pairs")


if __name__ == "__main__":
    main()
