moons = 97
