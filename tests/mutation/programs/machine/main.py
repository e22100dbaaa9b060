from states import Event, Machine, State

from blockcache import cached_block

STEPS = 12


def unrelated(x):
    total = x + 1
    return [total, 2]


def events(n):
    for k in range(n):
        match k % 4:
            case 0:
                yield Event.PUSH
            case 1 | 2:
                yield Event.COIN
            case _:
                yield Event.WAIT


def run(machine, steps):
    trail = []
    for event in events(steps):
        try:
            state = machine.feed(event)
        except ValueError as problem:
            trail.append(str(problem))
        else:
            trail.append(state.name)
        finally:
            machine.ticks += 1
    return trail


with cached_block(name="trail"):
    machine = Machine(start=State.LOCKED)
    trail = run(machine, STEPS)
    ticks = machine.ticks

with cached_block(name="counts"):
    counts = {}
    for entry in trail:
        counts[entry] = counts.get(entry, 0) + 1
    longest = max(len(entry) for entry in trail) if ticks > 3 else -1

print(trail[:5], counts, longest)
