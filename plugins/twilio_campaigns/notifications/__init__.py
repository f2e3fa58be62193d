"""Texts for whoever wants to know how a task or a DAG went."""
