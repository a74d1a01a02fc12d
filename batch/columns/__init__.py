"""Columns of any table: how its lines are split, what each column is, what its values mean.

first lines ─► dialect ─► header? ─► roles ─► meaning of numbers, times and ids ─► values

Files of events, catalogues and profiles, databases and Parquet are read with these alike.
The way in is `dialect.find_dialect` for text, and `roles.choose_columns` for any table.
"""
