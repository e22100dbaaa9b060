"""stub"""
def check(l): pass
def parse_ttl(x): return float(x)
def evaluate(*a, **k): return []
