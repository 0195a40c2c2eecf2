"""What `seq2seq decode` tunes before it decodes: a copy of the model for a metric, or the weight of rescoring."""
