"""What does this machine have, and who holds what of it? Looks once, changes nothing. In: paths, addresses. Out: facts
of `domain.ground`. What a part of the service can say of itself is asked of that part's own backend, not here.
"""
