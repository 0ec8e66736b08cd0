"""What is wrong with this service and the ground it stands on? In: `domain.ground.Own`. Out: findings. Pure.

`diagnosis` asks all questions of `ground` and `service`.
"""
