"""The `seq2seq` command as `python -m seq2seq`."""

from seq2seq.apps.command import main

if __name__ == "__main__":
    raise SystemExit(main())
