raise SystemExit("this package wants a compiler of its own")
