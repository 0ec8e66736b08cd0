"""What is in a cluster, looked at once? In: a folder that somebody recorded, or a context of kubectl's configuration.

Out: `domain.cluster.Recording`. Acts: reads files, or asks the API; changes nothing. Values of Secrets are thrown away
as soon as they are read (`sifting`).
"""
