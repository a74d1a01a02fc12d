"""What a refresh needs of its machine, before it takes it.

sizes    counts of the data: of Parquet files before they are read, of events in memory
needs    memory and disk from these counts
check    a warning before the events are read; after it a refusal of what cannot fit
"""
