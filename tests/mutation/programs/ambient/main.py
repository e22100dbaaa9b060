import decimal
import math
import sys

import plugins

from blockcache import cached_block

decimal.getcontext().prec = 9
plugins.enable("log")
plugins.LEVELS["log"] = 2
sys.setrecursionlimit(3000)
math_tau = math.tau
amounts = [decimal.Decimal(k) / 7 for k in range(1, 4)]


def unrelated(x):
    total = x + 1
    return [total, 2]


class Meter:
    unit = "m"
    readings = []

    def read(self, value):
        return f"{value * plugins.factor():.3f}{self.unit}"


Meter.unit = "km"
Meter.readings.append(3)

with cached_block(name="thirds"):
    thirds = [str(decimal.Decimal(1) / k) for k in (3, 6, 9)]
    texts = [str(a) for a in amounts]

with cached_block(name="plugins"):
    active = plugins.active()
    level = plugins.LEVELS["log"] * math_tau

with cached_block(name="meter"):
    meter = Meter()
    read = [meter.read(v) for v in (1, 2.5)] + [str(r) for r in Meter.readings]

print(thirds, texts, active, round(level, 3), read)
