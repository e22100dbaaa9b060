import numpy as np
from signals import smooth, spectrum

from blockcache import cached_block

N = 64
rng = np.random.default_rng(3)
times = np.linspace(0.0, 1.0, N)
noise = rng.normal(0.0, 0.1, N)


def unrelated(x):
    total = x + 1
    return [total, 2]


def wave(t, frequency=5.0, phase=0.25):
    return np.sin(2 * np.pi * frequency * t + phase)


with cached_block(name="signal"):
    signal = wave(times) + 0.5 * wave(times, frequency=9.0) + noise
    low, high = float(signal.min()), float(signal.max())

with cached_block(name="spectrum"):
    powers = spectrum(smooth(signal, width=3))
    peaks = np.argsort(powers)[::-1][:3].tolist()

with cached_block(name="matrix"):
    matrix = np.outer(times[:4], times[:4]).astype("f4")
    matrix[0, 1] = 2
    trace = float(np.trace(matrix.T @ matrix))
    mask = matrix > matrix.mean()

print(peaks, round(trace, 6), int(mask.sum()), round(high - low, 3))
