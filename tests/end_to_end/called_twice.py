"""Started on two processes: `seq2seq.train` twice in a folder, the second time with other options."""

import sys
from pathlib import Path

import seq2seq
from tests.assembly.test_training_in_python import IN_SHORT, PAIRS, SMALL


def main(folder: Path) -> None:
    for name, steps in (("first", 4), ("second", 6)):
        options = IN_SHORT | {"training.max_steps": steps}
        run = seq2seq.train(PAIRS, run_directory=folder / name, config=SMALL, **options)
        assert run.steps == steps
        assert (run.run_directory / "model" / "model.safetensors").is_file()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
