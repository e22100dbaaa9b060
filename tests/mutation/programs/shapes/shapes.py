"""Shapes for a test of methods and inheritance."""

import math
from abc import ABC, abstractmethod

DIGITS = 3


def unrelated(x):
    total = x * 2
    return [total, 1]


class Shape(ABC):
    unit = "cm"

    @abstractmethod
    def area(self): ...

    @property
    def label(self):
        return f"{self.prefix()} {self.area():.2f} {self.unit}"

    @classmethod
    def prefix(cls):
        return cls.__name__.lower()

    @staticmethod
    def rounded(x, digits=DIGITS):
        return round(x, digits)


class Square(Shape):
    def __init__(self, side):
        self.side = side

    def area(self):
        return self.rounded(self.side**2)


class Circle(Shape):
    ratio = math.pi
    unit = "mm"

    def __init__(self, radius):
        self.radius = radius

    def area(self):
        return self.rounded(self.ratio * self.radius**2)


def describe(shape, width=20):
    return shape.label.rjust(width, "*")
