"""The world, port by port. Each backend implements Protocols of `domain.ports`; none knows another."""
