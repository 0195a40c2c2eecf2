"""What is noteworthy about the pairs of a training, before it starts: findings as data, to be printed by others.

Tokenised corpora and limits enter (`examination.examine`); an `Examination` of facts, sample pairs and findings leaves.
Nothing here reads a configuration or prints. All of it takes some seconds for 150,000 pairs; of larger
corpora most of it looks at a part that is spread over all.
"""
