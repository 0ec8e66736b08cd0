"""x"""


def main():
    print("orbiting")
