def rank(counts, *, top=2):
    from .stems import weight

    return sorted(counts.items(), key=lambda item: (-weight(*item), item[0]))[:top]
