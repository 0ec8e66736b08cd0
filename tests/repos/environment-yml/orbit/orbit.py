import numpy


def main():
    print(int(numpy.sum([1, 2])))
