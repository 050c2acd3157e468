"""The driver of the conformance kit: adapters, daemons, servers by hand, and what runs the cases."""
