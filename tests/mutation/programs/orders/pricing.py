from dataclasses import dataclass


@dataclass
class Basket:
    name: str
    price: float
    count: int = 1
    minimum = 0.5

    def cost(self):
        value = self.price * self.count
        return value if value > self.minimum else self.minimum


def total(baskets):
    return round(sum(b.cost() for b in baskets), 3)
