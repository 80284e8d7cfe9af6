"""The faults. Each is a class with a `name`, how long it `lasts`, a `strike` and a `heal`; the
docstring of the class says what it does to whom."""


class Nemesis:
    # Seconds between the strike and its end, at least and at most.
    lasts = (0.2, 1.0)

    def __init__(self, world):
        self.world = world
        self.rng = world.rng

    @property
    def name(self):
        return type(self).__name__

    def strike(self):
        raise NotImplementedError

    def heal(self):
        """Nothing to do, unless a nemesis says so."""
