from words import Index, normal
from words import rank as ranked

from blockcache import cached_block

TEXT = "the cat and the hat and the bat sat"
TOP = 3


def unrelated(x):
    total = x + 1
    return [total, 2]


with cached_block(name="index"):
    tokens = [normal(word) for word in TEXT.split()]
    index = Index(tokens, stop=("and",))
    counts = index.counts()

with cached_block(name="rank"):
    best = ranked(counts, top=TOP)
    lengths = {word: len(word) for word, _ in best}

with cached_block(name="stems"):
    from words.stems import stem

    stems = [stem(token) for token in tokens]

print(best, lengths, stems[:4])
