"""A corpus to learn from in minutes: numbers, dates, times and money, as they are written and as they are said.

Sources are a language tag and a locale-formatted form (`<de> 1.234,50 €`), targets the words in lower case
(`eintausendzweihundertvierunddreißig euro und fünfzig cent`), in English, German, French and Spanish. Any number of
pairs follows from a seed, no file is needed, and whether an answer is right can be read off without a metric.

`words` says numbers, `pairs` draws one pair of each kind, `corpus` draws, splits and writes them all.
"""
