"""What each verb can do with less of: the cure in the sentence about a machine that has too little of something."""

from seq2seq.want import Want, sentence, wanting

CURES: dict[str, dict[Want, str]] = {
    "decode": {
        "memory": "lower `--batch-tokens` or `--processes`",
        "processes": "lower `--processes` or `--threads`",
        "files": "lower `--processes`",
    },
    "train": {
        "memory": "lower `data.batch_tokens`, or where text is read `data.num_workers`",
        "processes": "lower `training.threads` or `data.num_workers`",
        "files": "lower `data.num_workers`",
    },
    "prepare": {
        "memory": "lower `data.num_workers`, or read a large corpus by `data.train.streaming`",
        "processes": "lower `data.num_workers`",
        "files": "lower `data.num_workers`",
    },
    "likelihood": {
        "memory": "lower `--batch-tokens` or `--processes`",
        "processes": "lower `--processes` or `--threads`",
        "files": "lower `--processes`",
    },
    "report": {"memory": "lower `--max-rows` or `--processes`", "processes": "lower `--processes`"},
    "diagnose": {"memory": "lower `--max-rows` or the largest of `--beam-widths`"},
    "export": {"memory": "lower `--check-lines`, or use a machine with more"},
}
OTHERWISE: dict[Want, str] = {
    "memory": "use a machine with more",
    "processes": "end others, or raise the limit",
    "files": "close others",
    "peers": "look at what that says",
}


def cure(verb: str, want: Want) -> str:
    """Return what to do where a verb lacks something."""
    return CURES.get(verb, {}).get(want, OTHERWISE[want])


def said_of_want(error: Exception, verb: str) -> str | None:
    """Return what to say of an error if it is want of memory, processes or files; otherwise None."""
    want = wanting(error)
    if want is None:
        return None
    if isinstance(error, ImportError):
        return sentence(error, want, "loading the libraries that this needs takes more than that")
    return sentence(error, want, cure(verb, want))
