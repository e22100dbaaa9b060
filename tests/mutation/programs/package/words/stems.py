SUFFIXES = ["at", "e"]
BONUS = 0.5


def stem(word):
    for suffix in SUFFIXES:
        if word.endswith(suffix) and len(word) > len(suffix):
            return word[: -len(suffix)]
    return word


def weight(word, count):
    return count + BONUS * len(stem(word))
