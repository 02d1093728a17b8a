"""The nodes: one file per step. Nodes compute and return updates; :mod:`langchain_r2.edges` decides."""
