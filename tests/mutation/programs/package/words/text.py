import re

STOP = {"a", "an"}
PATTERN = r"[aeiou]"


def normal(word):
    return re.sub(PATTERN, fold, word.strip().lower())


def fold(match):
    return {"u": "o", "i": "e"}.get(match[0], match[0])
