"""Two formulas for an ellipse around Jupiter."""

from math import pi, sqrt

from attrs import frozen

JUPITER = 1.26687e17
"""Its gravitational parameter [m³/s²]."""


@frozen
class Orbit:
    """An ellipse by its nearest and farthest distance from the planet's centre [m]."""

    perijove: float
    apojove: float

    @property
    def semi_major_axis(self) -> float:
        return (self.perijove + self.apojove) / 2

    def period(self, mu: float) -> float:
        """Seconds for one turn."""
        return 2 * pi * sqrt(self.semi_major_axis**3 / mu)

    def speed_at_perijove(self, mu: float) -> float:
        """Metres per second where it is fastest."""
        return sqrt(mu * (2 / self.perijove - 1 / self.semi_major_axis))
