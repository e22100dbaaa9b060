import numpy as np

KINDS = {"flat": np.ones, "none": np.zeros}


def smooth(x, width=5, kind="flat"):
    window = KINDS[kind](width)
    return np.convolve(x, window / max(window.sum(), 1), mode="same")


def spectrum(x, *, floor=1e-9):
    found = np.abs(np.fft.rfft(x)) ** 2
    found[found < floor] = 0.0
    return found


def unrelated(x):
    total = x * 2
    return [total, 1]
