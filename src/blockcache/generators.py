"""stub"""
def digests(): return {}
def snapshot(): return {}
def restore(s): pass
def seeded(*a): return set()
